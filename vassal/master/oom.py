"""Finds out whether the kernel killed a worker because its vassal's memory was used up.

The kernel's counter is the witness: SIGKILL alone may have come from anywhere.
"""

import os
import re

_OOM_KILL = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_READ_BYTES = 1024
_UNITS = ("", "K", "M", "G", "T", "P")


class OomWitness:
    """Reads memory.events of the vassal's cgroup; the descriptor stays the caller's.

    `events_fd` None = there is no memory limit, and nobody is ever killed for it.
    """

    def __init__(self, events_fd: int | None) -> None:
        self._events_fd = events_fd
        self._known = self._count()
        self._day = -1
        self._today = 0

    def killed(self, unix_now: float) -> int:
        """Return how many were killed today (UTC) if one was since the last call, else 0."""
        count = self._count()
        new, self._known = count - self._known, count
        if new <= 0:
            return 0
        day = int(unix_now // 86400)
        self._today = new if day != self._day else self._today + new
        self._day = day
        return self._today

    def _count(self) -> int:
        if self._events_fd is None:
            return 0
        try:
            found = _OOM_KILL.search(os.pread(self._events_fd, _READ_BYTES, 0))
        except OSError:
            return 0  # the cgroup is being removed
        return int(found[1]) if found else 0


def as_size(size_bytes: int) -> str:
    """Return a size as a vassal file would say it: 268435456 is "256M"."""
    unit = 0
    while size_bytes and size_bytes % 1024 == 0 and unit < len(_UNITS) - 1:
        size_bytes //= 1024
        unit += 1
    return f"{size_bytes}{_UNITS[unit]}"


def times_today(count: int) -> str:
    """Return "once today" or "3 times today"."""
    return "once today" if count == 1 else f"{count} times today"

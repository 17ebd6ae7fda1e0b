"""What a cgroup holds of its memory_max and the kernel cannot just take back."""

from __future__ import annotations

import os

_BYTES = 32  # of memory.current: one number
_STAT_BYTES = 8192  # memory.stat has about 1.5 KiB
_FILE_PAGES = (b"inactive_file ", b"active_file ")


class HeldMemory:
    """Reads one cgroup's figures; borrows its descriptors.

    current_fd: memory.current. stat_fd: memory.stat, -1 = unknown: then all that is used counts.
    """

    def __init__(self, current_fd: int, stat_fd: int = -1):
        self._current_fd = current_fd
        self._stat_fd = stat_fd

    def used(self) -> int:
        """Return the bytes in use, the pages of files that were read among them. Cheap."""
        return int(os.pread(self._current_fd, _BYTES, 0))

    def held(self, at_least: int = 0) -> int:
        """Return the bytes in use without the pages of files: those give way to whoever needs
        memory, before anybody is killed. Dear, as the kernel adds up its counters: where less
        than `at_least` is in use at all, that is returned."""
        used = self.used()
        if self._stat_fd < 0 or used < at_least:
            return used
        for line in os.pread(self._stat_fd, _STAT_BYTES, 0).split(b"\n"):
            if line.startswith(_FILE_PAGES):
                used -= int(line.split()[1])
        return max(0, used)

"""Asks the machine what percentages in configuration files are of."""

import os
from pathlib import Path

from emperor.config.settings import Machine

_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
_TASK_LIMITS = (
    Path("/proc/sys/kernel/pid_max"),
    Path("/proc/sys/kernel/threads-max"),
    Path("/sys/fs/cgroup/pids.max"),
)


def probe_machine() -> Machine:
    """Return the facts; a container's own limits count, as far as they can be seen."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _number(_MEMORY_LIMIT)
    counts = [count for count in map(_number, _TASK_LIMITS) if count]
    return Machine(
        memory_bytes=min(physical, limit) if limit else physical,
        tasks_max=min(counts, default=0),
        cpus=os.cpu_count() or 0,
    )


def _number(path: Path) -> int:
    """Return the number in a file; 0 where there is none, or "max"."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isdecimal() else 0

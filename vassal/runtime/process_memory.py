"""Reads how large a process is. Beside the `uwsgi` module, which the master does not load."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple


def memory_of(pid: int) -> Tuple[int, int]:
    """Return (resident size, virtual size) of a process in bytes; zeros for who is gone, or not
    there yet."""
    try:
        statm = os.open("/proc/%d/statm" % pid, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0, 0
    try:
        size, resident = os.read(statm, 256).split()[:2]
    except (OSError, ValueError):
        return 0, 0
    finally:
        os.close(statm)
    page_bytes = os.sysconf("SC_PAGESIZE")
    return int(resident) * page_bytes, int(size) * page_bytes

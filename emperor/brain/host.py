"""Snapshots of processes, for status only; never for supervision."""

from collections.abc import Iterable
from pathlib import Path

import psutil

from emperor.brain.views import HostProcess


def processes_below(master_pid: int, expected: Iterable[int] = ()) -> dict[int, HostProcess]:
    """Return the master's children by the pid that the master knows them by.

    The kernel's list may leave some out while others come or go (proc(5)): it is read once
    more when one that is `expected` is not in it.
    """
    found = _children(master_pid)
    return found if found.keys() >= set(expected) else found | _children(master_pid)


def _children(master_pid: int) -> dict[int, HostProcess]:
    found: dict[int, HostProcess] = {}
    try:
        # Not psutil's children(): it reads every process of the host for each master.
        listing = Path(f"/proc/{master_pid}/task/{master_pid}/children")
        children = [int(word) for word in listing.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return found
    for pid in children:
        try:
            found[namespace_pid(pid)] = HostProcess(pid, psutil.Process(pid).memory_info().rss)
        except (psutil.Error, OSError, ValueError):
            continue  # gone in the meantime
    return found


def namespace_pid(pid: int) -> int:
    """Return the pid of a host's process inside the innermost namespace it is in."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123
        for line in status:
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return pid

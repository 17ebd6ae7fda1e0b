"""Snapshots of processes, for status only; never for supervision."""

from collections.abc import Iterable

from emperor.brain.views import HostProcess
from emperor.children import children
from limits import kernel_files


def processes_below(master_pid: int, expected: Iterable[int] = ()) -> dict[int, HostProcess]:
    """Return the master's children by the pid that the master knows them by.

    The kernel's list may leave some out while others come or go (proc(5)): it is read once
    more when one that is `expected` is not in it.
    """
    found = _children(master_pid)
    return found if found.keys() >= set(expected) else found | _children(master_pid)


def _children(master_pid: int) -> dict[int, HostProcess]:
    # Not before somebody asks for status: a brain that was killed is missed.
    import psutil

    found: dict[int, HostProcess] = {}
    for pid in children(master_pid):
        try:
            memory = psutil.Process(pid).memory_info()
            found[namespace_pid(pid)] = HostProcess(pid, memory.rss, memory.vms)
        except (psutil.Error, OSError, ValueError):
            continue  # gone in the meantime
    return found


def namespace_pid(pid: int) -> int:
    """Return the pid of a host's process inside the innermost namespace it is in."""
    for line in kernel_files.read(f"/proc/{pid}/status").split("\n"):
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return pid

"""Snapshots of processes, for status only; never for supervision."""

import psutil

from emperor.brain.views import HostProcess


def processes_below(master_pid: int) -> dict[int, HostProcess]:
    """Return the master's children by the pid that the master knows them by."""
    found: dict[int, HostProcess] = {}
    try:
        children = psutil.Process(master_pid).children()
    except psutil.Error:
        return found
    for child in children:
        try:
            found[namespace_pid(child.pid)] = HostProcess(child.pid, child.memory_info().rss)
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

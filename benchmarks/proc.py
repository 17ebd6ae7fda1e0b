"""What processes cost, read from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the user and system time that the living `pids` have used."""
    ticks = 0
    for pid in pids:
        text = _read(pid, "stat")
        fields = text[text.rfind(")") + 2 :].split()
        ticks += sum(map(int, fields[11:13]))
    return ticks / TICKS_PER_SECOND


def pss_bytes(pids: Iterable[int]) -> int:
    """Return the memory of `pids`, what they share divided among those who share it."""
    return sum(_number(_read(pid, "smaps_rollup"), "Pss:") for pid in pids) * 1024


def rss_bytes(pid: int) -> int:
    return _number(_read(pid, "status"), "VmRSS:") * 1024


def wakeups(pids: Iterable[int]) -> int:
    """Return how often the threads of `pids` gave up the CPU to wait, and so were woken."""
    count = 0
    for pid in pids:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        count += sum(
            _number(_read(pid, f"task/{task}/status"), "voluntary_ctxt_switches:") for task in tasks
        )
    return count


def _number(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def _read(pid: int, name: str) -> str:
    """Return a file of /proc/PID; empty if the process is gone. Raises PermissionError."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""

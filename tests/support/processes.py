"""Looking at processes through /proc. A zombie counts as dead: nothing of it runs."""

import os
from pathlib import Path


def alive(pid: int) -> bool:
    """Return whether `pid` runs. Never use kill(pid, 0) for this: it succeeds on zombies."""
    return state(pid) not in ("", "Z", "X")


def state(pid: int) -> str:
    """Return the kernel's letter for the state of `pid`; empty if there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def parent(pid: int) -> int:
    """Return the parent of `pid`; 0 if there is none."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def children(pid: int) -> list[int]:
    """Return the children of `pid`, zombies included, the oldest first."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            text = Path(f"/proc/{pid}/task/{task}/children").read_text()
            found += map(int, text.split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def open_files_max(pid: int) -> list[str]:
    """Return soft and hard limit of open files, as the kernel says it."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[3:5] for line in lines if line.startswith("Max open files"))


def sleeps(pid: int) -> int:
    """Return how often a process has gone to sleep."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def pid_tree(pid: int) -> list[int]:
    """Return all descendants of `pid`, parents before children; `pid` itself is not in it."""
    tree = children(pid)
    for child in tree:  # grows while it is walked
        tree += children(child)
    return tree


def cmdline(pid: int) -> str:
    """Return the command line of `pid`, or its name in brackets as ps does, or nothing."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        if not raw:
            return f"[{Path(f'/proc/{pid}/comm').read_text().strip()}]"
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return raw.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def fds_of(pid: int) -> dict[int, str]:
    """Return the open descriptors of `pid` and what each one is: a path or `kind:[inode]`."""
    found: dict[int, str] = {}
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError):
        return found
    for number in numbers:
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except (FileNotFoundError, ProcessLookupError):
            # Closed meanwhile; among them the one used for listing.
            continue
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on: state, ppid, …"""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The name in the second field may hold spaces and brackets.
    return text[text.rindex(")") + 2 :].split()


def count_fds(pid: int) -> int:
    """Return how many descriptors a process has; 0 for one whose list only root may see."""
    try:
        return len(fds_of(pid))
    except PermissionError:
        assert os.geteuid() != 0
        return 0

"""Which machine, kernel and versions a figure belongs to."""

import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.servers import ROOT, versions


def about(command: list[str]) -> dict[str, object]:
    """Return what must be said beside every figure."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(command),
        "machine": platform.node(),
        "cpu": _first_match("/proc/cpuinfo", r"model name\s*: (.*)") or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        # What else the machine does takes from every server, but not from all alike.
        "load_before": os.getloadavg()[0],
        "kernel": platform.release(),
        "system": _first_match("/etc/os-release", r'PRETTY_NAME="(.*)"'),
        "python": sys.version.split()[0],
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
        "commit": _commit(),
        "versions": versions(),
    }


def _first_match(file: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(file).read_text())
    except OSError:
        return ""
    return found[1] if found else ""


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()

"""Runs `make demo` as somebody does who has just cloned this: it serves, and Ctrl-C ends it all.

For bare.sh: with nothing but the standard library, and in a PID namespace of its own.
"""

import os
import pty
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:8000/"
SET_UP_S = 300.0
STOP_S = 2.0


def answers() -> bool:
    try:
        with urllib.request.urlopen(URL, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def others() -> set[str]:
    """Return the processes of the namespace that are not ours, and have not ended."""
    pids = {entry for entry in os.listdir("/proc") if entry.isdigit()}
    return {pid for pid in pids if int(pid) not in (1, os.getpid(), os.getppid()) and lives(pid)}


def lives(pid: str) -> bool:
    try:
        # An orphan of apt's may never be reaped here: nobody does what init does.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> str:
    """Return what is wrong, "" = nothing."""
    processes, files = others(), set(os.listdir("/tmp"))
    terminal, its_end = pty.openpty()
    demo = subprocess.Popen(
        ["make", "demo"],
        stdin=its_end,
        stdout=sys.stderr,
        stderr=sys.stderr,
        start_new_session=True,
    )
    os.close(its_end)
    deadline = time.monotonic() + SET_UP_S
    while not answers():
        if demo.poll() is not None:
            return f"make demo ended by itself, with {demo.returncode}"
        if time.monotonic() > deadline:
            return f"{URL} does not answer"
        time.sleep(0.2)
    os.killpg(demo.pid, signal.SIGINT)
    began = time.monotonic()
    while others() - processes - {str(demo.pid)} or demo.poll() is None:
        if time.monotonic() - began > STOP_S:
            return f"after {STOP_S} s there are still {sorted(others() - processes)}"
        time.sleep(0.02)
    os.close(terminal)
    left = set(os.listdir("/tmp")) - files
    if left or Path("/tmp/emperor-demo-shop.sock").exists():
        return f"left behind: {sorted(left)}"
    return ""


if __name__ == "__main__":
    wrong = main()
    print(wrong or f"{URL} answered, and Ctrl-C ended all of it")
    sys.exit(bool(wrong))

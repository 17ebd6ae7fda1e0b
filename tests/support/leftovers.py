"""What a process test left behind: processes, descriptors, files, cgroups, mounts.

Orphans come to the test process, which is a subreaper for this; so a master that outlives
its spawner is found too.
"""

import contextlib
import ctypes
import gc
import os
import re
import signal
import time
from pathlib import Path

from emperor.brain.cgroups import tree_name
from tests.support.emperor import Emperor
from tests.support.processes import alive, children, cmdline, fds_of, pid_tree

PR_SET_CHILD_SUBREAPER = 36

# What was told to go may take this long before it counts as a stray.
GRACE_S = 2.0


def adopt_orphans() -> None:
    """Make this process the parent of every orphan below it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def stray_processes(before: set[int]) -> list[str]:
    """Kill and describe every descendant that was not there `before` and does not go away."""
    me = os.getpid()
    if not children(me):
        return []
    deadline = time.monotonic() + GRACE_S
    while strays := [pid for pid in pid_tree(me) if pid not in before and alive(pid)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    found = [f"process {pid}: {cmdline(pid)}" for pid in strays]
    for pid in strays:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _reap(before, timeout=GRACE_S if strays else 0.0)
    return found


def stray_fds(before: dict[int, str]) -> list[str]:
    """Describe every descriptor of this process that was not there `before`."""
    if _new_fds(before):
        gc.collect()  # sockets in reference cycles are the garbage collector's, not the test's
    return [f"fd {fd}: {target}" for fd, target in _new_fds(before).items()]


def of(emperor: Emperor) -> list[str]:
    """Describe what an emperor that has ended left in its folders and elsewhere."""
    files = stray_files(emperor.runtime_dir)
    kept = ("log", "state")
    found = [path for path in files if not path.split()[1].startswith(kept)]
    return found + stray_cgroups(emperor.runtime_dir) + stray_mounts(emperor.base)


def stray_files(directory: Path) -> list[str]:
    """Describe what is left in `directory`, which may be gone itself."""
    if not directory.is_dir():
        return []
    return [f"file {path.relative_to(directory)}" for path in sorted(directory.rglob("*"))]


def stray_cgroups(runtime_dir: Path) -> list[str]:
    """Describe what is left of the private cgroup tree of an emperor that has stopped."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    mounts = {line.split()[4] for line in lines if " - cgroup2 " in line}
    tops = [Path(mount, tree_name(str(runtime_dir))) for mount in mounts]
    return [f"cgroup {path}" for top in tops if top.exists() for path in (top, *top.rglob("*/"))]


def stray_mounts(folder: Path) -> list[str]:
    """Describe every mount of ours on or from `folder` or what is below it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [f"mount {line}" for line in lines if re.search(f"{re.escape(str(folder))}[/ ]", line)]


def _new_fds(before: dict[int, str]) -> dict[int, str]:
    return {fd: target for fd, target in fds_of(os.getpid()).items() if before.get(fd) != target}


def _reap(before: set[int], timeout: float) -> None:
    """Wait for the dead among our new children, so that the next test starts without zombies."""
    deadline = time.monotonic() + timeout
    while left := [pid for pid in children(os.getpid()) if pid not in before]:
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            return
        time.sleep(0.005 if timeout else 0)

"""A cgroup tree for one test, on whatever cgroup2 this machine has."""

import ctypes
import os
import signal
import uuid
from contextlib import contextmanager
from pathlib import Path

import msgspec

from limits.cgroups.facts import probe_cgroups
from limits.cgroups.names import TENANTS, app_path
from limits.cgroups.tree import claim
from tests.support.need import need, need_root
from tests.support.wait import wait_until

APP = app_path("acme", "shop")


def cgroup2_mount(directory):
    """Return the mount point of cgroup2, mounting it on `directory` if there is none."""
    facts = probe_cgroups([os.getpid()])
    if facts.root is None or facts.private:
        need_root()
    if facts.mount is not None:
        return facts.mount, False
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.mount(b"none", os.fsencode(directory), b"cgroup2", 0, None)
    need(result == 0, f"needs cgroup2: {os.strerror(ctypes.get_errno())}")
    return str(directory), True


@contextmanager
def tree_over(directory):
    """Yield a Tree that holds no process of ours, and remove it with all that is in it.

    It is a private one at the top of the hierarchy, or inside the delegated cgroup that the
    tests run in; the test process itself stays where it is.
    """
    mount, mounted = cgroup2_mount(directory)
    name = f"emperord-test-{uuid.uuid4().hex[:8]}"
    facts = probe_cgroups([os.getpid()], mount=mount, private_name=name)
    if facts.root is None:
        # Under systemd, not delegated: root may still try things at the top for a moment.
        need(os.access(f"{mount}/cgroup.procs", os.W_OK), f"needs a cgroup tree: {facts.reason}")
        facts = msgspec.structs.replace(facts, root=f"{mount}/{name}", private=True, reason="")
    tree = claim(facts, [])
    try:
        yield tree
    finally:
        for path in tree.apps():
            tree.kill(path)
            wait_until(lambda path=path: not tree.is_populated(path), what=f"{path} to be empty")
            assert tree.remove(path), path
        if facts.private:
            for folder in (TENANTS, "supervisor", ""):
                Path(tree.root, folder).rmdir()
        if mounted:
            ctypes.CDLL(None).umount2(os.fsencode(directory), 2)


@contextmanager
def child(run):
    """Fork a child that calls `run()` and then sleeps; kill and reap it in the end."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            run()
            os.write(told, b".")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(told)
    try:
        yield pid, ready
    finally:
        os.close(ready)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass

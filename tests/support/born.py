"""Running a function in a forked child that is confined as a vassal's master would be."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from limits import pidns
from limits.apply import apply
from limits.confinement import Confinement
from limits.directives import Sandbox, Subject
from limits.facts import probe
from limits.fds import close_all_fds_except
from limits.namespaces import namespaces_for
from limits.plan import plan
from limits.root import private_root
from tests.support.forked import run_forked

UID = 54321
NEIGHBOUR_UID = 54322
GROUP = 54323

OPEN = Sandbox(
    private_pids=False,
    private_ipc=False,
    protect_hostname=False,
    protect_control_groups=False,
    private_tmp=None,
    private_devices=False,
    protect_system="no",
    protect_home="no",
    protect_proc="default",
    protect_kernel_tunables=False,
    protect_kernel_modules=False,
    protect_kernel_logs=False,
)
"""Asks for nothing: what a control run has, and where a test of one directive begins."""


def only(**directives: Any) -> Sandbox:
    """Return a sandbox of these directives and nothing else."""
    return msgspec.structs.replace(OPEN, **directives)


def subject(homes=(), hidden=()) -> Subject:
    return Subject(
        vassal="blog",
        customer="anna",
        uid=UID,
        gid=UID,
        groups=(GROUP,),
        homes=tuple((str(path), writable) for path, writable in homes),
        hidden=tuple(map(str, hidden)),
    )


def confinement(sandbox: Sandbox, homes=(), hidden=(), as_root=False) -> Confinement:
    """`as_root`: it keeps root's uid and capabilities, so that only mounts are in its way."""
    identity = {} if as_root else {"uid": UID, "gid": UID, "groups": (GROUP,)}
    root = private_root(sandbox, subject(homes, hidden))
    made = Confinement(
        umask=0o027,
        new_session=True,
        no_new_privs=True,
        drop_capabilities=not as_root,
        pid_namespace=sandbox.private_pids,
        namespaces=namespaces_for(sandbox, root is not None),
        root=root,
        **identity,
    )
    # As it travels to the spawner.
    return msgspec.json.decode(msgspec.json.encode(made), type=Confinement)


def run_confined(function: Callable[[], Any], made: Confinement, keep: tuple[int, ...] = ()) -> Any:
    """Return what `function()` returned inside, through JSON. `keep`: descriptors it needs."""
    fork = pidns.fork_in_new_pid_namespace if made.pid_namespace else os.fork

    def child():
        pipes = [fd for fd in map(int, os.listdir("/proc/self/fd")) if _is_pipe(fd)]
        close_all_fds_except({0, 1, 2, *pipes, *keep})
        planned = plan(made, probe(can_pid_namespace=made.pid_namespace))
        assert planned.unsupported == ()
        apply(planned.steps)
        return function()

    return run_forked(lambda: run_forked(child, fork=fork))


def attempt(call: Callable[[], Any]) -> str:
    """Return "done", or the name of the errno that it failed with."""
    try:
        call()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return "done"


def touch(path: str | Path) -> str:
    """Make a file and remove it again; return "done" or the errno's name."""

    def make():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        os.unlink(path)

    return attempt(make)


def fill(folder: str | Path, size: int) -> list[int]:
    """Return how many of `size` bytes a file in `folder` takes, and the errno after them."""
    path = f"{folder}/emperor-test-{os.getpid()}"
    written = 0
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        while written < size:
            written += os.write(fd, bytes(64 * 1024))
    except OSError as error:
        return [written, error.errno]
    finally:
        os.close(fd)
        os.unlink(path)
    return [written, 0]


class Place:
    """A folder of the host with the homes of a tenant and of a neighbour in it."""

    def __init__(self, folder: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="emperor-test-", dir=folder))
        self.path.chmod(0o755)
        self.blog = self.make("blog", UID)
        self.shop = self.make("shop", NEIGHBOUR_UID)
        (self.shop / "secret").write_text("of the neighbour")

    def make(self, name: str, uid: int = 0) -> Path:
        folder = self.path / name
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        os.chown(folder, uid, uid)
        return folder

    def remove(self) -> None:
        shutil.rmtree(self.path)


def _is_pipe(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")
    except OSError:
        return False

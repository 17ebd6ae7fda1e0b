"""Carries the spawner's inventory through an exec of its own new code. The pid stays, and with
it every child; descriptors stay open under their numbers.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable

import msgspec

from vassal.messages import MasterExited

VERSION = 1
READABLE = frozenset({VERSION})
"""Handovers that this code understands."""

VARIABLE = "EMPEROR_HANDOVER"
"""Names the descriptor of a memory file with the inventory, for the new image."""

CHECK_TIMEOUT_S = 60.0
LOOK_S = 1.0


class Master(msgspec.Struct, frozen=True, kw_only=True):
    """One master; its channel by the descriptor's number."""

    token: str
    vassal: str
    memo: str
    pid: int
    channel: int


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What a spawner is. `held` are descriptors by key, `holders` whose they are; `nofile_soft`
    is the limit that molds get, which the spawner has raised for itself; of `deaths` no emperor is
    known to have heard."""

    version: int = VERSION
    starts: int = 0
    nofile_soft: int = 1024
    held: dict[str, int] = {}
    holders: dict[str, str] = {}
    masters: tuple[Master, ...] = ()
    deaths: tuple[MasterExited, ...] = ()


def complaint(meanwhile: Callable[[], None] = lambda: None) -> str:
    """Return why the code on disk cannot take over; empty = it can.

    It is tried in a process of its own, which starts nothing; `meanwhile` is called every
    second that it takes.
    """
    words = (
        "import emperor.brain.__main__, emperor.spawner.spawner, emperor.spawner.handover as new; "
        f"raise SystemExit(0 if {VERSION} in new.READABLE else 'it cannot read this handover')"
    )
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # Not subprocess: it would load threads into every master's image.
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-c", words],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, write, fd) for fd in (1, 2)],
            setsigmask=(),
        )
        if not _has_ended(pid, meanwhile):
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        output = os.read(read, 65536) if status > 0 else b""
    except OSError as error:
        return str(error)
    finally:
        os.close(read)
        os.close(write)
    last = output.decode(errors="replace").strip().splitlines()[-1:]
    return "" if status == 0 else "".join(last) or f"it ended with status {status}"


def _has_ended(pid: int, meanwhile: Callable[[], None]) -> bool:
    pidfd = os.pidfd_open(pid)
    try:
        give_up_at = time.monotonic() + CHECK_TIMEOUT_S
        while time.monotonic() < give_up_at:
            if select.select([pidfd], [], [], LOOK_S)[0]:
                return True
            meanwhile()
        return False
    finally:
        os.close(pidfd)


def exec_with(state: Handover) -> None:
    """Become the code on disk, which takes `state` over. Returns only by raising OSError.

    Called with the signals blocked that the new image shall find.
    """
    fds = [*state.held.values(), *(master.channel for master in state.masters)]
    memory = os.memfd_create("emperord-handover", 0)
    try:
        os.write(memory, msgspec.json.encode(state))
        for fd in fds:
            os.set_inheritable(fd, True)
        environ = os.environ | {VARIABLE: str(memory)}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)
    finally:
        for fd in fds:
            os.set_inheritable(fd, False)
        os.close(memory)


def taken_over() -> Handover | None:
    """Return what an earlier image of this process left; None when there was none."""
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return None
    memory = int(text)
    state = msgspec.json.decode(os.pread(memory, os.fstat(memory).st_size, 0), type=Handover)
    os.close(memory)
    for fd in (*state.held.values(), *(master.channel for master in state.masters)):
        os.set_inheritable(fd, False)
    return state

"""Processes whose system calls fail or never begin, by strace."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.need import need_program
from tests.support.wait import wait_until


@contextlib.contextmanager
def failing_forks(pid: int, error: str) -> Iterator[None]:
    """Let every fork of `pid` fail with `error` for the time of a with block."""
    calls = "clone,clone3,fork,vfork"
    with _traced(pid, "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"):
        yield


@contextlib.contextmanager
def hanging(pid: int) -> Iterator[None]:
    """Let `pid` do nothing for the time of a with block, as if by a bug: no signal has stopped it,
    so the kernel tells nobody."""
    with _traced(pid, "-e", "inject=all:delay_enter=600s"):
        yield


@contextlib.contextmanager
def _traced(pid: int, *options: str) -> Iterator[None]:
    strace = need_program("strace")
    tracer = subprocess.Popen(
        [strace, "-o", "/dev/null", "-p", str(pid), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def traced() -> bool:
        status = Path(f"/proc/{pid}/status").read_text()
        return f"TracerPid:\t{tracer.pid}\n" in status

    try:
        wait_until(traced, what="strace is attached")
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)

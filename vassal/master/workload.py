"""Starts a program of the tenant's: in the workload's cgroup, confined, with chosen descriptors."""

import errno as errnos
import fcntl
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

import prctl

from limits import signals
from limits.apply import StepFailed, apply
from limits.fds import close_all_fds_except
from limits.pidns import fork
from limits.steps import Step

EXEC_FAILED = 127
"""Exit status of a child that could not become the program; the errno is in the pipe."""

TRANSIENT = {errnos.EAGAIN, errnos.ENOMEM, errnos.EMFILE, errnos.ENFILE, errnos.ENOBUFS}
"""The machine, or the tenant's limits, had no room for it: later there may be some."""


class Program(NamedTuple):
    """What to run. `directory` None = where it is run is its own affair."""

    arguments: list[str]  # the first is the path
    env: Mapping[str, str]
    directory: str | None = None


class Surroundings(NamedTuple):
    """What a program is put into: steps of its confinement, its cgroup, its RLIMIT_NOFILE."""

    steps: Sequence[Step]
    nofile_soft: int
    cgroup_procs_fd: int | None = None


class Process(NamedTuple):
    """A child that was started. Its owner closes the pidfd."""

    pid: int
    pidfd: int


class ExecFailed(Exception):
    """The program could not be started; str() says which step failed. `errno` 0 = none."""

    def __init__(self, errno: int, text: str) -> None:
        super().__init__(text)
        self.errno = errno


def start(program: Program, fds: Mapping[int, int], surroundings: Surroundings) -> Process:
    """Fork and exec a program in a session of its own.

    `fds` are its descriptors from 1 on by their numbers there, of which this process keeps
    its own; its standard input is empty. Raises ExecFailed when it cannot be run, OSError
    when there is no room for a process now.
    """
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = fork()
    except OSError:
        os.close(error_read)
        os.close(error_write)
        raise
    if pid == 0:
        _become(program, fds, surroundings, error_write)
    os.close(error_write)
    with open(error_read, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
        # Ends with the exec, or after the errno was written: either is immediate.
        problem = pipe.read()
    if not problem:
        return _process(pid)
    os.waitpid(pid, 0)
    number, _, text = problem.decode("utf-8", "replace").partition(" ")
    if int(number) in TRANSIENT:
        raise OSError(int(number), text)
    raise ExecFailed(int(number), text)


def _process(pid: int) -> Process:
    try:
        return Process(pid, os.pidfd_open(pid))
    except OSError:
        # Out of descriptors for its pidfd; the pid is ours, nobody has reaped it.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _become(
    program: Program, fds: Mapping[int, int], surroundings: Surroundings, error: int
) -> NoReturn:
    try:
        if surroundings.cgroup_procs_fd is not None:
            # First of all: what is done from here on counts as the tenant's.
            os.write(surroundings.cgroup_procs_fd, b"0")
        prctl.set_pdeathsig(signal.SIGKILL)
        # A session of its own: neither Ctrl-C in a terminal nor an application's kill(0)
        # may reach more than it is meant for.
        os.setsid()
        signals.reset_all()
        error = _arrange(fds, error)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        soft = surroundings.nofile_soft
        soft = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        apply(surroundings.steps)
        if program.directory is not None:
            os.chdir(program.directory)
        signals.set_mask()
        os.execve(program.arguments[0], program.arguments, program.env)
    except OSError as problem:
        path = problem.filename or program.arguments[0]
        os.write(error, f"{problem.errno} {path}: {problem.strerror}".encode())
    except StepFailed as problem:
        os.write(error, f"{problem.errno} {problem}".encode())
    finally:
        os._exit(EXEC_FAILED)


def _arrange(fds: Mapping[int, int], error: int) -> int:
    """Leave these descriptors, 0 and the error pipe open, nothing else; return the pipe's
    new number."""
    # First out of the way of the numbers that they are going to get.
    free = max(fds) + 1
    moved = {number: fcntl.fcntl(fd, fcntl.F_DUPFD, free) for number, fd in fds.items()}
    error = fcntl.fcntl(error, fcntl.F_DUPFD, free)
    for number, fd in {0: os.open("/dev/null", os.O_RDONLY), **moved}.items():
        os.dup2(fd, number)
    os.set_inheritable(error, False)
    close_all_fds_except({0, *fds, error})
    return error

"""Starts a mold: the tenant's interpreter, with five descriptors and nothing else of ours."""

import errno as errnos
import fcntl
import os
import resource
import signal
import socket
from collections.abc import Sequence

import prctl

from limits.apply import StepFailed, apply
from limits.fds import close_all_fds_except
from limits.pidns import fork
from limits.steps import Step
from vassal import packets
from vassal.bundle import PROGRAM
from vassal.messages import Generation

CONTROL_FD, RUNTIME_FD, PARSER_FD = 3, 4, 5
OUT_OF_THE_WAY = PARSER_FD + 1

EXEC_FAILED = 127
"""Exit status of a child that could not become the interpreter; the errno is in the pipe."""


TRANSIENT = {errnos.EAGAIN, errnos.ENOMEM, errnos.EMFILE, errnos.ENFILE, errnos.ENOBUFS}
"""The machine, or the tenant's limits, had no room for it: later there may be some."""


class ExecFailed(Exception):
    """The interpreter could not be started; str() says why and what to do."""


class MoldProcess:
    """A running mold. Owns the channel and the pidfd."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.channel = channel

    def close(self) -> None:
        """Close the channel, which tells the mold to go, and the pidfd."""
        self.channel.close()
        os.close(self.pidfd)


def start_mold(
    generation: Generation,
    runtime_fd: int,
    parser_fd: int | None,
    output_fd: int,
    nofile_soft: int,
    steps: Sequence[Step],
    cgroup_procs_fd: int | None = None,
) -> MoldProcess:
    """Fork and exec the interpreter of `generation`; the descriptors stay the caller's.

    The child moves into the cgroup of `cgroup_procs_fd`, and applies `steps` last before
    the exec. Raises ExecFailed when the interpreter cannot be run, OSError when there is
    no room for a process now.
    """
    ours, theirs = packets.pair()
    theirs.setblocking(True)
    try:
        error_read, error_write = os.pipe2(os.O_CLOEXEC)
    except OSError:
        ours.close()
        theirs.close()
        raise
    try:
        pid = fork()
    except OSError:
        packets.close_all([error_read, error_write])
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        fds = (theirs.fileno(), runtime_fd, parser_fd, output_fd, error_write)
        _become_mold(generation, fds, nofile_soft, steps, cgroup_procs_fd)
    theirs.close()
    os.close(error_write)
    with open(error_read, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
        # Ends with the exec, or after the errno was written: either is immediate.
        problem = pipe.read()
    if problem:
        ours.close()
        os.waitpid(pid, 0)
        number, _, text = problem.decode("utf-8", "replace").partition(" ")
        if int(number) in TRANSIENT:
            raise OSError(int(number), text)
        raise ExecFailed(text)
    try:
        return MoldProcess(pid, ours)
    except OSError:
        # Out of descriptors for its pidfd; the pid is ours, nobody has reaped it.
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _become_mold(
    generation: Generation,
    fds: tuple[int, int, int | None, int, int],
    nofile_soft: int,
    steps: Sequence[Step],
    cgroup_procs_fd: int | None,
) -> None:
    control, runtime, parser, output, error = fds
    try:
        if cgroup_procs_fd is not None:
            # First of all: what is done from here on counts as the tenant's.
            os.write(cgroup_procs_fd, b"0")
        prctl.set_pdeathsig(signal.SIGKILL)
        # A session of its own: neither Ctrl-C in a terminal nor an application's kill(0)
        # may reach more than it is meant for.
        os.setsid()
        for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(signum, signal.SIG_DFL)
        error = _arrange_fds(control, runtime, parser, output, error)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        soft = nofile_soft if hard == resource.RLIM_INFINITY else min(nofile_soft, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        apply(steps)
        arguments = [generation.python, "-I", "-c", PROGRAM, "mold", generation.vassal]
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(generation.python, arguments, generation.env)
    except OSError as problem:
        os.write(error, f"{problem.errno} {_explain(generation.python, problem)}".encode())
    except StepFailed as problem:
        os.write(error, f"{problem.errno} {problem}".encode())
    finally:
        os._exit(EXEC_FAILED)


def _arrange_fds(control: int, runtime: int, parser: int | None, output: int, error: int) -> int:
    """Leave 0 to 5 and the error pipe open, nothing else; return the pipe's new number."""
    # First out of the way of the numbers that they are going to get.
    control, runtime, output, error = (
        fcntl.fcntl(fd, fcntl.F_DUPFD, OUT_OF_THE_WAY) for fd in (control, runtime, output, error)
    )
    wanted = {0: os.open("/dev/null", os.O_RDONLY), 1: output, 2: output}
    wanted |= {CONTROL_FD: control, RUNTIME_FD: runtime}
    if parser is not None:
        wanted[PARSER_FD] = fcntl.fcntl(parser, fcntl.F_DUPFD, OUT_OF_THE_WAY)
    for number, fd in wanted.items():
        os.dup2(fd, number)
    os.set_inheritable(error, False)
    close_all_fds_except({*wanted, error})
    return error


def _explain(python: str, problem: OSError) -> str:
    hint = {
        2: "there is no such interpreter; write python = a virtualenv's folder or an interpreter",
        13: "this user may not execute it; choose one outside other users' folders, "
        "such as /usr/bin/python3",
        8: "this is not a program",
    }.get(problem.errno or 0, "")
    return f"exec {python}: {problem.strerror}" + (f": {hint}" if hint else "")

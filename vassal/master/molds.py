"""Starts a mold: the tenant's interpreter, with a few descriptors and nothing else of ours."""

import os
import socket

from vassal import packets
from vassal.bundle import PROGRAM
from vassal.generation import Generation
from vassal.master.workload import ExecFailed, Process, Program, Surroundings, start

CONTROL_FD, RUNTIME_FD, PARSER_FD, REQUESTS_FD = 3, 4, 5, 6

_HINTS = {
    2: "there is no such interpreter; write python = a virtualenv's folder or an interpreter",
    13: "this user may not execute it; choose one outside other users' folders, "
    "such as /usr/bin/python3",
    8: "this is not a program",
}


class MoldProcess:
    """A running mold; `has_begun` once it has shown that it is an interpreter. Owns the channel
    and the pidfd."""

    def __init__(self, process: Process, channel: socket.socket) -> None:
        self.pid, self.pidfd = process
        self.channel = channel
        self.has_begun = False

    def close(self) -> None:
        """Close the channel, which tells the mold to go, and the pidfd."""
        self.channel.close()
        os.close(self.pidfd)


def start_mold(
    generation: Generation,
    runtime_fd: int,
    parser_fd: int | None,
    output_fd: int,
    requests_fd: int | None,
    surroundings: Surroundings,
) -> MoldProcess:
    """Fork and exec the interpreter of `generation`; the descriptors stay the caller's.

    Raises ExecFailed when the interpreter cannot be run, OSError when there is no room for
    a process now.
    """
    ours, theirs = packets.pair()
    theirs.setblocking(True)
    fds = {1: output_fd, 2: output_fd, CONTROL_FD: theirs.fileno(), RUNTIME_FD: runtime_fd}
    fds |= {} if parser_fd is None else {PARSER_FD: parser_fd}
    fds |= {} if requests_fd is None else {REQUESTS_FD: requests_fd}
    arguments = [generation.python, "-I", "-c", PROGRAM, "mold", _shown(generation)]
    try:
        process = start(Program(arguments, generation.env), fds, surroundings)
    except ExecFailed as error:
        ours.close()
        hint = _HINTS.get(error.errno) if str(error).startswith(f"{generation.python}: ") else None
        text = f"exec {error}: {hint}" if hint else str(error)
        raise ExecFailed(error.errno, text) from None
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return MoldProcess(process, ours)


def _shown(generation: Generation) -> str:
    """Return the last argument, which says for whom the mold runs: `ps` shows it."""
    return generation.procname or generation.vassal

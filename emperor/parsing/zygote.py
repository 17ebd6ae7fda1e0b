"""The parser's side: a process without privileges that forks one child for each file.

Descriptor 0 is a SEQPACKET socket; every packet on it carries one connected stream
socket. The child reads a request from that stream, answers and exits. The zygote
itself never sees a tenant's byte. At the end of descriptor 0 it exits.

All imports are done before privileges are dropped: nobody may not be able to read our
installation.
"""

import os
import pwd
import resource
import select
import signal
import socket
import sys

import prctl

from emperor.config.vassal_file import load_vassal
from emperor.parsing.located import lines_of, lines_of_uwsgi
from emperor.parsing.protocol import (
    REQUEST_BYTES_MAX,
    STARTED,
    Located,
    Request,
    Result,
    decode_request,
    encode_answer,
)
from emperor.uwsgi.questions import AnsweredHost, Needed
from emperor.uwsgi.vassal import load_uwsgi
from vassal import packets

MEMORY_BYTES_MAX = 512 * 1024 * 1024
FILES_MAX = 32
NOBODY = 65534


def main() -> int:
    """Serve until the emperor is gone. argv: the seconds that a child may take."""
    seconds = float(sys.argv[1])
    control = socket.socket(fileno=0)
    _confine()
    # Children are reaped by the kernel, and end by themselves.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        select.select([control], [], [])
        try:
            packet = packets.receive(control)
        except packets.PeerGone:
            return 0
        for fd in packet.fds:
            _fork_child(fd, control, seconds)


def _confine() -> None:
    """Give up everything that reading a text does not need."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the emperor's affair
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if os.geteuid() == 0:
        uid, gid = _nobody()
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    prctl.set_no_new_privs(1)
    prctl.set_dumpable(0)  # other processes of nobody may not look into this one
    prctl.set_name("emperor-parser")
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
    ):
        _, hard = resource.getrlimit(limit)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(limit, (value, value))


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return entry.pw_uid, entry.pw_gid


def _fork_child(fd: int, control: socket.socket, seconds: float) -> None:
    try:
        pid = os.fork()
    except OSError:
        os.close(fd)  # the emperor sees the end of the stream, and asks again
        return
    if pid == 0:
        status = 1
        try:
            control.close()
            _answer(fd, seconds)
            status = 0
        finally:
            os._exit(status)
    os.close(fd)


def _answer(fd: int, seconds: float) -> None:
    # The default action of SIGALRM ends the process, whatever it is doing.
    signal.setitimer(signal.ITIMER_REAL, seconds)
    cpu_seconds = max(1, round(seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    with socket.socket(fileno=fd) as stream:
        stream.setblocking(True)
        stream.sendall(STARTED)
        request = decode_request(_read_all(stream))
        stream.sendall(encode_answer(_result_of(request)))


def _result_of(request: Request) -> Result:
    """Return what the file comes to, or what has to be known first. Never raises."""
    if request.facts is None and request.keys:
        return Located(lines=lines_of(request.text, request.file, request.keys))
    if request.facts is None:
        return load_vassal(
            request.name,
            request.text,
            request.file,
            request.folder,
            request.emperor,
            request.owner,
        )
    host = AnsweredHost({answer.question: answer for answer in request.answers})
    try:
        if request.keys:
            return Located(
                lines=lines_of_uwsgi(
                    request.name,
                    request.text,
                    request.file,
                    host,
                    request.facts,
                    request.emperor,
                    request.keys,
                )
            )
        return load_uwsgi(
            request.name,
            request.text,
            request.file,
            host,
            request.facts,
            request.emperor,
            request.owner,
        )
    except Needed as needed:
        return needed.question


def _read_all(stream: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= REQUEST_BYTES_MAX:
        part = stream.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    raise ValueError("the request is too long")


if __name__ == "__main__":
    sys.exit(main())

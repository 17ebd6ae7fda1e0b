"""Reads how many connections wait in the queues of listening sockets, and how many may.

TCP says it in TCP_INFO (sk_ack_backlog as tcpi_unacked, sk_max_ack_backlog as tcpi_sacked,
see tcp_get_info in the kernel's net/ipv4/tcp.c); a unix socket only to sock_diag(7), in the
network namespace it was made in.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vassal.generation import Generation

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_UDIAG_SHOW_RQLEN = 0x10
_UNIX_DIAG_RQLEN = 4
_TCP_QUEUE = struct.Struct("@24xII")
_HEADER = struct.Struct("@IHHII")
_REQUEST = struct.Struct("@BBHIIIII")
_ANSWER_BYTES = 16  # struct unix_diag_msg
_ATTRIBUTE = struct.Struct("@HH")
_QUEUES = struct.Struct("@II")


class Queue(NamedTuple):
    """A listening socket's queue: the connections that wait, and the most that can."""

    waiting: int = 0
    max: int = 0


def open_diag() -> socket.socket:
    """Return a socket that `waiting` can ask; it stays in today's network namespace."""
    diag = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
    diag.setblocking(False)
    return diag


@contextlib.contextmanager
def diag_for(generation: Generation) -> Iterator[list[int]]:
    """Yield what a master needs to see how many connections wait, if it wants to know."""
    if generation.workers_min in (0, generation.workers) and not generation.stats:
        yield []
        return
    with open_diag() as diag:
        yield [diag.fileno()]


def waiting(listeners: Iterable[int], diag_fd: int | None) -> int:
    """Return how many connections wait in all of these sockets; what cannot be known is 0."""
    return sum(queue(fd, diag_fd).waiting for fd in listeners)


def queue(fd: int, diag_fd: int | None) -> Queue:
    """Return the queue of one listening socket; what cannot be known is 0."""
    with socket.socket(fileno=os.dup(fd)) as listener:
        try:
            if listener.family != socket.AF_UNIX:
                info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                return Queue(*_TCP_QUEUE.unpack_from(info))
            return Queue() if diag_fd is None else _unix_queue(os.fstat(fd).st_ino, diag_fd)
        except OSError:
            return Queue()


def _unix_queue(inode: int, diag_fd: int) -> Queue:
    with socket.socket(fileno=os.dup(diag_fd)) as diag:
        everything, no_cookie = 0xFFFFFFFF, 0xFFFFFFFF
        body = _REQUEST.pack(
            socket.AF_UNIX, 0, 0, everything, inode, _UDIAG_SHOW_RQLEN, no_cookie, no_cookie
        )
        header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, 1, 0, 0)
        diag.send(header + body)
        # The kernel answers before send() returns.
        return parse_answer(diag.recv(4096))


def parse_answer(answer: bytes) -> Queue:
    """Return the queue that a sock_diag answer tells; zeros for an error."""
    if len(answer) < _HEADER.size or _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return Queue()
    at = _HEADER.size + _ANSWER_BYTES
    while at + _ATTRIBUTE.size <= len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, at)
        if kind == _UNIX_DIAG_RQLEN and length >= _ATTRIBUTE.size + _QUEUES.size:
            return Queue(*_QUEUES.unpack_from(answer, at + _ATTRIBUTE.size))
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return Queue()

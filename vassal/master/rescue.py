"""Answers the clients of a worker that is killed: 504 to whom it is killed for, 503 to the others.

The descriptor number is the tenant's word; what is fetched with it can only be a
descriptor that the tenant already has, and only sockets are written to, without waiting.
"""

import contextlib
import os
import socket
import stat
import struct
from typing import NamedTuple

from limits.pidfd import pidfd_getfd
from vassal.runtime.scoreboard import IN_APP, PROTOCOLS, RUNNING, SlotReading

GATEWAY_TIMEOUT = b"504 Gateway Timeout"
UNAVAILABLE = b"503 Service Unavailable"

_NO_LINGER = struct.pack("ii", 0, 0)


class Held(NamedTuple):
    """A request that goes with its worker, and a copy of its client; None = none to answer."""

    request: SlotReading
    client: socket.socket | None


def answer_timeout(pidfd: int, reading: SlotReading) -> bool:
    """Send 504 on the request's own connection; return whether it went out.

    Does nothing once the worker has sent anything itself.
    """
    client = _copy_of_client(pidfd, reading)
    # The worker's own copy dies with it; until then nothing may follow this answer.
    return client is not None and _answer(client, GATEWAY_TIMEOUT, reading)


def hold(pidfd: int, reading: SlotReading) -> Held:
    """Fetch the client of a request that has done nothing wrong, before its worker is killed."""
    return Held(reading, _copy_of_client(pidfd, reading))


def answer_lost(held: Held, now: SlotReading) -> bool | None:
    """Send 503 to a held client if its request died unanswered; return whether it went out.

    `now` is its slot after the worker's end: before that the worker could answer itself.
    None = the request was over by then. The client is closed.
    """
    is_lost = now.request_id == held.request.request_id and now.state in RUNNING
    if held.client is None:
        return False if is_lost else None
    if not is_lost or now.state != IN_APP:
        held.client.close()
        return False if is_lost else None
    return _answer(held.client, UNAVAILABLE, held.request)


def _copy_of_client(pidfd: int, reading: SlotReading) -> socket.socket | None:
    """Return the socket of a request that nothing was sent for yet; None = there is none."""
    if reading.state != IN_APP or reading.client_fd < 0 or reading.protocol >= len(PROTOCOLS):
        return None
    try:
        fd = pidfd_getfd(pidfd, reading.client_fd)
    except OSError:
        return None  # EPERM under a hardened ptrace_scope, EBADF when the slot lied
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
        client = socket.socket(fileno=fd)
        fd = -1
        return client
    except OSError:
        return None
    finally:
        if fd >= 0:
            os.close(fd)


def _answer(client: socket.socket, status: bytes, reading: SlotReading) -> bool:
    """Send a whole answer and close; return whether it went out."""
    answer = whole_answer(status, PROTOCOLS[reading.protocol], reading.stream_id)
    with client, contextlib.suppress(OSError):
        # Ours may be the last copy, and the close would wait for as long as the tenant said.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        client.send(answer, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        client.shutdown(socket.SHUT_WR)
        return True
    return False


def whole_answer(status: bytes, protocol: str, stream_id: int) -> bytes:
    """Return the bytes of a whole answer of `status` in `protocol`."""
    body = status + b"\n"
    fields = b"Content-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    rest = status + b"\r\n" + fields % len(body) + body
    if protocol in ("http", "uwsgi"):
        return b"HTTP/1.1 " + rest
    answer = b"Status: " + rest
    if protocol == "scgi":
        return answer
    return (
        _fastcgi_record(6, stream_id, answer)
        + _fastcgi_record(6, stream_id, b"")
        + _fastcgi_record(3, stream_id, bytes(8))
    )


def _fastcgi_record(kind: int, stream_id: int, content: bytes) -> bytes:
    return (
        bytes((1, kind)) + stream_id.to_bytes(2, "big") + len(content).to_bytes(2, "big") + b"\0\0"
    ) + content

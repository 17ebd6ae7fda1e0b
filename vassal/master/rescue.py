"""Answers 504 to the client of a worker that is about to be killed.

The descriptor number is the tenant's word; what is fetched with it can only be a
descriptor that the tenant already has, and only sockets are written to, without waiting.
"""

import contextlib
import os
import socket
import stat

from limits.pidfd import pidfd_getfd
from vassal.runtime.scoreboard import IN_APP, PROTOCOLS, SlotReading

GATEWAY_TIMEOUT = b"504 Gateway Timeout"
UNAVAILABLE = b"503 Service Unavailable"


def answer_timeout(pidfd: int, reading: SlotReading) -> bool:
    """Send 504 on the request's own connection; return whether it went out.

    Does nothing once the worker has sent anything itself.
    """
    if reading.state != IN_APP or reading.client_fd < 0 or reading.protocol >= len(PROTOCOLS):
        return False
    answer = whole_answer(GATEWAY_TIMEOUT, PROTOCOLS[reading.protocol], reading.stream_id)
    try:
        fd = pidfd_getfd(pidfd, reading.client_fd)
    except OSError:
        return False  # EPERM under a hardened ptrace_scope, EBADF when the slot lied
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
        client = socket.socket(fileno=fd)
        fd = -1
        with client, contextlib.suppress(OSError):
            client.send(answer, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            # The worker's own copy dies with it; until then nothing may follow this answer.
            client.shutdown(socket.SHUT_WR)
            return True
        return False
    finally:
        if fd >= 0:
            os.close(fd)


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

"""Answers who breaks the protocol or a limit, and tells the master, but not each time."""

from __future__ import annotations

import time

from . import frames
from .wire.request import ProtocolError, Request
from .wsgi import CLOSE, LINGER, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection
    from .control import Control

EVERY_S = 60.0
"""Anybody can cause these, as fast as they like."""

TIMEOUT = 408
_HTTP_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"PRI ")


class Refusals:
    """Of one worker; without a master nobody is told."""

    def __init__(self, control: Control | None) -> None:
        self._control = control
        self._tally = Tally()

    def answer(self, connection: Connection, error: ProtocolError) -> str:
        """Answer where the protocol allows it; return what becomes of the connection."""
        name = connection.listener.wire.name
        # A client that says nothing breaks no protocol: a browser connects in advance.
        if error.status != TIMEOUT and self._control is not None:
            fields = self._tally.note(name, connection.buffer, error, time.monotonic())
            if fields is not None:
                self._control.send(frames.REFUSED, fields)
        if name == "fastcgi" and not error.stream_id:
            return CLOSE  # there is no request whose answer it could be
        request = Request({}, b"", b"", 0, 0)
        request.stream_id = error.stream_id
        response = Response(connection, request, time.monotonic_ns(), _nothing)
        try:
            response.refuse(error.status, error.reason)
        except OSError:
            return CLOSE
        return LINGER


class Tally:
    """Counts refusals, and says when it is time to tell of them."""

    def __init__(self) -> None:
        self._count = 0
        self._told_at: float | None = None

    def note(
        self, protocol: str, data: bytes, error: ProtocolError, now: float
    ) -> dict[str, str] | None:
        """Return what is to be told, None = nothing now.

        `data` came over a socket that speaks `protocol`; `now` is in monotonic seconds.
        """
        self._count += 1
        if self._told_at is not None and now - self._told_at < EVERY_S:
            return None
        count, self._count, self._told_at = self._count, 0, now
        spoken = language_of(data)
        strange = spoken and spoken != protocol
        return {
            "protocol": protocol,
            "status": str(error.status),
            "reason": "the client speaks %s" % spoken if strange else error.reason,
            "count": str(count),
        }


def language_of(data: bytes) -> str:
    """Return what a request that begins with these bytes is written in; "" = hard to say."""
    if data.startswith(_HTTP_METHODS):
        return "http"
    if data.startswith(b"\x16\x03"):
        return "TLS"
    if data.startswith(b"\x01\x01\x00"):
        return "fastcgi"
    if data[:1].isdigit() and b":CONTENT_LENGTH\0" in data[:32]:
        return "scgi"
    if data[:1] == b"\0" and data[4:6] in (b"\x0c\0", b"\x0e\0"):  # QUERY_STRING, REQUEST_METHOD
        return "uwsgi"
    return ""


def _nothing() -> None:
    pass

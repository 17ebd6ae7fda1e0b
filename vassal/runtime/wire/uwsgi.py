"""The uwsgi protocol: a 4-byte header, then variables, then the raw body. Sans-io.

Source: uwsgi-docs, Protocol.rst. Only modifier1 0 (WSGI) and 100 (ping) are served.
"""

from __future__ import annotations

from .cgi import make_request
from .request import Base, ProtocolError, Reply, Request

PING = 100
PONG = b"\x64\x00\x00\x00"


class Uwsgi:
    """The uwsgi protocol with one set of limits; keeps nothing between requests."""

    name = "uwsgi"

    def __init__(self, head_bytes_max: int, body_bytes_max: int):
        self._head_bytes_max = head_bytes_max
        self._body_bytes_max = body_bytes_max

    def parse(self, data: bytes, base: Base) -> Request | Reply | None:
        """Return the request or ping that begins `data`; None = more bytes are needed."""
        if not data:
            return None
        if data[0]:
            return self._other(data)
        if len(data) < 4:
            return None
        end = 4 + (data[1] | data[2] << 8)
        if end > self._head_bytes_max:
            raise ProtocolError(431, "Request head too large")
        if len(data) < end:
            return None
        environ = base.defaults.copy()
        # Decoded once, then sliced: a third cheaper than decoding every variable.
        text = data[:end].decode("latin-1")
        at = 4
        try:
            while at < end:
                key_at = at + 2
                key_end = key_at + data[at]
                if data[at + 1]:  # the high byte: hardly ever
                    key_end += data[at + 1] << 8
                value_at = key_end + 2
                at = value_at + data[key_end]
                if data[key_end + 1]:
                    at += data[key_end + 1] << 8
                environ[text[key_at:key_end]] = text[value_at:at]
        except IndexError:
            at = -1
        if at != end:
            raise ProtocolError(400, "Malformed uwsgi variables")
        return make_request(environ, base, end, self._body_bytes_max)

    def _other(self, data: bytes) -> Reply | None:
        if data[0] != PING:
            raise ProtocolError(400, "Unknown uwsgi modifier")
        if len(data) < 4:
            return None
        return Reply(PONG, 0, len(data), close=True)

"""SCGI: one netstring of NUL-terminated variables, then the raw body. Sans-io.

Source: https://python.ca/scgi/protocol.txt
"""

from __future__ import annotations

from .cgi import make_request
from .request import Base, ProtocolError, Request

LENGTH_DIGITS_MAX = 9


class Scgi:
    """SCGI with one set of limits; keeps nothing between requests."""

    name = "scgi"

    def __init__(self, head_bytes_max: int, body_bytes_max: int):
        self._head_bytes_max = head_bytes_max
        self._body_bytes_max = body_bytes_max

    def parse(self, data: bytes, base: Base) -> Request | None:
        """Return the request that begins `data`; None = more bytes are needed."""
        colon = data.find(b":", 0, LENGTH_DIGITS_MAX + 1)
        digits = data[:colon] if colon >= 0 else data[: LENGTH_DIGITS_MAX + 1]
        if (digits or colon >= 0) and (
            not digits.isdigit()
            or len(digits) > LENGTH_DIGITS_MAX
            or (digits[:1] == b"0" and len(digits) > 1)
        ):
            raise ProtocolError(400, "Malformed SCGI length")
        if colon < 0:
            return None
        begin = colon + 1
        end = begin + int(digits)
        if end > self._head_bytes_max:
            raise ProtocolError(431, "Request head too large")
        if len(data) <= end:
            return None
        if data[end] != 0x2C:
            raise ProtocolError(400, "Malformed SCGI netstring")
        parts = data[begin:end].decode("latin-1").split("\0")
        # Each name and value ends with a NUL: one empty part behind the last of them.
        if len(parts) % 2 != 1 or parts[-1] or parts[0] != "CONTENT_LENGTH":
            raise ProtocolError(400, "Malformed SCGI variables")
        environ = base.defaults.copy()
        environ.update(zip(parts[0:-1:2], parts[1::2]))
        return make_request(environ, base, end + 1, self._body_bytes_max)

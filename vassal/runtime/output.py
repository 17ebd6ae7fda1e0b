"""Response heads: what start_response was given, checked and turned into bytes. Pure."""

from __future__ import annotations

import time

from .wire.text import TOKEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

_TOKEN = TOKEN.decode()
_DELETED = dict.fromkeys(map(ord, _TOKEN))
_CACHE_MAX = 512

ORDINARY, LENGTH, DATE, CONNECTION, DROPPED = range(5)

_KINDS: dict[str, int] = {}
"""Field name as the application writes it → what it means to us. Bounded."""

_SPECIAL = {
    "content-length": LENGTH,
    "date": DATE,
    "connection": CONNECTION,
    # Hop-by-hop (RFC 2616, 13.5.1): PEP 3333 forbids them to applications, and a wrong
    # Transfer-Encoding would break the framing. Dropped, as other servers do.
    "keep-alive": DROPPED,
    "proxy-authenticate": DROPPED,
    "proxy-authorization": DROPPED,
    "te": DROPPED,
    "trailer": DROPPED,
    "trailers": DROPPED,
    "transfer-encoding": DROPPED,
    "upgrade": DROPPED,
}

_STATUSES: dict[str, tuple[int, bytes]] = {}

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)

REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
"""The statuses that the worker answers by itself."""


class Head:
    """A checked status and header list. `length` is None when none was declared."""

    __slots__ = ("close", "code", "dated", "fields", "length", "status")

    def __init__(self, status: str, headers: Iterable[tuple[str, str]]):
        """Check and encode; raise ValueError or TypeError for what must not be sent."""
        self.code, self.status = _STATUSES.get(status) or _check_status(status)
        self.length: int | None = None
        self.dated = False
        self.close = False
        parts: list[str] = []
        kinds = _KINDS
        for name, value in headers:
            kind = kinds[name] if name in kinds else _classify(name)
            if kind and not self._keep(kind, value):
                continue
            parts += name, ": ", value, "\r\n"
        fields = "".join(parts)
        # One search over all lines: each has one line end, which is ours.
        count = len(parts) // 4
        if fields.count("\n") != count or fields.count("\r") != count or "\0" in fields:
            raise ValueError("a response header contains CR, LF or NUL: %r" % fields)
        self.fields = fields.encode("latin-1")

    def _keep(self, kind: int, value: str) -> bool:
        """Note what a special field says; return whether it is sent."""
        if kind == LENGTH:
            if not (value.isascii() and value.isdigit()):
                raise ValueError("Content-Length is not a number: %r" % value)
            length = int(value)
            if self.length is None:
                self.length = length
                return self.code != 204  # RFC 9110, 8.6
            if self.length != length:
                raise ValueError("two Content-Length headers differ")
            return False
        if kind == DATE:
            self.dated = True
            return True
        if kind == CONNECTION and "close" in value.lower():
            self.close = True
        return False


def _check_status(status: str) -> tuple[int, bytes]:
    if type(status) is not str:
        raise TypeError("status must be a str, not %r" % (status,))
    digits = status[:3]
    if not (digits.isascii() and digits.isdigit() and 200 <= int(digits) <= 999):
        raise ValueError("status must begin with a number from 200 to 999: %r" % status)
    if len(status) < 4 or status[3] != " ":
        raise ValueError("status must be a number, a space and a reason: %r" % status)
    if not all(char.isprintable() or ord(char) >= 0x80 for char in status):
        raise ValueError("status contains a control character: %r" % status)
    known = int(digits), status.encode("latin-1") + b"\r\n"
    if len(_STATUSES) < _CACHE_MAX:
        _STATUSES[status] = known
    return known


def _classify(name: str) -> int:
    if type(name) is not str:
        raise TypeError("a header name must be a str, not %r" % (name,))
    if not name or name.translate(_DELETED):
        raise ValueError("not a header name: %r" % name)
    kind = _SPECIAL.get(name.lower(), ORDINARY)
    if len(_KINDS) < _CACHE_MAX:
        _KINDS[name] = kind
    return kind


def http_date(unix_time: float) -> str:
    """Return a time as RFC 9110, 5.6.7 writes it, whatever the locale."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(unix_time)
    return "%s, %02d %s %d %02d:%02d:%02d GMT" % (
        _DAYS[weekday],
        day,
        MONTHS[month - 1],
        year,
        hour,
        minute,
        second,
    )


class DateField:
    """The Date field, made anew at most once in a second."""

    def __init__(self) -> None:
        self._until_ns = 0
        self._field = b""

    def get(self, monotonic_ns: int) -> bytes:
        """Return the field with its line end; `monotonic_ns` is now or shortly before."""
        if monotonic_ns >= self._until_ns:
            now_ns = time.time_ns()
            self._field = b"Date: %s\r\n" % http_date(now_ns // 1_000_000_000).encode()
            self._until_ns = monotonic_ns + 1_000_000_000 - now_ns % 1_000_000_000
        return self._field


date_field = DateField()


def error_body(code: int, reason: str) -> tuple[Head, bytes]:
    """Return head and body of an answer that the worker gives by itself."""
    body = ("%d %s\n" % (code, reason)).encode("latin-1", "replace")
    return Head(
        "%d %s" % (code, REASONS[code]),
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    ), body

"""HTTP/1.0 and 1.1 requests: bytes in, environ out. Sans-io.

A library reads the head (heads.py). Here it is decided what may be served: everything
that two readers of one stream could understand differently is refused, because that is
how requests are smuggled past a proxy.
"""

from __future__ import annotations

from .heads import BAD_REQUEST, make_head_reader
from .request import Base, ProtocolError, Request
from .text import TOKEN, parse_length, unquote, without_dots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from .heads import HeadReader

VERSIONS = {b"HTTP/1.1": "HTTP/1.1", b"HTTP/1.0": "HTTP/1.0"}

# What llhttp knows, less CONNECT: no application is a tunnel. An unknown method is 501.
METHODS = {
    name.encode(): name
    for name in [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "TRACE",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "SEARCH",
        "BIND",
        "REBIND",
        "UNBIND",
        "ACL",
        "REPORT",
        "MKACTIVITY",
        "CHECKOUT",
        "MERGE",
        "M-SEARCH",
        "NOTIFY",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "PURGE",
        "MKCALENDAR",
        "LINK",
        "UNLINK",
    ]
}

_HOST_BYTES = (
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+;=:[]%"
).decode()
_HOST_DELETED = dict.fromkeys(map(ord, _HOST_BYTES))

_NAMES_MAX = 512
_KEYS: dict[bytes, str] = {}
"""Field name as it came → environ key; "" = dropped. Bounded: names are the client's."""

DROPPED = ""

_EMPTY_LINES_MAX = 4
"""Before a request. Without a bound they would fill the buffer, read again with each byte."""


def environ_key(name: bytes) -> str:
    """Return the environ key of a field name; DROPPED for those that no app shall see.

    X_Y would become the same key as X-Y, which a proxy may have checked; nginx drops it
    too. `Proxy` would become HTTP_PROXY, which HTTP clients obey (httpoxy).
    """
    key = _KEYS.get(name)
    if key is None:
        lower = name.lower()
        if b"_" in name or lower == b"proxy":
            key = DROPPED
        elif lower in (b"content-type", b"content-length"):
            key = lower.decode("latin-1").upper().replace("-", "_")
        else:
            key = "HTTP_" + lower.decode("latin-1").upper().replace("-", "_")
        if len(_KEYS) < _NAMES_MAX:
            _KEYS[name] = key
    return key


class Http:
    """HTTP with one set of limits; keeps nothing between requests."""

    name = "http"

    def __init__(self, reader: HeadReader, head_bytes_max: int, body_bytes_max: int):
        self._reader = reader
        self._head_bytes_max = head_bytes_max
        self._body_bytes_max = body_bytes_max

    def parse(self, data: bytes, base: Base) -> Request | None:
        """Return the request that begins `data`; None = its head is not complete."""
        start = 0
        while data.startswith(b"\r\n", start):  # RFC 9112, 2.2: ignore empty lines before
            start += 2
            if start > _EMPTY_LINES_MAX * 2:
                raise ProtocolError(400, BAD_REQUEST)
        end = data.find(b"\r\n\r\n", start)
        if end < 0 or end - start > self._head_bytes_max:
            self._check_unfinished(data[start:] if start else data)
            return None
        end += 4
        head = data[start:end] if start or end != len(data) else data
        line = head[: head.find(b"\r\n")].split(b" ")
        method, protocol = self._check_line(line)
        target = line[1]
        environ = base.all.copy()
        before = len(environ)
        for name, value in self._reader.fields(head).items():
            key = _KEYS.get(name)
            if key is None:
                key = environ_key(name)
            if key:
                environ[key] = value.decode("latin-1").strip(" \t")
        # Fewer than lines: a field was repeated, folded or dropped.
        if len(environ) - before != head.count(b"\r\n") - 2:
            environ = base.all.copy()
            self._merge_fields(head, environ)
        environ["REQUEST_METHOD"] = method
        environ["SERVER_PROTOCOL"] = protocol
        self._set_target(environ, target, method)
        request = Request(environ, line[0], target, end, 0)
        request.http11 = protocol == "HTTP/1.1"
        self._set_framing(request, environ)
        return request

    def _check_unfinished(self, data: bytes) -> None:
        """Refuse a head that is too large, or that cannot become one."""
        # 3: the beginning of the end, an empty line, may be among them.
        if len(data) > self._head_bytes_max + 3:
            if data.find(b"\r\n", 0, self._head_bytes_max) < 0:
                raise ProtocolError(414, "Request line too long")
            raise ProtocolError(431, "Request head too large")
        if data and data[0] not in TOKEN and data != b"\r":
            raise ProtocolError(400, BAD_REQUEST)  # for example a TLS handshake
        if data.count(b"\n") != data.count(b"\r\n"):
            raise ProtocolError(400, BAD_REQUEST)  # would wait for ever for its CRLF

    def _check_line(self, line: list[bytes]) -> tuple[str, str]:
        if len(line) != 3 or not line[1]:
            raise ProtocolError(400, BAD_REQUEST)
        protocol = VERSIONS.get(line[2])
        if protocol is None:
            version = line[2]
            digits = version[5:6] + version[7:]
            if version[:5] == b"HTTP/" and version[6:7] == b"." and len(digits) == 2:
                if digits.isdigit():
                    raise ProtocolError(505, "HTTP version not supported")
            raise ProtocolError(400, BAD_REQUEST)
        method = METHODS.get(line[0])
        if method is None:
            if not line[0] or line[0].translate(None, TOKEN):
                raise ProtocolError(400, BAD_REQUEST)
            raise ProtocolError(501, "Method not implemented")
        return method, protocol

    def _merge_fields(self, head: bytes, environ: dict[str, Any]) -> None:
        """Enter every field into `environ`, repeated ones joined as RFC 9110, 5.3 allows."""
        fields = self._reader.field_list(head)
        if len(fields) != head.count(b"\r\n") - 2:
            raise ProtocolError(400, BAD_REQUEST)  # obs-fold, or a line end that is not CRLF
        seen = set()
        for name, raw in fields:
            key = environ_key(name)
            value = raw.decode("latin-1").strip(" \t")
            if not key:
                continue
            if key in seen:
                if key in _ONCE:
                    raise ProtocolError(400, "Repeated %s" % name.decode("latin-1"))
                value = environ[key] + ("; " if key == "HTTP_COOKIE" else ", ") + value
            seen.add(key)
            environ[key] = value

    def _set_target(self, environ: dict[str, Any], target: bytes, method: str) -> None:
        uri = target.decode("latin-1")
        environ["REQUEST_URI"] = environ["RAW_URI"] = uri
        if b"#" in target:
            raise ProtocolError(400, BAD_REQUEST)
        path, mark, query = target.partition(b"?")
        if path[:1] != b"/":
            if target == b"*" and method == "OPTIONS":
                path = b""
            else:
                path = self._set_authority(environ, path)
        if b"/." in path:
            path = without_dots(path)
        environ["PATH_INFO"] = path.decode("latin-1") if b"%" not in path else unquote(path)
        environ["QUERY_STRING"] = query.decode("latin-1") if mark else ""

    def _set_authority(self, environ: dict[str, Any], path: bytes) -> bytes:
        """Split an absolute-form target; its host replaces the Host field (RFC 9112, 3.2.2)."""
        scheme, mark, rest = path.partition(b"://")
        if not mark or scheme.lower() not in (b"http", b"https"):
            raise ProtocolError(400, BAD_REQUEST)
        authority, _, path = rest.partition(b"/")
        if not authority:
            raise ProtocolError(400, BAD_REQUEST)
        if "HTTP_HOST" in environ or environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            environ["HTTP_HOST"] = authority.decode("latin-1")
        return b"/" + path

    def _set_framing(self, request: Request, environ: dict[str, Any]) -> None:
        get = environ.get
        host = get("HTTP_HOST")
        if host is None:
            if request.http11:
                raise ProtocolError(400, "Missing Host")
        elif host.translate(_HOST_DELETED):
            raise ProtocolError(400, "Malformed Host")
        connection = get("HTTP_CONNECTION")
        if connection is None:
            request.keep_alive = request.http11
        else:
            tokens = [token.strip() for token in connection.lower().split(",")]
            request.keep_alive = "close" not in tokens and (
                request.http11 or "keep-alive" in tokens
            )
        length = get("CONTENT_LENGTH")
        encoding = get("HTTP_TRANSFER_ENCODING")
        if encoding is not None:
            if length is not None or not request.http11:
                raise ProtocolError(400, "Ambiguous body length")
            if encoding.lower() != "chunked":
                raise ProtocolError(400, "Transfer-Encoding not understood")
            request.body_length = -1
            request.decoder = self._reader.chunked(self._body_bytes_max)
        elif length is not None:
            number = parse_length(length)
            if number is None:
                raise ProtocolError(400, "Malformed Content-Length")
            if self._body_bytes_max and number > self._body_bytes_max:
                raise ProtocolError(413, "Body too large")
            request.body_length = number
        if request.http11 and "HTTP_EXPECT" in environ:
            if environ["HTTP_EXPECT"].lower() != "100-continue":
                raise ProtocolError(417, "Expectation not understood")
            request.expects_continue = True


_ONCE = frozenset({"HTTP_HOST", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "CONTENT_TYPE"})

_reader: HeadReader | None = None


def use_parsers(httptools: ModuleType | None, h11: ModuleType | None) -> None:
    """Choose the library that reads HTTP in this process: the first one that is there."""
    global _reader
    _reader = make_head_reader(httptools, h11)


def make_http(head_bytes_max: int, body_bytes_max: int) -> Http:
    """Return the protocol over the library chosen with use_parsers()."""
    if _reader is None:
        raise RuntimeError("no HTTP parser was handed in: call use_parsers() before the fork")
    return Http(_reader, head_bytes_max, body_bytes_max)

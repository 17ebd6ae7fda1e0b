"""Reads HTTP heads and chunked bodies with httptools or h11, whichever was handed in.

Both read the fields of a head; what request smuggling lives on is judged in http.py, the
same for both, and only what one of them lets pass is checked here.
"""

from __future__ import annotations

from .request import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Protocol

    class HeadReader(Protocol):
        """One HTTP library."""

        def fields(self, head: bytes) -> dict[bytes, bytes]:
            """Return the fields of a legal head; raise ProtocolError.

            Of fields with one name only the last is there: the caller compares counts.
            """

        def field_list(self, head: bytes) -> list[tuple[bytes, bytes]]:
            """Return every field of a legal head in order; raise ProtocolError."""

        def chunked(self, limit: int) -> Any:
            """Return a Decoder for one chunked body of at most `limit` bytes (0 = any)."""


BAD_REQUEST = "Malformed request"
_FIELD_BYTES = bytes(byte for byte in range(256) if byte in b"\t\r\n" or 0x20 <= byte != 0x7F)
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
# llhttp refuses them; RFC 9110, 6.5.1: a trailer must not tell how its message is framed.
_NO_TRAILERS = frozenset({b"content-length", b"transfer-encoding"})
TRAILER_BYTES_MAX = 16 * 1024
"""Chunk sizes, their extensions and trailers: what may come in a row without any body."""


def make_head_reader(httptools: ModuleType | None, h11: ModuleType | None) -> HeadReader:
    """Return a reader over the first of these modules that is there."""
    if httptools is not None:
        return LlhttpReader(httptools)
    if h11 is not None:
        return H11Reader(h11)
    raise RuntimeError("neither httptools nor h11 could be loaded: HTTP cannot be served")


class _Sink:
    """Receives the parser's callbacks; those left None are not made."""

    on_message_begin = None
    on_url = None
    on_header: Any = None
    on_headers_complete = None
    on_body: Any = None
    on_message_complete: Any = None
    on_chunk_header = None
    on_chunk_complete = None


class LlhttpReader:
    """llhttp, through httptools. Its callbacks are C functions: no Python frame per field."""

    def __init__(self, module: ModuleType):
        self._module = module
        self._fields: dict[bytes, bytes] = {}
        self._sink = _Sink()
        self._sink.on_header = self._fields.__setitem__
        self._parser = module.HttpRequestParser(self._sink)
        self._error = module.HttpParserError
        self._upgrade = module.HttpParserUpgrade

    def fields(self, head: bytes) -> dict[bytes, bytes]:
        fields = self._fields
        fields.clear()
        parser = self._parser
        parser.__init__(self._sink)  # back to the first state; cheaper than a new one
        try:
            parser.feed_data(head)
        except self._upgrade:
            pass  # answered as if no upgrade had been asked for, as RFC 9110, 7.8 allows
        except self._error as error:
            raise ProtocolError(400, BAD_REQUEST) from error
        return fields

    def field_list(self, head: bytes) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        sink = _Sink()
        sink.on_header = lambda name, value: found.append((name, value))
        try:
            self._module.HttpRequestParser(sink).feed_data(head)
        except self._upgrade:
            pass
        except self._error as error:
            raise ProtocolError(400, BAD_REQUEST) from error
        return found

    def chunked(self, limit: int) -> LlhttpChunked:
        return LlhttpChunked(self._module, limit)


class LlhttpChunked:
    """One chunked body through llhttp.

    httptools does not say where a message ended. But a chunked body can only end with an
    empty line, so the data is fed in pieces that end with one, and the body's end is
    always the end of a piece.
    """

    reply = b""
    flaw = ""

    def __init__(self, module: ModuleType, limit: int):
        self.done = False
        self.rest = b""
        self._limit = limit
        self._found: list[bytes] = []
        self._ended: list[bool] = []
        self._tail = b""  # up to 3 bytes already fed, where an empty line may have begun
        self._total = 0
        self._bare = 0
        sink = _Sink()
        sink.on_body = self._found.append
        sink.on_message_complete = lambda: self._ended.append(True)
        self._parser = module.HttpRequestParser(sink)
        self._error = module.HttpParserError
        self._parser.feed_data(CHUNKED_HEAD)

    def feed(self, data: bytes) -> bytes:
        joined = self._tail + data
        at = len(self._tail)
        search = 0
        while at < len(joined) and not self.done:
            end = joined.find(b"\r\n\r\n", search)
            cut = len(joined) if end < 0 else end + 4
            search = cut - 2
            self._feed_piece(joined[at:cut])
            at = cut
        if self.done:
            self.rest = joined[at:]
        self._tail = joined[-3:]
        body = b"".join(self._found)
        self._found.clear()
        self._count(len(data), len(body))
        return body

    def _feed_piece(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except self._error as error:
            raise ProtocolError(400, "Malformed chunked body") from error
        self.done = bool(self._ended)

    def _count(self, raw: int, body: int) -> None:
        self._total += body
        self._bare = 0 if body else self._bare + raw
        if self._limit and self._total > self._limit:
            raise ProtocolError(413, "Body too large")
        if self._bare > TRAILER_BYTES_MAX and not self.done:
            raise ProtocolError(400, "Malformed chunked body")


class H11Reader:
    """h11: pure Python, for interpreters that cannot load our httptools."""

    def __init__(self, module: ModuleType):
        self._module = module

    def fields(self, head: bytes) -> dict[bytes, bytes]:
        return dict(self.field_list(head))

    def field_list(self, head: bytes) -> list[tuple[bytes, bytes]]:
        # h11 takes LF for a line end, unfolds continued lines, lets control characters
        # pass, and makes "3, 3" a Content-Length of 3. llhttp does none of that.
        lines = head.count(b"\r\n")
        if head.count(b"\n") != lines or head.count(b"\r") != lines:
            raise ProtocolError(400, BAD_REQUEST)
        if b"\r\n " in head or b"\r\n\t" in head:
            raise ProtocolError(400, BAD_REQUEST)
        connection = self._module.Connection(
            self._module.SERVER, max_incomplete_event_size=len(head) + 1
        )
        if head.translate(None, _FIELD_BYTES):
            raise ProtocolError(400, BAD_REQUEST)
        if any(
            b"," in line and line[:15].lower() == b"content-length:" for line in head.split(b"\r\n")
        ):
            raise ProtocolError(400, BAD_REQUEST)
        try:
            connection.receive_data(head)
            event = connection.next_event()
        except self._module.RemoteProtocolError as error:
            raise ProtocolError(400, BAD_REQUEST) from error
        if type(event) is not self._module.Request:
            raise ProtocolError(400, BAD_REQUEST)
        items: list[tuple[bytes, bytes]] = event.headers.raw_items()
        return items

    def chunked(self, limit: int) -> H11Chunked:
        return H11Chunked(self._module, limit)


class H11Chunked:
    """One chunked body through h11."""

    reply = b""
    flaw = ""

    def __init__(self, module: ModuleType, limit: int):
        self.done = False
        self.rest = b""
        self._module = module
        self._limit = limit
        self._total = 0
        self._connection = module.Connection(
            module.SERVER, max_incomplete_event_size=TRAILER_BYTES_MAX
        )
        self._connection.receive_data(CHUNKED_HEAD)
        self._connection.next_event()

    def feed(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        module = self._module
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if type(event) is module.Data:
                    parts.append(bytes(event.data))
                    self._total += len(event.data)
                elif type(event) is module.EndOfMessage:
                    if any(name in _NO_TRAILERS for name, _ in event.headers):
                        raise ProtocolError(400, "Malformed chunked body")
                    self.done = True
                    self.rest = bytes(self._connection.trailing_data[0])
                    break
                else:
                    break
        except module.RemoteProtocolError as error:
            raise ProtocolError(400, "Malformed chunked body") from error
        if self._limit and self._total > self._limit:
            raise ProtocolError(413, "Body too large")
        return b"".join(parts)

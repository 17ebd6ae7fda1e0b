"""FastCGI, responder role, one request at a time on a connection. Sans-io.

Source: FastCGI Specification 1.0. The request id is honoured, and so is FCGI_KEEP_CONN;
a second request begun before the first has ended is refused with FCGI_CANT_MPX_CONN.
"""

from __future__ import annotations

import struct

from .cgi import make_request
from .request import Base, ProtocolError, Reply, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .request import Environ

VERSION = 1
BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT = 1, 2, 3, 4, 5, 6
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER = 1
KEEP_CONN = 1
REQUEST_COMPLETE, CANT_MPX_CONN, UNKNOWN_ROLE = 0, 1, 3

_HEADER = struct.Struct(">BBHHBx")
_BEGIN = struct.Struct(">HB5x")
_END = struct.Struct(">IB3x")
_UNKNOWN = struct.Struct(">B7x")

CONTENT_BYTES_MAX = 65528
"""What we put into one record: the largest multiple of 8, so that nothing is padded."""

_VALUES = {b"FCGI_MAX_CONNS": b"1", b"FCGI_MAX_REQS": b"1", b"FCGI_MPXS_CONNS": b"0"}


def record(kind: int, stream_id: int, content: bytes) -> bytes:
    """Return one record; `content` fits into it."""
    return _HEADER.pack(VERSION, kind, stream_id, len(content), 0) + content


def stdout(stream_id: int, data: bytes) -> bytes:
    """Return `data` as records of the response."""
    if len(data) <= CONTENT_BYTES_MAX:
        return record(STDOUT, stream_id, data) if data else b""
    return b"".join(
        record(STDOUT, stream_id, data[at : at + CONTENT_BYTES_MAX])
        for at in range(0, len(data), CONTENT_BYTES_MAX)
    )


def end_request(stream_id: int, protocol_status: int = REQUEST_COMPLETE) -> bytes:
    """Return the record that ends a request."""
    return record(END_REQUEST, stream_id, _END.pack(0, protocol_status))


def end_response(stream_id: int) -> bytes:
    """Return the records that end the response and the request."""
    return record(STDOUT, stream_id, b"") + end_request(stream_id)


def read_record(data: bytes, at: int) -> tuple[int, int, int, int, int] | None:
    """Return (type, id, content's begin, content's end, record's end); None = incomplete.

    Raises ProtocolError when it is of another version.
    """
    if len(data) - at < 8:
        if len(data) > at and data[at] != VERSION:
            raise ProtocolError(400, "Unknown FastCGI version")
        return None
    version, kind, stream_id, size, padding = _HEADER.unpack_from(data, at)
    if version != VERSION:
        raise ProtocolError(400, "Unknown FastCGI version")
    begin = at + 8
    end = begin + size
    if len(data) < end + padding:
        return None
    return kind, stream_id, begin, end, end + padding


def management_reply(kind: int, content: bytes) -> bytes:
    """Return the answer to a management record (request id 0)."""
    if kind != GET_VALUES:
        return record(UNKNOWN_TYPE, 0, _UNKNOWN.pack(kind))
    asked: Environ = {}
    parse_pairs(content, asked)
    answer = b""
    for name, value in _VALUES.items():
        if name.decode() in asked:
            answer += bytes((len(name), len(value))) + name + value
    return record(GET_VALUES_RESULT, 0, answer)


def parse_pairs(data: bytes, environ: Environ, stream_id: int = 0) -> None:
    """Enter the name-value pairs into `environ`; raise ProtocolError."""
    text = data.decode("latin-1")
    at, end = 0, len(data)
    try:
        while at < end:
            name_size = data[at]
            at += 1
            if name_size & 0x80:
                name_size = (
                    (name_size & 0x7F) << 24 | data[at] << 16 | data[at + 1] << 8 | data[at + 2]
                )
                at += 3
            value_size = data[at]
            at += 1
            if value_size & 0x80:
                value_size = (
                    (value_size & 0x7F) << 24 | data[at] << 16 | data[at + 1] << 8 | data[at + 2]
                )
                at += 3
            name_end = at + name_size
            environ[text[at:name_end]] = text[name_end : name_end + value_size]
            at = name_end + value_size
    except IndexError:
        at = -1
    if at != end:
        raise ProtocolError(400, "Malformed FastCGI parameters", stream_id)


class Fastcgi:
    """FastCGI with one set of limits; keeps nothing between requests."""

    name = "fastcgi"

    def __init__(self, head_bytes_max: int, body_bytes_max: int):
        self._head_bytes_max = head_bytes_max
        self._body_bytes_max = body_bytes_max

    def parse(self, data: bytes, base: Base) -> Request | Reply | None:
        """Return the request, or what must be answered before it; None = incomplete.

        The request is returned with its last PARAMS record; STDIN is its decoder's.
        """
        at = 0
        stream_id = 0
        flags = 0
        params: list[bytes] = []
        params_bytes = 0
        while True:
            found = read_record(data, at)
            # Records of others do not stay in the buffer: all before `at` is head. The same
            # bound for what is complete, or the verdict would hang on how the bytes came.
            if (len(data) if found is None else found[4]) > self._head_bytes_max + 65536:
                raise ProtocolError(431, "Request head too large", stream_id)
            if found is None:
                return None
            kind, record_id, begin, end, after = found
            if record_id == 0:
                return Reply(management_reply(kind, data[begin:end]), at, after, close=False)
            if kind == BEGIN_REQUEST:
                if end - begin != _BEGIN.size:
                    raise ProtocolError(400, "Malformed FastCGI record", record_id)
                role, begin_flags = _BEGIN.unpack_from(data, begin)
                if record_id == stream_id:
                    # Refusing it with END_REQUEST would end the one that is being read.
                    raise ProtocolError(400, "Request begun twice", stream_id)
                if stream_id:
                    return Reply(end_request(record_id, CANT_MPX_CONN), at, after, close=False)
                if role != RESPONDER:
                    close = not begin_flags & KEEP_CONN
                    return Reply(end_request(record_id, UNKNOWN_ROLE), at, after, close)
                stream_id, flags = record_id, begin_flags
            elif record_id != stream_id:
                return Reply(b"", at, after, close=False)  # of a request that was refused
            elif kind == ABORT_REQUEST:
                return Reply(end_request(stream_id), 0, after, close=not flags & KEEP_CONN)
            elif kind == PARAMS:
                if begin == end:
                    break
                params.append(data[begin:end])
                params_bytes += end - begin
                if params_bytes > self._head_bytes_max:
                    raise ProtocolError(431, "Request head too large", stream_id)
            else:
                raise ProtocolError(400, "Unexpected FastCGI record", stream_id)
            at = after
        environ = base.defaults.copy()
        parse_pairs(b"".join(params) if len(params) != 1 else params[0], environ, stream_id)
        request = make_request(environ, base, after, self._body_bytes_max, stream_id)
        request.stream_id = stream_id
        request.keep_alive = bool(flags & KEEP_CONN)
        length = request.body_length if "CONTENT_LENGTH" in environ else None
        request.decoder = StdinDecoder(stream_id, self._body_bytes_max, length)
        request.body_length = -1
        return request


class StdinDecoder:
    """The body of one FastCGI request: the contents of its STDIN records.

    `length` is its CONTENT_LENGTH, None = it has none. A stream of another length is not the body:
    what is beyond it is dropped, and `flaw` says what is wrong when it has ended (section 6.2).
    """

    def __init__(self, stream_id: int, limit: int, length: int | None = None):
        self.done = False
        self.flaw = ""
        self.rest = b""
        self.reply = b""
        self._stream_id = stream_id
        self._limit = limit
        self._length = length
        self._total = 0
        self._data = b""

    def take_undecoded(self) -> bytes:
        """Return, and forget, the bytes of a record that has not arrived whole."""
        data, self._data = self._data, b""
        return data

    def feed(self, data: bytes) -> bytes:
        """Return the body bytes in `data`; raise ProtocolError, also when it was aborted."""
        data = self._data + data
        left = None if self._length is None else max(0, self._length - self._total)
        at = 0
        parts = []
        while not self.done:
            found = read_record(data, at)
            if found is None:
                break
            kind, record_id, begin, end, after = found
            at = after
            if record_id == 0:
                self.reply += management_reply(kind, data[begin:end])
            elif record_id != self._stream_id:
                if kind == BEGIN_REQUEST:
                    self.reply += end_request(record_id, CANT_MPX_CONN)
            elif kind == STDIN:
                parts.append(data[begin:end])
                self._total += end - begin
                self.done = begin == end
            elif kind == ABORT_REQUEST:
                raise ProtocolError(400, "Request aborted", self._stream_id)
            else:
                raise ProtocolError(400, "Unexpected FastCGI record", self._stream_id)
        if self._limit and self._total > self._limit:
            raise ProtocolError(413, "Body too large", self._stream_id)
        if self.done:
            if self._length is not None and self._total != self._length:
                word = "longer" if self._total > self._length else "shorter"
                self.flaw = "Body %s than CONTENT_LENGTH" % word
            self.rest = data[at:]
            self._data = b""
        else:
            self._data = data[at:]
        return b"".join(parts)[:left]

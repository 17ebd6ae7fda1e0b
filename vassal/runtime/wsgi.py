"""PEP 3333: one request and its response, from the application's call to the last byte."""

from __future__ import annotations

import _socket
import io
import os
import sys

from .bodies import EMPTY, Body, BodyRefused, DecodedBody, PlainBody
from .connection import ClientTimeout, ClientTooSlow
from .output import Head, date_field, error_body
from .raised import report, say
from .soft import Guard, HarakiriSoftTimeout
from .wire.fastcgi import end_response, stdout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Iterable, Iterator, Tuple, Type

    from .connection import Connection
    from .wire.request import Request

    ExcInfo = Tuple[Type[BaseException], BaseException, TracebackType]
    App = Callable[..., Iterable[bytes]]

CLOSE, KEEP, LINGER = "close", "keep", "linger"
"""What becomes of the connection after a response. LINGER: unread bytes are still coming,
and closing at once would reset the connection before the client has read the response."""

STATIC = "emperor.static"
"""In the environ of a request that a file answered, and not the application."""

# With close() following at once, the FIN rides on the last segment: one packet and one
# wake-up of the client less.
_LAST = _socket.MSG_MORE
_COPY_BYTES_MAX = 128 * 1024  # below this, joining is cheaper than another system call

_NO_BODY = frozenset({204, 304})


class FileWrapper:
    """wsgi.file_wrapper: an iterable over a file-like object; sent with sendfile if it can be."""

    def __init__(self, filelike: Any, block_size: int = 64 * 1024):
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.block_size)
        if not data:
            raise StopIteration
        return data


def _octets(data: Any) -> bytes:
    try:
        return bytes(memoryview(data))
    except TypeError:
        what = "the application gave %s where WSGI has bytes" % type(data).__name__
        raise TypeError(what) from None


def make_body(connection: Connection, request: Request) -> Body:
    """Return wsgi.input for a `request` that has a body."""
    if request.decoder is None:
        return PlainBody(connection, request.body_length, request.expects_continue)
    body = DecodedBody(connection, request.decoder, request.expects_continue)
    body.settle()
    return body


class Response:
    """The response to one request. `started_ns` is when the request began."""

    head: Head | None = None
    head_sent = False
    keep = False  # decided with the head
    chunked = False
    open_ended = False  # only the connection's end tells where the body ends
    bodyless = False
    cut = False  # the body is not whole, and the connection must show it
    failed = False
    left = sys.maxsize  # how much of the body may still be sent
    bytes_sent = 0

    def __init__(
        self,
        connection: Connection,
        request: Request,
        started_ns: int,
        before_send: Callable[[], None],
    ):
        self._connection = connection
        self._request = request
        self._started_ns = started_ns
        self._before_send = before_send
        self.body = make_body(connection, request) if request.body_length else EMPTY

    # ── what the application calls ───────────────────────────────────────────────────

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's start_response."""
        if exc_info is not None:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no reference cycle through this frame
        elif self.head is not None:
            raise AssertionError("start_response was called twice without exc_info")
        self.head = Head(status, headers)
        return self.write

    def write(self, data: bytes) -> None:
        """Send one piece of the body, after the head if this is the first."""
        if type(data) is not bytes:
            data = _octets(data)
        if not data:
            return
        if self.head_sent and self._connection.failure is not None:
            raise self._connection.failure
        head = b"" if self.head_sent else self._start(None)
        if self.bodyless:
            data = b""
        elif len(data) > self.left:
            data = data[: self.left]
            self._overrun()
        self.left -= len(data)
        if data and self.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head or data:
            self._send(head, data)

    # ── running ──────────────────────────────────────────────────────────────────────

    def run(self, app: App, guard: Guard) -> str:
        """Call `app` and send what it returns; return what becomes of the connection."""
        environ = self._request.environ
        environ["wsgi.input"] = self.body
        is_guarded = guard.soft_ns
        try:
            if is_guarded:
                guard.enter(self._started_ns)
            result = app(environ, self.start_response)
            kind = type(result)
            if (kind is list or kind is tuple) and len(result) == 1:  # type: ignore[arg-type]
                if is_guarded:
                    guard.leave()
                return self._send_whole(result[0])  # type: ignore[index]
            try:
                self._send_result(result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
            guard.leave()
            return self._finish()
        except BaseException as error:
            return self.fail(error, guard)

    def refuse(self, code: int, reason: str) -> str:
        """Answer without, or instead of, the application; close afterwards."""
        self.head, data = error_body(code, reason)
        self.head.close = True
        return self._send_whole(data)

    def _send_result(self, result: Iterable[bytes]) -> None:
        if type(result) is FileWrapper and self._send_file(result):
            return
        for data in result:
            self.write(data)
            if self.bodyless or self.cut:
                break

    def _send_whole(self, data: bytes) -> str:
        """Send a body of one piece, and the head: one system call."""
        if self.head_sent:  # write() was used before
            self.write(data)
            return self._finish()
        if type(data) is not bytes:
            data = _octets(data)
        head = self.head
        if self.body is EMPTY and head is not None and head.code not in _NO_BODY:
            size, request = len(data), self._request
            if (head.length is None or head.length == size) and size < _COPY_BYTES_MAX:
                if request.method != b"HEAD" and not request.stream_id:
                    return self._send_plain(head, data)
        begin = self._start(len(data))
        if self.bodyless:
            data = b""
        elif len(data) > self.left:
            data = data[: self.left]
            self._overrun()
        self.left -= len(data)
        return self._end(begin, data)

    def _send_plain(self, head: Head, data: bytes) -> str:
        """Send a whole answer to a request without a body.

        Most are so, and what _start() and _end() ask in vain for them was 7 % of a worker's time.
        """
        request, connection = self._request, self._connection
        listener = connection.listener
        self.head_sent = True
        self._before_send()
        fields = head.fields
        if head.length is None:
            fields += b"Content-Length: %d\r\n" % len(data)
        if listener.is_http:
            self.keep = request.keep_alive and not head.close
            fields += self._own_fields(head)
        self.bodyless = True  # see _end()
        outcome = KEEP if self.keep else LINGER if request.keep_alive else CLOSE
        answer = listener.head_start + head.status + fields + b"\r\n" + data
        self.bytes_sent = len(answer)
        connection.send(answer, _LAST if outcome is CLOSE and not connection.buffer else 0)
        return outcome

    def _finish(self) -> str:
        """Send what is still owed after the last piece."""
        if not self.head_sent:
            return self._end(self._start(0), b"")
        return self._end(b"", b"")

    def _end(self, head: bytes, data: bytes) -> str:
        """Send the last bytes; return what becomes of the connection."""
        if self.left > 0 and not self.bodyless:
            if self.head is not None and self.head.length is not None:
                self.cut = True
        if self.chunked:
            data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n"
        request = self._request
        if request.stream_id:
            # A web server that asked for the connection takes it back with END_REQUEST, and
            # may have sent its next request before it sees it closed.
            if request.keep_alive and not self.keep and self._connection.failure is None:
                self.body.leave(request.decoder)  # type: ignore[attr-defined]
                self.keep = True
        elif self.cut:
            self.keep = False
        flags = 0
        outcome = KEEP
        if not self.keep:
            # The client said that it sends no more, or it must be waited for.
            quiet = self.body is EMPTY or self.body.settle()
            outcome = CLOSE if quiet and not request.keep_alive else LINGER
            # With bytes unread, close() would throw away what MSG_MORE holds back.
            alone = self.body is EMPTY or not self._connection.listener.is_http
            if alone and outcome is CLOSE and not self._connection.buffer:
                flags = _LAST
        if request.stream_id:
            data = stdout(request.stream_id, head + data) + end_response(request.stream_id)
            self.bytes_sent += len(data)
            self._connection.send(data, flags)
        elif head or data:
            self._send(head, data, flags)
        if self.open_ended and outcome is CLOSE:
            # close() alone would not tell: a process that the application has forked may hold
            # the socket too.
            self._connection.end()
        # What the application has kept of write() must not reach the next response.
        self.bodyless = True
        return outcome

    def _send(self, head: bytes, data: bytes, flags: int = 0) -> None:
        connection = self._connection
        if self._request.stream_id:
            head, data = b"", stdout(self._request.stream_id, head + data)
        if head and len(data) >= _COPY_BYTES_MAX:
            self.bytes_sent += len(head)
            connection.send(head, _socket.MSG_MORE)
            head = b""
        data = head + data
        self.bytes_sent += len(data)
        connection.send(data, flags)

    def _start(self, whole_length: int | None) -> bytes:
        """Return the head's bytes, and decide how the body is framed.

        `whole_length` is the body's length where all of it is at hand.
        """
        head = self.head
        if head is None:
            raise AssertionError("the application sent a body before it called start_response")
        self.head_sent = True
        self._before_send()
        request = self._request
        is_head = request.method == b"HEAD"
        self.bodyless = is_head or head.code in _NO_BODY
        fields = head.fields
        if head.length is not None:
            self.left = head.length
        elif whole_length is not None and head.code not in _NO_BODY:
            # For HEAD an empty body says nothing about what GET would send.
            if whole_length or not is_head:
                fields += b"Content-Length: %d\r\n" % whole_length
        elif not self.bodyless:
            self.open_ended = True
        if not self._connection.listener.is_http:
            return self._cgi_head(head, fields)
        keep = request.keep_alive and not head.close and self._connection.failure is None
        if keep and not self.body.ended:
            keep = self.body.settle()
        if self.open_ended:
            if request.http11:
                self.chunked = True
                self.open_ended = False
                fields += b"Transfer-Encoding: chunked\r\n"
            else:
                keep = False
        self.keep = keep
        self.body.waits_for_continue = False
        return b"HTTP/1.1 " + head.status + fields + self._own_fields(head) + b"\r\n"

    def _own_fields(self, head: Head) -> bytes:
        """Return what a head in HTTP says besides the application's fields and the framing."""
        date = b"" if head.dated else date_field.get(self._started_ns)
        if not self.keep:
            return b"Connection: close\r\n" + date
        if not self._request.http11:
            return b"Connection: keep-alive\r\n" + date
        return date

    def _cgi_head(self, head: Head, fields: bytes) -> bytes:
        """Return the head for a web server, which adds Date and frames the body itself."""
        request = self._request
        self.keep = request.keep_alive and self.body.settle()
        return self._connection.listener.head_start + head.status + fields + b"\r\n"

    # ── files ────────────────────────────────────────────────────────────────────────

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Send a regular file with sendfile(); return False when it must be read instead."""
        if self.head_sent or self.head is None or self._request.stream_id:
            return False
        filelike = wrapper.filelike
        if isinstance(filelike, io.BufferedIOBase) and type(filelike).__module__ != "_io":
            return False  # gzip.GzipFile and its like: what they read is not what the file holds
        try:
            fd = filelike.fileno()
            offset = filelike.tell()
            status = os.fstat(fd)
        except (AttributeError, OSError, ValueError):
            return False
        if status.st_mode & 0o170000 != 0o100000:
            return False
        size = max(0, status.st_size - offset)
        declared = self.head.length
        head = self._start(size)
        if declared is None:
            self.left = self.head.length = size
        # Only where more follows: the kernel would hold a lone head back for 0.2 s.
        self._send(head, b"", _socket.MSG_MORE if size and not self.bodyless else 0)
        if not self.bodyless:
            try:
                sent = self._connection.send_file(fd, offset, min(size, self.left))
            except OSError:
                if self._connection.failure is not None:
                    raise
                return False  # a file system without sendfile: read it
            self.left -= sent
            self.bytes_sent += sent
        return True

    # ── failing ──────────────────────────────────────────────────────────────────────

    def _overrun(self) -> None:
        self.cut = True
        say(self._request, "the body is longer than its Content-Length; the rest was not sent")

    def fail(self, error: BaseException, guard: Guard) -> str:
        """Answer for a request that ended with an exception."""
        guard.leave()
        connection = self._connection
        gone = connection.failure
        if gone is None:
            self.failed = True
            report(error, self._request)
        elif isinstance(gone, ClientTooSlow):
            say(self._request, "%s: its harakiri is over" % gone)
        if self.head_sent or (
            gone is not None and not isinstance(gone, (BodyRefused, ClientTimeout))
        ):
            self._abort()
            return CLOSE
        code, reason = 500, "Internal Server Error"
        if isinstance(gone, BodyRefused):
            code, reason = gone.status, str(gone)
        elif gone is not None:
            code, reason = 408, "Request Timeout"
        elif isinstance(error, HarakiriSoftTimeout):
            code, reason = 503, "The request took too long"
        if gone is not None or not self._request.stream_id:
            self._request.keep_alive = False
        try:
            outcome = self.refuse(code, reason)
        except OSError:
            return CLOSE
        if outcome is KEEP:  # FastCGI, see _end()
            return KEEP
        return LINGER if outcome is not CLOSE or self.body is not EMPTY else CLOSE

    def _abort(self) -> None:
        """See to it that nobody takes the part that was sent for the whole.

        Over a unix socket uwsgi and SCGI cannot tell: there is no reset of ours there, and
        no framing. A Content-Length of the application's, FastCGI or HTTP can.
        """
        head = self.head
        framed = self.chunked or self.bodyless or (head is not None and head.length is not None)
        if not framed or self._request.stream_id:
            self._connection.reset()

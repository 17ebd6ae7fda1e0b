"""wsgi.input: the request's body, read from the connection while the application runs.

Never reads beyond the body, and never blocks longer than socket_timeout.
"""

from __future__ import annotations

import sys

from .connection import RECEIVE_BYTES, ClientGone
from .wire.request import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from .connection import Connection
    from .wire.fastcgi import StdinDecoder
    from .wire.request import Decoder

RAW_BYTES = 256 * 1024
"""How much of a large body is asked for at once."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyRefused(OSError):
    """The body broke the protocol or the limit while it was read; `status` answers it."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class Body:
    """A file-like object over the body; subclasses know where its bytes come from."""

    def __init__(self, connection: Connection, expects_continue: bool):
        self._connection = connection
        self._ready = b""  # of which the application has had the first `_at` bytes
        self._at = 0
        self.waits_for_continue = expects_continue
        self.ended = False  # nothing will come behind `_ready`

    def _more(self) -> None:
        """Add to `_ready`, or set `ended`. Called only while not ended."""
        raise NotImplementedError

    def _receive(self, size: int = RECEIVE_BYTES) -> bytes:
        """Return bytes from the wire; raise ClientGone at its end."""
        connection = self._connection
        if connection.failure is not None:
            raise connection.failure
        data = connection.buffer
        if data:
            connection.buffer = b""
            self.waits_for_continue = False
            return data
        if self.waits_for_continue:
            self.waits_for_continue = False
            connection.send(CONTINUE)
        data = connection.receive(size)
        if not data:
            connection.failure = ClientGone("client went away before the end of the body")
            raise connection.failure
        return data

    def _add(self, data: bytes) -> None:
        self._ready = self._ready[self._at :] + data if self._at < len(self._ready) else data
        self._at = 0

    def _all_arrived(self) -> bool:
        """Tell whether no more of the body will come over the wire."""
        return self.ended

    def settle(self) -> bool:
        """Tell whether the whole body has been received, without waiting for any of it."""
        try:
            while not self._all_arrived() and self._connection.buffer:
                self._more()
        except OSError:
            return False
        return self._all_arrived()

    def _take(self, size: int) -> bytes:
        """Return up to `size` bytes of what is ready."""
        end = self._at + size
        if self._at == 0 and end >= len(self._ready):
            data, self._ready = self._ready, b""
            return data
        data = self._ready[self._at : end]
        self._at += len(data)
        return data

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, fewer only at the body's end; all that is left when -1."""
        wanted = sys.maxsize if size is None or size < 0 else size
        data = self._take(wanted)
        if self.ended or len(data) == wanted:
            return data
        parts = [data]
        wanted -= len(data)
        while wanted and not self.ended:
            self._more()
            data = self._take(wanted)
            parts.append(data)
            wanted -= len(data)
        return b"".join(parts)

    def readline(self, size: int | None = -1) -> bytes:
        """Return one line with its end, at most `size` bytes of it."""
        wanted = sys.maxsize if size is None or size < 0 else size
        parts = []
        while wanted:
            if self._at >= len(self._ready):
                if self.ended:
                    break
                self._more()
                continue
            end = self._ready.find(b"\n", self._at) + 1 or len(self._ready)
            part = self._take(min(end - self._at, wanted))
            parts.append(part)
            wanted -= len(part)
            if part[-1] == 0x0A:
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return the lines left; no more once they hold `hint` bytes."""
        lines = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line


class PlainBody(Body):
    """A body of known length, raw on the wire."""

    def __init__(self, connection: Connection, length: int, expects_continue: bool):
        super().__init__(connection, expects_continue)
        self._left = length
        self.ended = length == 0

    def _more(self) -> None:
        data = self._receive(min(self._left, RAW_BYTES))
        if len(data) > self._left:
            self._connection.buffer = data[self._left :]
            data = data[: self._left]
        self._left -= len(data)
        self._add(data)
        self.ended = self._left == 0


class DecodedBody(Body):
    """A body inside a framing: chunked, or FastCGI records."""

    def __init__(self, connection: Connection, decoder: Decoder, expects_continue: bool):
        super().__init__(connection, expects_continue)
        self._decoder = decoder

    def _all_arrived(self) -> bool:
        return self.ended or self._decoder.done

    def _more(self) -> None:
        decoder = self._decoder
        try:
            if decoder.done:  # told to who reads so far, and to nobody else
                raise ProtocolError(400, decoder.flaw)
            self._add(decoder.feed(self._receive()))
        except ProtocolError as error:
            refused = BodyRefused(error.status, error.reason)
            self._connection.failure = refused
            raise refused from None
        if decoder.reply:
            reply, decoder.reply = decoder.reply, b""
            self._connection.send(reply)
        if decoder.done:
            self._connection.buffer = decoder.rest
            self.ended = not decoder.flaw

    def leave(self, decoder: StdinDecoder) -> None:
        """Read no more of a FastCGI body: its rest is dropped before the next request.

        What the decoder holds is the beginning of a record, and goes back to the buffer.
        """
        if not self.ended:
            self._connection.buffer = decoder.take_undecoded() + self._connection.buffer
            self.ended = True


class EmptyBody(Body):
    """The body of a request without one. It holds nothing, so all requests share it."""

    waits_for_continue = False
    ended = True
    _ready = b""
    _at = 0

    def __init__(self) -> None:
        pass

    def settle(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return b""

    def readline(self, size: int | None = -1) -> bytes:
        return b""


EMPTY = EmptyBody()

"""What every wire protocol hands to the worker: a request, a reply, or a refusal."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Protocol, Union

    Environ = Dict[str, Any]

    class Decoder(Protocol):
        """Turns the bytes of a framed body into the body's own. Sans-io."""

        done: bool
        flaw: str  # once done: what makes it another body than was announced; "" = nothing
        rest: bytes  # what came behind the body's end
        reply: bytes  # must be sent to the peer; cleared by who sends it

        def feed(self, data: bytes) -> bytes:
            """Return the body bytes in `data`; raise ProtocolError."""

    class Wire(Protocol):
        """One protocol with its limits."""

        name: str

        def parse(self, data: bytes, base: Base) -> Union[Request, Reply, None]:
            """Return what begins `data`; None = more bytes are needed.

            Raise ProtocolError when no further byte can make it legal.
            """


class ProtocolError(Exception):
    """The peer broke the protocol or a limit; answered with `status` where possible."""

    def __init__(self, status: int, reason: str, stream_id: int = 0):
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.stream_id = stream_id


class Base:
    """What environ holds on one listener, whoever asks.

    The peer's words replace `defaults`; `forced` replaces the peer's.
    """

    def __init__(self, defaults: Environ, forced: Environ):
        self.defaults = defaults
        self.forced = forced
        self.all = {**defaults, **forced}


class Request:
    """One request whose head has arrived whole. `body_length` is -1 with a `decoder`."""

    decoder: Decoder | None = None
    keep_alive = False
    http11 = False
    expects_continue = False
    stream_id = 0

    def __init__(
        self, environ: Environ, method: bytes, uri: bytes, consumed: int, body_length: int
    ):
        self.environ = environ
        self.method = method
        self.uri = uri
        self.consumed = consumed
        self.body_length = body_length


class Reply:
    """Bytes to answer without the application; `data[start:end]` is to be forgotten."""

    def __init__(self, payload: bytes, start: int, end: int, close: bool):
        self.payload = payload
        self.start = start
        self.end = end
        self.close = close

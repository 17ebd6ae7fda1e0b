"""Lets clients in: counts their connections and bounds every wait on them.

aiohttp has no bound on the number of connections, and none on a client that sends its
request byte by byte or never reads the answer. So connections are accepted here, and
each is wrapped in a guard that cuts it off.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from emperor.control.authorise import Caller

CONNECTIONS_MAX = 256
CONNECTIONS_PER_UID_MAX = 16
CONNECTIONS_RESERVED = 16
"""Kept free for trusted callers: sixteen tenants together must not lock root out."""

CLIENT_TIMEOUT_S = 30.0
"""How long a client may take to send a whole request, or to read a whole answer."""

ACCEPT_PAUSE_S = 0.5
"""After accept failed for want of descriptors or memory: trying at once would spin."""

ACCEPTS_AT_ONCE = 64
"""Then others have their turn: who connects all the time must not have all of it."""

_UCRED = struct.Struct("3i")
_BUSY = b'{"error":{"what":"too many connections","remedy":"Close some, or try again later."}}\n'
_BUSY_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)


def peer_uid(connection: socket.socket) -> int:
    """Return the uid of the process that connected."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    uid: int = _UCRED.unpack(credentials)[1]
    return uid


def has_room(caller: Caller, connections_by_uid: Mapping[int, int]) -> bool:
    """Return whether one more connection of `caller` may be let in. Pure."""
    total_max = CONNECTIONS_MAX - (0 if caller.is_trusted else CONNECTIONS_RESERVED)
    if sum(connections_by_uid.values()) >= total_max:
        return False
    return connections_by_uid.get(caller.uid, 0) < CONNECTIONS_PER_UID_MAX


class Guard(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol, and aborts when time is up.

    The time runs from the moment of connecting, or the end of the previous handler,
    until the next request has arrived completely.
    """

    def __init__(
        self, inner: asyncio.Protocol, caller: Caller, timeout_s: float, register: "Register"
    ) -> None:
        self.caller = caller
        self._inner = inner
        self._timeout_s = timeout_s
        self._register = register
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wait_on_client(self) -> None:
        """From now on the client has to send or to read: start the clock anew."""
        self.wait_on_emperor()
        if self._transport is not None:
            loop = asyncio.get_running_loop()
            # abort, not close: close would wait for the client to read what is buffered.
            self._timer = loop.call_later(self._timeout_s, self._transport.abort)

    def wait_on_emperor(self) -> None:
        """The client has done its part: stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cut_off(self) -> None:
        """End the connection at once, without an orderly end of what is being sent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._register.enter(self, transport)
        self.wait_on_client()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.wait_on_emperor()
        transport, self._transport = self._transport, None
        if transport is not None:
            self._register.leave(self, transport)
        self._inner.connection_lost(exc)


class Register:
    """The open connections: by transport, and how many each uid has."""

    def __init__(self) -> None:
        self.by_uid: Counter[int] = Counter()
        self._guards: dict[asyncio.BaseTransport, Guard] = {}

    def guard_of(self, transport: asyncio.BaseTransport | None) -> Guard | None:
        """Return the guard of an open connection; None once it is lost."""
        return self._guards.get(transport) if transport is not None else None

    def enter(self, guard: Guard, transport: asyncio.BaseTransport) -> None:
        self._guards[transport] = guard
        self.by_uid[guard.caller.uid] += 1

    def leave(self, guard: Guard, transport: asyncio.BaseTransport) -> None:
        del self._guards[transport]
        self.by_uid[guard.caller.uid] -= 1
        if not self.by_uid[guard.caller.uid]:
            del self.by_uid[guard.caller.uid]  # or every uid ever seen stays


class Refusal(NamedTuple):
    """A connection that was not let in, or an accept that failed: for the log."""

    uid: int | None
    reason: str


class Doorkeeper:
    """Accepts connections on a listening, non-blocking unix socket until cancelled.

    `make_protocol` returns aiohttp's protocol for one connection. The listener stays
    the caller's to close.
    """

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        register: Register,
        emperor_uid: int,
        on_refusal: Callable[[Refusal], None],
        timeout_s: float = CLIENT_TIMEOUT_S,
    ) -> None:
        self._make_protocol = make_protocol
        self._register = register
        self._emperor_uid = emperor_uid
        self._on_refusal = on_refusal
        self._timeout_s = timeout_s

    async def run(self, listener: socket.socket) -> None:
        """Accept for ever."""
        while True:
            await _readable(listener)
            try:
                await self.admit_waiting(listener, ACCEPTS_AT_ONCE)
            except OSError as error:
                self._on_refusal(Refusal(None, f"accept: {error.strerror}"))
                await asyncio.sleep(ACCEPT_PAUSE_S)

    async def admit_waiting(self, listener: socket.socket, at_most: int) -> None:
        """Accept what is in the queue now. Raises OSError if that is not possible."""
        for _ in range(at_most):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            try:
                await self._admit(connection)
            except OSError:
                connection.close()  # the client is gone already

    async def _admit(self, connection: socket.socket) -> None:
        caller = Caller(peer_uid(connection), self._emperor_uid)
        if not has_room(caller, self._register.by_uid):
            _turn_away(connection)
            self._on_refusal(Refusal(caller.uid, "too many connections"))
            return
        guard = Guard(self._make_protocol(), caller, self._timeout_s, self._register)
        # Returns after connection_made, so the next one is counted against this one.
        await asyncio.get_running_loop().connect_accepted_socket(lambda: guard, connection)


async def _readable(listener: socket.socket) -> None:
    # Not loop.sock_accept(): cancelled in the wrong moment, that drops a connection.
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(listener, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(listener)


def _turn_away(connection: socket.socket) -> None:
    with connection:
        connection.setblocking(False)
        # Closing with the request unread resets the connection, and the client would
        # never see the answer. What has not come yet may still be lost: so be it.
        try:
            connection.recv(64 * 1024)
        except OSError:
            pass
        try:
            connection.send(_BUSY_ANSWER)
        except OSError:
            pass

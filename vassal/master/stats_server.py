"""Tells statistics to whoever connects: one object, then the end. Never waits for anybody.

Clients are strangers: there are few at a time, each has what fits its socket and the rest when
it reads; one that does neither makes room for the next, and is let go when its time is over.
However often they come, the object is made a few times a second.
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial

from vassal.loop import Loop
from vassal.master.stats import HTTP_HEAD

CLIENTS_MAX = 16
REQUEST_BYTES_MAX = 16 * 1024
PATIENCE_S = 10.0
FRESH_S = 0.2
PAUSE_S = 1.0
"""When descriptors, say, are short: trying again at once would spin."""

HTTP = "stats-http"
"""The protocol of a listener whose answer has a head, as browsers want it."""


class _Client:
    """One connection: what it has sent, and what it is still to get."""

    def __init__(self, connection: socket.socket, ends_at: float) -> None:
        self.connection = connection
        self.ends_at = ends_at
        self.received = b""
        self.unsent = b""


class StatsServer:
    """Listens where it is told to. `answer` makes the object; `look` is to be called at `look_at`
    (monotonic seconds, None = never)."""

    def __init__(self, loop: Loop, answer: Callable[[], bytes]) -> None:
        self._loop = loop
        self._answer = answer
        self._listeners: list[tuple[socket.socket, bool]] = []  # and whether HTTP is spoken
        self._paused_until: float | None = None
        self._made: tuple[float, bytes] | None = None
        self._clients: dict[int, _Client] = {}  # the oldest first

    def listen(self, protocols: Sequence[str], fds: Sequence[int]) -> None:
        """Listen on duplicates of these sockets, one a protocol, and on no others any more."""
        self._close_listeners()
        self._made = None  # it was another generation's
        for protocol, fd in zip(protocols, fds, strict=True):
            listener = socket.socket(fileno=os.dup(fd))
            listener.setblocking(False)
            self._listeners.append((listener, protocol == HTTP))
        self._watch_listeners()

    @property
    def look_at(self) -> float | None:
        """When `look` has something to do."""
        times = [self._paused_until] if self._paused_until is not None else []
        times += [client.ends_at for client in list(self._clients.values())[:1]]
        return min(times, default=None)

    def look(self, now: float) -> None:
        """Let go whose time is over; listen again after a pause."""
        for client in list(self._clients.values()):
            if client.ends_at > now:
                break
            self._drop(client)
        if self._paused_until is not None and self._paused_until <= now:
            self._watch_listeners()

    def close(self) -> None:
        """Listen no more, and let all clients go."""
        self._close_listeners()
        for client in list(self._clients.values()):
            self._drop(client)

    def _close_listeners(self) -> None:
        for listener, _ in self._listeners:
            self._loop.unwatch(listener.fileno())
            listener.close()
        self._listeners.clear()
        self._paused_until = None

    def _watch_listeners(self) -> None:
        self._paused_until = None
        for listener, is_http in self._listeners:
            self._loop.watch(listener.fileno(), partial(self._on_arrival, listener, is_http))

    def _pause(self) -> None:
        self._paused_until = time.monotonic() + PAUSE_S
        for listener, _ in self._listeners:
            self._loop.unwatch(listener.fileno())

    def _on_arrival(self, listener: socket.socket, is_http: bool) -> None:
        if len(self._clients) >= CLIENTS_MAX:
            self._drop(next(iter(self._clients.values())))
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            self._pause()
            return
        connection.setblocking(False)
        client = _Client(connection, time.monotonic() + PATIENCE_S)
        self._clients[connection.fileno()] = client
        if is_http:
            # Closed with its request unread, the connection would be reset.
            self._loop.watch(connection.fileno(), partial(self._on_request, client))
        else:
            client.unsent = self._fresh()
            self._send(client, is_first=True)

    def _fresh(self) -> bytes:
        now = time.monotonic()
        if self._made is None or now - self._made[0] > FRESH_S:
            self._made = now, self._answer()
        return self._made[1]

    def _on_request(self, client: _Client) -> None:
        try:
            part = client.connection.recv(REQUEST_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        client.received += part
        if not part or len(client.received) > REQUEST_BYTES_MAX:
            self._drop(client)
        elif b"\r\n\r\n" in client.received or b"\n\n" in client.received:
            self._loop.unwatch(client.connection.fileno())
            body = self._fresh()
            client.unsent = HTTP_HEAD % len(body) + body
            self._send(client, is_first=True)

    def _send(self, client: _Client, is_first: bool = False) -> None:
        try:
            sent = client.connection.send(client.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        client.unsent = client.unsent[sent:]
        if not client.unsent:
            self._drop(client)
        elif is_first:
            rest = partial(self._send, client)
            self._loop.watch(client.connection.fileno(), rest, select.EPOLLOUT)

    def _drop(self, client: _Client) -> None:
        fd = client.connection.fileno()
        self._loop.unwatch(fd)
        self._clients.pop(fd, None)
        with contextlib.suppress(OSError):
            client.connection.close()

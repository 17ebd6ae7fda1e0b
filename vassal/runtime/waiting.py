"""The connections that wait for their client, and so occupy no worker.

A connection waits for a head (all of it, or its rest), idles between two requests, or
lingers: its response is sent, and what the client still sends is thrown away.
"""

from __future__ import annotations

import _socket
import select

from .timers import Deadlines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection
    from .settings import WorkerSettings

LINGER_S = 5.0
"""A client that goes on sending after its answer is cut off then (nginx: 5 s, 30 s in all).
Not after so many bytes: a web server sends a whole upload before it looks for the answer, and
tells its client 502 if it cannot."""

_DRAIN_BYTES = 256 * 1024

UNUSED_S = 0.5
"""After STOP, how long a connection without a request may still begin one."""


class WaitingRoom:
    """All waiting connections with their deadlines, in one epoll. Times are monotonic."""

    def __init__(self, epoll: select.epoll, settings: WorkerSettings, oneshot: bool):
        self._epoll = epoll
        self._events = select.EPOLLIN | select.EPOLLRDHUP
        # With threads, a connection must be silent while another thread serves it.
        self._oneshot = oneshot
        if oneshot:
            self._events |= select.EPOLLONESHOT
        self.connections: dict[int, Connection] = {}
        self._heads = Deadlines(settings.socket_timeout_s)
        self._idle = Deadlines(settings.keepalive_timeout_s)
        self._lingering = Deadlines(LINGER_S)
        self._queues = (self._heads, self._idle, self._lingering)

    def __len__(self) -> int:
        return len(self.connections)

    def wait_for_head(self, connection: Connection, now: float) -> None:
        """Wait for a head's bytes; a deadline that runs for this head already stays."""
        fd = connection.fd
        if fd not in self._heads:
            self._idle.cancel(fd)
            self._heads.start(fd, now)
        self._watch(connection)

    def idle(self, connection: Connection, now: float) -> None:
        """Wait for the next request, if there will be one."""
        self._idle.start(connection.fd, now)
        self._watch(connection)

    def linger(self, connection: Connection, now: float) -> None:
        """End our side; read and forget what comes, for a bounded time."""
        try:
            connection.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            self.close(connection)
            return
        self._lingering.start(connection.fd, now)
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        if connection.registered:
            if self._oneshot:
                self._epoll.modify(connection.fd, self._events)
        else:
            self._epoll.register(connection.fd, self._events)
            connection.registered = True
        self.connections[connection.fd] = connection

    def take(self, connection: Connection) -> None:
        """The connection waits no more: a request of it is being served."""
        fd = connection.fd
        self.connections.pop(fd, None)
        for queue in self._queues:
            queue.cancel(fd)

    def is_lingering(self, connection: Connection) -> bool:
        return connection.fd in self._lingering

    def drain(self, connection: Connection) -> None:
        """Throw away what a lingering connection received; close it when it is over."""
        try:
            more = connection.socket.recv(_DRAIN_BYTES, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._watch(connection)
            return
        except OSError:
            more = b""
        if more:
            self._watch(connection)
        else:
            self.close(connection)

    def close(self, connection: Connection) -> None:
        """Close for good."""
        if connection.registered:
            self.take(connection)
            # A process that the application forked may still hold the socket, and then
            # closing it here would not remove it from the epoll.
            try:
                self._epoll.unregister(connection.fd)
            except OSError:
                pass
        connection.close()

    def next_at(self) -> float | None:
        """Return when the first deadline is due."""
        earliest = None
        for queue in self._queues:
            due = queue.next_at()
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        return earliest

    def expire(self, now: float) -> list[Connection]:
        """Close what has waited too long; return those whose head must be answered with 408."""
        for queue in (self._idle, self._lingering):
            for fd in queue.expire(now):
                self.close(self.connections[fd])
        late = []
        for fd in self._heads.expire(now):
            connection = self.connections[fd]
            if connection.buffer:
                late.append(connection)
            else:
                self.close(connection)
        return late

    def close_idle(self, count: int) -> int:
        """Close up to `count` connections that idle longest; return how many there were."""
        fds = self._idle.oldest(count)
        for fd in fds:
            self.close(self.connections[fd])
        return len(fds)

    def hurry(self, now: float) -> None:
        """The worker stops: bound the waits that no request has begun in."""
        self._lingering.shorten(UNUSED_S, now)
        unused = [fd for fd in self._heads.oldest(len(self._heads)) if self._is_unused(fd)]
        for fd in unused:
            self._heads.cancel(fd)
            self._idle.start(fd, now)
        self._idle.shorten(UNUSED_S, now)

    def _is_unused(self, fd: int) -> bool:
        return not self.connections[fd].buffer

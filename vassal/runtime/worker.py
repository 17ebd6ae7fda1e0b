"""The worker's loop: accept, read heads, run the application, keep connections.

With one thread the loop itself runs the application; with more it hands requests to them
and accepts only while one of them is free, so that other workers take the connections.
An idle worker sleeps in epoll without a timeout.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import time

from . import frames
from .connection import Connection, first_bytes
from .control import Control
from .listeners import remote_address
from .probe import answer_probe
from .recycling import ANSWER_S, Recycling, random_fraction
from .refused import Refusals
from .runner import Runner
from .signals import SOFT_HARAKIRI_SIGNAL, handle_alone
from .soft import strike_all
from .threads import Pool
from .waiting import WaitingRoom
from .wire.request import ProtocolError, Reply, Request
from .wsgi import CLOSE, KEEP

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from mmap import mmap
    from typing import Any, Sequence

    from .autoreload import SourceWatch
    from .listeners import Listener
    from .settings import WorkerSettings
    from .wsgi import App
else:
    import _signal

ACCEPTS_MAX = 64
"""Connections taken from one listener before the others, and open ones, get their turn."""

ACCEPT_PAUSE_S = 0.1
"""After accept() failed for want of descriptors or memory. Waiting for a connection to end
would not do: they may all be other processes'."""

SERVING, RETIRING, STOPPING = range(3)
"""What a worker is about. When it retires, or stops, HTTP clients are told to go elsewhere."""

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_DONTWAIT = _socket.MSG_DONTWAIT
_FIRST_BYTES = 16 * 1024
_EVENTS_MAX = 64


def run(
    app: App,
    settings: WorkerSettings,
    listeners: Sequence[Listener],
    memory: mmap | memoryview,
    slots: Sequence[int],
    control: int | None,
    probe: int | None = None,
) -> int:
    """Serve until told to stop; return the exit status.

    Called in a freshly forked process with one thread. `slots` are this worker's on the
    scoreboard, one per thread. With a `probe`, the request in it is answered first, and none
    is accepted before SERVE.
    """
    worker = Worker(app, settings, listeners, memory, slots, control)
    try:
        if probe is not None:
            worker.answer_probe(probe)
        worker.serve()
    finally:
        worker.release()
    return 0


class Worker:
    """One worker process at work."""

    def __init__(
        self,
        app: App,
        settings: WorkerSettings,
        listeners: Sequence[Listener],
        memory: mmap | memoryview,
        slots: Sequence[int],
        control_fd: int | None,
    ):
        self._control = Control(control_fd) if control_fd is not None else None
        self._listeners = {listener.fd: listener for listener in listeners}
        self._settings = settings
        self._probed = False  # and not yet told to serve
        self._accepting = False
        self._accept_again_at: float | None = None
        self._state = SERVING
        self._term = False
        self._recycling = Recycling(settings, time.monotonic(), random_fraction(), memory)
        self._sources = self._source_watch()
        self._refusals = Refusals(self._control)
        self._requests = 0
        self._stop_at: float | None = None  # when nobody answered RETIRING
        self._runners = [Runner(app, settings, memory, slot, self._control) for slot in slots]
        self._runner = self._runners[0]
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._set_signals()
        threaded = len(slots) > 1
        self._pool = Pool(self._runners, self._wake_write) if threaded else None
        self._epoll = select.epoll()
        self._room = WaitingRoom(self._epoll, settings, oneshot=threaded)
        self._pipelined: list[Connection] = []  # with the next request in their buffer

    def _set_signals(self) -> None:
        # A terminal's Ctrl-C reaches the whole process group; with a master that one decides.
        alone = self._control is None
        _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
        handlers = {
            _signal.SIGINT: self._on_term if alone else _signal.SIG_IGN,
            _signal.SIGTERM: self._on_term,
            SOFT_HARAKIRI_SIGNAL: self._on_soft_harakiri,
        }
        handle_alone(handlers, self._wake_write)
        # Blocked across the fork, so that none could be lost before there was a handler.
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGTERM, SOFT_HARAKIRI_SIGNAL})

    def _source_watch(self) -> SourceWatch | None:
        if not self._settings.autoreload_s:
            return None
        from .autoreload import SourceWatch

        return SourceWatch(self._settings.autoreload_s, time.monotonic())

    def _on_term(self, number: int, frame: Any) -> None:
        self._term = True
        if self._control is None:  # nobody else could end it: the second one does
            _signal.signal(number, _signal.SIG_DFL)

    def _on_soft_harakiri(self, number: int, frame: Any) -> None:
        strike_all([runner.guard for runner in self._runners])

    def release(self) -> None:
        """Let go of what this object made; the caller's descriptors stay open."""
        _signal.set_wakeup_fd(-1)
        for connection in list(self._room.connections.values()):
            self._room.close(connection)
        self._epoll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        for listener in self._listeners.values():
            listener.socket.detach()
        if self._control is not None:
            self._control.detach()

    def answer_probe(self, fd: int) -> None:
        """Answer the master's own request, and accept no other until it says so."""
        self._probed = True
        answer_probe(fd, self._runner, self._settings)

    # ── the loop ─────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Run until stopped and everything begun is finished."""
        epoll, listeners, connections = self._epoll, self._listeners, self._room.connections
        epoll.register(self._wake_read, select.EPOLLIN)
        if self._control is not None:
            epoll.register(self._control.fd, select.EPOLLIN)
        self._accept_on()
        if self._control is not None:
            self._control.send(frames.READY)
        while not (self._state == STOPPING and self._is_finished()):
            for fd, _ in epoll.poll(self._timeout(), _EVENTS_MAX):
                connection = connections.get(fd)
                if connection is not None:
                    self._readable(connection)
                elif fd in listeners:
                    self._accept(listeners[fd])
                elif fd == self._wake_read:
                    os.read(fd, 4096)
                elif self._control is not None and fd == self._control.fd:
                    self._obey(self._control.receive())
            if self._pipelined:
                self._serve_pipelined()
            if self._pool is not None:
                self._take_back(self._pool)
            if self._term and self._state != STOPPING:
                self._stop()
            self._tick()

    def _obey(self, order: str | None) -> None:
        if order == frames.STOP:
            self._stop()
        elif order == frames.SERVE:
            self._probed = False
            self._accept_on()

    def _is_finished(self) -> bool:
        running = self._pool is not None and self._pool.running > 0
        return not running and not len(self._room) and not self._pipelined

    def _timeout(self) -> float | None:
        """Return how long nothing has to be done; None = until something happens."""
        if self._pipelined:
            return 0
        earliest = self._room.next_at() if self._room.connections else None
        look_at = self._sources.due if self._sources is not None else None
        for due in (self._accept_again_at, self._stop_at, self._recycling.retire_at, look_at):
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        if earliest is None:
            return None
        return max(0.0, earliest - time.monotonic())

    def _tick(self) -> None:
        """Do what is due by time."""
        if not self._room.connections and self._recycling.retire_at is None:
            if self._accept_again_at is None and self._stop_at is None and self._sources is None:
                return
        now = time.monotonic()
        if self._sources is not None and self._sources.is_time(now):
            self._look_for_changes(self._sources)
        for connection in self._room.expire(now):
            self._refuse(connection, ProtocolError(408, "Request Timeout"))
        if self._accept_again_at is not None and now >= self._accept_again_at:
            self._accept_again_at = None
            self._accept_on()
        if self._recycling.retire_at is not None and now >= self._recycling.retire_at:
            self._retire("lifetime")
        if self._stop_at is not None and now >= self._stop_at:
            self._leave("nobody came in its place")

    def _look_for_changes(self, sources: SourceWatch) -> None:
        changed = sources.changed()
        if changed and self._control is not None and self._state == SERVING:
            try:
                os.write(2, b"emperord: %s has changed\n" % os.fsencode(changed))
            except OSError:
                pass  # it is the application's, which may have closed it
            self._control.send(frames.RELOAD)

    # ── accepting ────────────────────────────────────────────────────────────────────

    def _accept_on(self) -> None:
        if self._accepting or self._probed or self._accept_again_at is not None:
            return
        if self._state == STOPPING:
            return
        self._accepting = True
        for fd in self._listeners:
            # Exclusive: the kernel wakes one worker for a connection, not all of them.
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def _accept_off(self) -> None:
        if self._accepting:
            self._accepting = False
            for fd in self._listeners:
                self._epoll.unregister(fd)

    def _accept(self, listener: Listener) -> None:
        """Accept and serve until there is nobody left, or others should have their turn."""
        family = listener.family
        for taken in range(ACCEPTS_MAX):
            # Every thread is busy, or this worker stops. Even then one is taken for an event
            # from before the stop: it woke this worker alone, and no other would come.
            if not self._accepting and (taken or self._state != STOPPING):
                return
            try:
                fd, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._pause_accepting()
                    return
                continue  # ECONNABORTED and the network's errors: this client is gone
            socket = _socket.socket(family, _socket.SOCK_STREAM, 0, fd)
            connection = Connection(socket, fd, listener, address)
            data = first_bytes(socket, fd, _FIRST_BYTES)
            if data is None:
                self._room.wait_for_head(connection, time.monotonic())
            elif data:
                connection.buffer = data
                self._progress(connection)
            else:
                connection.close()

    def _pause_accepting(self) -> None:
        """Out of descriptors or memory: give some back, and do not spin on a ready listener."""
        self._room.close_idle(16)
        self._accept_off()
        self._accept_again_at = time.monotonic() + ACCEPT_PAUSE_S

    # ── reading ──────────────────────────────────────────────────────────────────────

    def _readable(self, connection: Connection) -> None:
        if self._room.is_lingering(connection):
            self._room.drain(connection)
            return
        try:
            data = connection.socket.recv(_FIRST_BYTES, _DONTWAIT)
        except BlockingIOError:
            self._wait_again(connection)
            return
        except OSError:
            data = b""
        if not data:
            self._room.close(connection)
            return
        connection.buffer = connection.buffer + data if connection.buffer else data
        self._progress(connection)

    def _wait_again(self, connection: Connection) -> None:
        if connection.buffer:
            self._room.wait_for_head(connection, time.monotonic())
        else:
            self._room.idle(connection, time.monotonic())

    def _progress(self, connection: Connection) -> None:
        """Serve the request that the buffer begins with, or wait for its rest."""
        listener = connection.listener
        try:
            found = listener.wire.parse(connection.buffer, listener.base)
            while type(found) is Reply:
                buffer = connection.buffer
                connection.buffer = buffer[: found.start] + buffer[found.end :]
                connection.send(found.payload)
                if found.close:
                    self._finish(connection, CLOSE)
                    return
                found = listener.wire.parse(connection.buffer, listener.base)
        except ProtocolError as error:
            self._refuse(connection, error)
            return
        except OSError:
            self._finish(connection, CLOSE)
            return
        if type(found) is not Request:
            self._room.wait_for_head(connection, time.monotonic())
            return
        connection.buffer = connection.buffer[found.consumed :]
        if listener.is_http:
            environ = found.environ
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = remote_address(connection.address)
            if self._state != SERVING:
                found.keep_alive = False
        elif self._state == STOPPING:
            found.keep_alive = False
        if connection.registered:
            self._room.take(connection)
        if self._pool is None:
            self._finish(connection, self._runner.run(connection, found))
            if self._recycling.counts:
                self._count()
        else:
            self._pool.submit(connection, found)
            if self._pool.is_full:
                self._accept_off()

    # ── after a request ──────────────────────────────────────────────────────────────

    def _finish(self, connection: Connection, outcome: str) -> None:
        """Do with the connection as the response decided."""
        if outcome is CLOSE:
            self._room.close(connection)
        elif outcome is not KEEP:
            self._room.linger(connection, time.monotonic())
        elif connection.buffer:
            self._pipelined.append(connection)
        else:
            self._room.idle(connection, time.monotonic())

    def _refuse(self, connection: Connection, error: ProtocolError) -> None:
        if connection.registered:
            self._room.take(connection)
        self._finish(connection, self._refusals.answer(connection, error))

    def _serve_pipelined(self) -> None:
        """Serve one request of each connection that sent several at once."""
        connections, self._pipelined = self._pipelined, []
        for connection in connections:
            self._progress(connection)

    def _take_back(self, pool: Pool) -> None:
        for connection, outcome in pool.take_done():
            self._finish(connection, outcome)
            if self._recycling.counts:
                self._count()
        if not pool.is_full:
            self._accept_on()

    def _count(self) -> None:
        self._requests += 1
        reason = self._recycling.reason(self._requests)
        if reason is None:
            return
        if self._state == SERVING:
            self._retire(reason)
        else:
            self._leave("%s is near, and its successor has not come" % reason)

    # ── going ────────────────────────────────────────────────────────────────────────

    def _retire(self, reason: str) -> None:
        """Ask once to be replaced, and serve on until the master says STOP."""
        if self._control is None:
            self._recycling.forget()  # nobody could start a successor
            return
        self._recycling.await_successor()
        self._state = RETIRING
        self._control.send(frames.RETIRING, {"reason": reason})
        self._stop_at = time.monotonic() + ANSWER_S

    def _leave(self, reason: str) -> None:
        """Stop without having been told to; connections wait for the successor."""
        if self._control is not None:
            self._control.send(frames.LEAVING, {"reason": reason})
        self._stop()

    def _stop(self) -> None:
        """Accept no more; what has begun is served, what idles is closed in a moment.

        Not at once: the next request may be under way, and its client would see it lost.
        """
        if self._state == STOPPING:
            return
        self._state = STOPPING
        self._stop_at = None
        self._accept_again_at = None
        self._recycling.forget()
        self._accept_off()
        self._room.hurry(time.monotonic())

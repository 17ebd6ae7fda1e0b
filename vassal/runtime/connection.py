"""One client connection, and waiting for it with a timeout.

The descriptor stays in blocking mode and every call says MSG_DONTWAIT: that saves the
system calls that would change the mode. Waiting is a poll() of its own.
"""

from __future__ import annotations

import _socket
import select
import struct
from os import set_blocking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .listeners import Listener

_DONTWAIT = _socket.MSG_DONTWAIT
_LINGER_OFF = struct.pack("@ii", 1, 0)

RECEIVE_BYTES = 64 * 1024

HEAD_PATIENCE_MS = 10
"""Over a unix socket the web server sends its request right after connect(): wait for it that
long before another connection is taken, whose request could run while this one waits. Over
TCP the kernel does that itself: TCP_DEFER_ACCEPT."""


class ClientGone(ConnectionError):
    """The client closed or reset the connection."""


class ClientTimeout(TimeoutError):
    """The client neither sent nor took a byte for socket_timeout."""


class ClientTooSlow(ClientTimeout):
    """The request's time is up, and it was the client that was waited for."""


class Connection:
    """A connected socket with what was received and not yet used.

    `failure` is set, for good, when reading or writing failed: the application may
    swallow the exception, but this connection carries nothing any more.
    """

    __slots__ = (
        "address",
        "buffer",
        "failure",
        "fd",
        "listener",
        "registered",
        "seconds_left",
        "socket",
    )

    def __init__(self, socket: _socket.socket, fd: int, listener: Listener, address: Any):
        self.socket = socket
        self.fd = fd
        self.listener = listener
        self.address = address
        self.buffer = b""
        self.failure: Exception | None = None
        self.registered = False  # in the worker's epoll
        # How long the request may still wait for its client, None = for ever.
        self.seconds_left: Callable[[], float | None] = for_ever

    def receive(self, size: int = RECEIVE_BYTES) -> bytes:
        """Return bytes from the client, waiting for them; b"" at the end of the stream."""
        while True:
            try:
                return self.socket.recv(size, _DONTWAIT)
            except BlockingIOError:
                self._wait(select.POLLIN)
            except OSError as error:
                raise self._fail(ClientGone("client went away: %s" % error.strerror)) from None

    def send(self, data: bytes | memoryview, flags: int = 0) -> None:
        """Send all of `data`; raise ClientGone or ClientTimeout."""
        try:
            sent = self.socket.send(data, flags | _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._fail(ClientGone("client went away: %s" % error.strerror)) from None
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:], flags)

    def _send_rest(self, data: memoryview, flags: int) -> None:
        while data:
            self._wait(select.POLLOUT)
            try:
                data = data[self.socket.send(data, flags | _DONTWAIT) :]
            except BlockingIOError:
                pass
            except OSError as error:
                raise self._fail(ClientGone("client went away: %s" % error.strerror)) from None

    def send_file(self, file_fd: int, offset: int, count: int) -> int:
        """Send up to `count` bytes of a file with sendfile(); return how many there were.

        Raises ClientGone and ClientTimeout; OSError as it comes when not one byte could
        be sent because this file is not for sendfile.
        """
        from os import sendfile

        set_blocking(self.fd, False)  # sendfile has no MSG_DONTWAIT
        sent = 0
        while sent < count:
            try:
                step = sendfile(self.fd, file_fd, offset + sent, min(count - sent, 1 << 30))
            except BlockingIOError:
                self._wait(select.POLLOUT)
                continue
            except OSError as error:
                if sent == 0 and not isinstance(error, ConnectionError):
                    raise
                raise self._fail(ClientGone("client went away: %s" % error.strerror)) from None
            if step == 0:
                break
            sent += step
        return sent

    def _wait(self, event: int) -> None:
        poller = select.poll()
        poller.register(self.fd, event)
        timeout_s = self.listener.socket_timeout_s
        left_s = self.seconds_left()
        if left_s is not None and left_s < timeout_s:
            # Else harakiri would end the worker, and what its other threads do with it.
            if not poller.poll(max(0.0, left_s) * 1000):
                word = "send its request" if event == select.POLLIN else "take the response"
                raise self._fail(ClientTooSlow("the client did not %s in time" % word))
        elif not poller.poll(timeout_s * 1000):
            word = "sent" if event == select.POLLIN else "took"
            raise self._fail(ClientTimeout("client %s nothing for %g s" % (word, timeout_s)))

    def _fail(self, failure: Exception) -> Exception:
        self.failure = failure
        return failure

    def reset(self) -> None:
        """Make the coming close() a reset, so that a cut response cannot pass for a whole."""
        try:
            self.socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER_OFF)
        except OSError:
            pass  # reset by the other side already

    def end(self) -> None:
        """Send no more, whoever else has the socket."""
        try:
            self.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # gone already

    def close(self) -> None:
        """Close the descriptor; nothing is left to report an error to."""
        try:
            self.socket.close()
        except OSError:
            pass


def for_ever() -> None:
    """Return that there is no deadline."""
    return


def first_bytes(socket: _socket.socket, fd: int, size: int) -> bytes | None:
    """Return up to `size` bytes that a new client sent; None = nothing yet, empty = it is gone."""
    try:
        return socket.recv(size, _DONTWAIT)
    except BlockingIOError:
        if socket.family != _socket.AF_UNIX:
            return None
    except OSError:
        return b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(HEAD_PATIENCE_MS):
        return None
    try:
        return socket.recv(size, _DONTWAIT)
    except OSError:
        return b""

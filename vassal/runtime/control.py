"""The worker's end of its channel to the master. Sending never blocks."""

from __future__ import annotations

import _socket

from . import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping


class Control:
    """Sends the worker's frames; receives the master's orders. `fd` stays the caller's."""

    def __init__(self, fd: int):
        self.fd = fd
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)
        self._wake = frames.encode(frames.WAKE)
        self._deadline = frames.encode(frames.DEADLINE)

    def send(self, verb: str, fields: Mapping[str, str] = {}) -> None:
        """Send one frame."""
        self._send(frames.encode(verb, fields))

    def wake(self) -> None:
        """Tell the master that a request began."""
        self._send(self._wake)

    def deadline(self) -> None:
        """Tell the master to look at the deadlines again."""
        self._send(self._deadline)

    def _send(self, frame: bytes) -> None:
        try:
            self._socket.send(frame, _socket.MSG_DONTWAIT)
        except OSError:
            # EAGAIN: the queue is full of frames that will wake the master. Anything else:
            # it is gone, and the loop will see the end of the stream.
            pass

    def receive(self) -> str | None:
        """Return the master's next order, None when there is none; its end is STOP too."""
        try:
            frame = self._socket.recv(frames.FRAME_BYTES_MAX, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return frames.STOP
        return frames.decode(frame)[0] if frame else frames.STOP

    def detach(self) -> None:
        """Let go of the descriptor without closing it."""
        self._socket.detach()

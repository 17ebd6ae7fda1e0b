"""The spawner's end of its channel to the emperor that runs now."""

import os
import socket
from collections import deque

from vassal import packets
from vassal.encoding import encode
from vassal.messages import Message

SEND_BYTES = 4 * 1024 * 1024
"""A burst of 500 messages must not wait for the reader."""


class EmperorChannel:
    """Tells the emperor things, in their order; owns the socket and what waits to be sent.

    Without an emperor nothing is told: the next one gets the inventory instead.
    """

    def __init__(self) -> None:
        self._end: socket.socket | None = None
        self._untold: deque[tuple[bytes, list[int]]] = deque()

    @property
    def end(self) -> socket.socket | None:
        """The socket that the emperor's orders come from; None = there is no emperor."""
        return self._end

    @property
    def has_untold(self) -> bool:
        """Whether something waits for the emperor to read."""
        return bool(self._untold)

    def open(self) -> socket.socket:
        """Return the end for a new emperor, the caller's to close. Raises OSError."""
        ours, theirs = packets.pair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self._forget()
        self._end = ours
        return theirs

    def close(self) -> None:
        """There is no emperor any more."""
        if self._end is not None:
            self._end.close()
            self._end = None
        self._forget()

    def tell(self, message: Message, fds: list[int] | None = None) -> None:
        """Send, or queue while it does not read; the descriptors stay the caller's.

        Raises OSError when there is no descriptor left for a copy.
        """
        # Copies: what the store holds may be closed before the emperor reads.
        self._untold.append((encode(message), [os.dup(fd) for fd in fds or []]))
        self.retell()

    def retell(self) -> None:
        """Send what waits, as far as the emperor reads."""
        while self._untold and self._end is not None:
            data, fds = self._untold[0]
            try:
                packets.send(self._end, data, fds)
            except BlockingIOError:
                return
            except packets.PeerGone:
                break
            packets.close_all(fds)
            self._untold.popleft()
        self._forget()

    def _forget(self) -> None:
        for _, fds in self._untold:
            packets.close_all(fds)
        self._untold.clear()

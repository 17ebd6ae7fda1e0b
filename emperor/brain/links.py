"""The emperor's ends of its channels: to the spawner, and to every master."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from vassal import packets
from vassal.encoding import MessageError, encode
from vassal.messages import Message

M = TypeVar("M")

UNSENT_MAX = 20_000
PACKETS_PER_TURN = 64


class ChannelFull(ConnectionError):
    """The peer has not read for so long that the emperor stopped queueing for it."""


class Link(Generic[M]):
    """One SEQPACKET channel in the event loop. Owns the socket.

    `on_message` gets every decoded message and the descriptors beside it, which become
    its own. What cannot be decoded goes to `on_nonsense`; the channel's end to `on_gone`.
    """

    def __init__(
        self,
        channel: socket.socket,
        decode: Callable[[bytes], M],
        on_message: Callable[[M, list[int]], None],
        on_nonsense: Callable[[str], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._channel.setblocking(False)
        self._decode = decode
        self._on_message = on_message
        self._on_nonsense = on_nonsense
        self._on_gone = on_gone
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._sent = 0
        self._awaited: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(channel.fileno(), self._read)

    def send(self, message: Message, fds: list[int] | None = None) -> None:
        """Send, or queue while the peer is slow; the descriptors stay the caller's.

        To a peer that is gone nothing is sent: its end is told by other ways. Raises
        ChannelFull, and MessageError for a message larger than a packet.
        """
        data = encode(message)
        if self._channel.fileno() < 0:
            return
        if len(self._unsent) >= UNSENT_MAX:
            raise ChannelFull(f"{UNSENT_MAX} messages unread")
        # Copies: the caller may close its own before the peer reads.
        self._unsent.append((data, [os.dup(fd) for fd in fds or []]))
        self._write()

    async def until_sent(self) -> None:
        """Wait until the peer has all that it was sent by now, also if it reads it later; or until
        the channel is closed."""
        if self._unsent:
            sent = self._loop.create_future()
            self._awaited.append((self._sent + len(self._unsent), sent))
            await sent

    def hear_out(self) -> None:
        """Take in now what a peer that has ended still had to say."""
        self._read()

    def close(self) -> None:
        """Close the channel; nothing is called any more."""
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())
            self._channel.close()
        for _, fds in self._unsent:
            packets.close_all(fds)
        self._unsent.clear()
        self._tell_sent(all_over=True)

    def _read(self) -> None:
        for _ in range(PACKETS_PER_TURN):
            if self._channel.fileno() < 0:
                return  # a message closed it
            try:
                packet = packets.receive(self._channel)
            except BlockingIOError:
                return
            except packets.PeerGone:
                self.close()
                self._on_gone()
                return
            except OSError as error:
                self._on_nonsense(str(error))
                continue
            try:
                message = self._decode(packet.data)
            except MessageError as error:
                packets.close_all(packet.fds)
                self._on_nonsense(str(error))
                continue
            self._on_message(message, packet.fds)

    def _write(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                packets.send(self._channel, data, fds)
            except BlockingIOError:
                self._loop.add_writer(self._channel.fileno(), self._write)
                return
            except packets.PeerGone:
                break  # the reader learns of it after what the peer still had to say
            packets.close_all(fds)
            self._unsent.popleft()
            self._sent += 1
            self._tell_sent()
        self._loop.remove_writer(self._channel.fileno())

    def _tell_sent(self, all_over: bool = False) -> None:
        while self._awaited and (all_over or self._awaited[0][0] <= self._sent):
            _, sent = self._awaited.popleft()
            if not sent.done():
                sent.set_result(None)

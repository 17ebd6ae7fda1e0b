"""The emperor's channels to the masters that run, by their tokens."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable

from emperor.brain.links import ChannelFull, Link
from vassal import packets
from vassal.encoding import decode_from_master
from vassal.messages import Describe, Description, FromMaster, Message, Ping


class Masters:
    """Owns a channel to every master. `on_message` gets (token, message); `on_nonsense`
    (token, problem)."""

    def __init__(
        self,
        on_message: Callable[[str, FromMaster], None],
        on_nonsense: Callable[[str, str], None],
    ) -> None:
        self._on_message = on_message
        self._on_nonsense = on_nonsense
        self._links: dict[str, Link[FromMaster]] = {}
        self._asked: dict[str, list[asyncio.Future[Description | None]]] = {}
        self._silent: set[str] = set()

    def connect(self, token: str, channel: socket.socket) -> None:
        """Take over the channel to the master `token`."""
        self._links[token] = Link(
            channel,
            decode_from_master,
            lambda message, fds: self._receive(token, message, fds),
            lambda problem: self._on_nonsense(token, problem),
            lambda: None,  # the spawner tells how it ended
        )

    def is_connected(self, token: str | None) -> bool:
        """Return whether there is a channel to `token`."""
        return token in self._links

    def send(self, token: str | None, message: Message, fds: list[int] | None = None) -> None:
        """Send to the master, if there is one; the descriptors stay the caller's.

        One that has left thousands of messages unread is told nothing more: it gives no sign of
        life either. Raises MessageError.
        """
        with contextlib.suppress(ChannelFull):
            self.must_send(token, message, fds)

    def must_send(self, token: str | None, message: Message, fds: list[int] | None = None) -> None:
        """The same, but raise ChannelFull."""
        if token is not None and token in self._links:
            self._links[token].send(message, fds)

    async def until_sent(self, tokens: Iterable[str]) -> None:
        """Wait until each of these masters has all that it was told by now, or is gone."""
        links = [self._links[token] for token in tokens if token in self._links]
        await asyncio.gather(*(link.until_sent() for link in links))

    @property
    def tokens(self) -> frozenset[str]:
        """Whoever there is a channel to."""
        return frozenset(self._links)

    def ping(self, tokens: Iterable[str]) -> None:
        """Ask these masters for a sign of life; until it comes each of them is in `silent`."""
        for token in tokens:
            self._silent.add(token)
            self.send(token, Ping())

    @property
    def silent(self) -> frozenset[str]:
        """Those that were asked for a sign of life and have said nothing since."""
        return frozenset(self._silent)

    async def describe(self, token: str | None, patience_s: float) -> Description | None:
        """Return the master's own description; None when there is none or it is silent."""
        if token is None or token not in self._links:
            return None
        future: asyncio.Future[Description | None] = asyncio.get_running_loop().create_future()
        try:
            self.must_send(token, Describe())
        except ChannelFull:
            return None  # others are still to be told of
        self._asked.setdefault(token, []).append(future)
        try:
            return await asyncio.wait_for(future, patience_s)
        except TimeoutError:
            return None
        finally:
            self._forget(token, future)

    def hear_out(self, token: str) -> None:
        """Take in the last words of a master that has ended."""
        if token in self._links:
            self._links[token].hear_out()

    def drop(self, token: str) -> None:
        """The master is gone: close its channel; who waits for its word gets None."""
        self._silent.discard(token)
        link = self._links.pop(token, None)
        if link is not None:
            link.close()
        self._answer(token, None)

    def _receive(self, token: str, message: FromMaster, fds: list[int]) -> None:
        packets.close_all(fds)  # masters have nothing to hand over
        self._silent.discard(token)
        if isinstance(message, Description):
            self._answer(token, message)
        self._on_message(token, message)

    def _forget(self, token: str, future: asyncio.Future[Description | None]) -> None:
        """A silent master is asked again and again; who has gone away waits no more."""
        asked = self._asked.get(token, [])
        if future in asked:
            asked.remove(future)
        if not asked:
            self._asked.pop(token, None)

    def _answer(self, token: str, found: Description | None) -> None:
        for future in self._asked.pop(token, []):
            if not future.done():
                future.set_result(found)

"""Watches the sockets of vassals of which nothing runs: a connection wakes them.

One whose start has failed is not woken: whoever connects is told 503 at once, instead of
waiting for nothing. Nothing that a client sends is looked at.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple

from vassal.master.rescue import UNAVAILABLE, whole_answer

REFUSED_PER_TURN = 64
READS_MAX = 8
PAUSE_S = 1.0


class Door(Enum):
    """What a connection to a vassal of which nothing runs leads to."""

    WAKE = "wake"
    REFUSE = "refuse"


class Bell(NamedTuple):
    """One socket, borrowed, and the protocol that is spoken there."""

    listener: socket.socket
    protocol: str


class Sleepers:
    """One event loop's. `ring` gets the name of a vassal that somebody has connected to."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._doors: dict[str, tuple[Door, tuple[Bell, ...]]] = {}

    def update(self, doors: Mapping[str, tuple[Door, tuple[Bell, ...]]]) -> None:
        """Watch these and no others."""
        for name in self._doors.keys() - doors.keys():
            self.leave(name)
        for name, (door, bells) in doors.items():
            if self._doors.get(name) != (door, bells):
                self.leave(name)
                self._attend(name, door, bells)

    def leave(self, name: str) -> None:
        """Watch the vassal's sockets no more; to be called before they are closed."""
        for bell in self._doors.pop(name, (None, ()))[1]:
            self._loop.remove_reader(bell.listener.fileno())

    def close(self) -> None:
        """Watch nothing any more."""
        for name in list(self._doors):
            self.leave(name)

    def _attend(self, name: str, door: Door, bells: tuple[Bell, ...]) -> None:
        self._doors[name] = door, bells
        for bell in bells:
            answer = self._wake if door is Door.WAKE else self._refuse
            self._loop.add_reader(bell.listener.fileno(), answer, name, bell)

    def _wake(self, name: str, bell: Bell) -> None:
        # Not watched until it sleeps again: what waits in the queue would ring for ever.
        self.leave(name)
        self._ring(name)

    def _refuse(self, name: str, bell: Bell) -> None:
        for _ in range(REFUSED_PER_TURN):
            try:
                client, _ = bell.listener.accept()
            except BlockingIOError:
                return
            except OSError:
                self._pause(name)
                return
            with client:
                _turn_away(client, bell.protocol)

    def _pause(self, name: str) -> None:
        """No descriptor is left for a client: the socket stays ready, and must not spin."""
        doors = self._doors.get(name)
        self.leave(name)
        if doors is not None:
            self._loop.call_later(PAUSE_S, self._resume, name, *doors)

    def _resume(self, name: str, door: Door, bells: tuple[Bell, ...]) -> None:
        if name not in self._doors and all(bell.listener.fileno() >= 0 for bell in bells):
            self._attend(name, door, bells)


def _turn_away(client: socket.socket, protocol: str) -> None:
    with contextlib.suppress(OSError):
        client.setblocking(False)
        client.send(whole_answer(UNAVAILABLE, protocol, 1), socket.MSG_NOSIGNAL)
        client.shutdown(socket.SHUT_WR)
        # Closed with unread bytes, it would be reset, and the answer lost with it.
        for _ in range(READS_MAX):
            if not client.recv(65536):
                return

"""Watches the sockets of vassals of which nothing runs: a connection wakes them.

One whose start has failed, or that somebody stopped, is not woken: whoever connects is told 503 at
once, instead of waiting for nothing. Nothing that a client sends is looked at.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from emperor.brain.farewell import Farewells
from emperor.brain.wishes import BY_HAND, Wish
from emperor.core.registry import Vassal
from emperor.status import VassalState
from vassal.master.rescue import UNAVAILABLE, whole_answer

REFUSED_PER_TURN = 64
PAUSE_S = 1.0
TURN_S = 0.25
"""A turn takes some milliseconds. What holds it up longer is a tenant's trick."""


class Door(Enum):
    """What a connection to a vassal of which nothing runs leads to."""

    WAKE = "wake"
    REFUSE = "refuse"


class HeldUpError(Exception):
    """No OSError: what passes over those must not pass over this."""


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
        self._watchers: dict[int, str] = {}  # by descriptor: it may have been another's before
        self._paused: dict[str, asyncio.TimerHandle] = {}
        self._farewells = Farewells()

    def attend(self, name: str, door: Door, bells: tuple[Bell, ...]) -> None:
        """Watch these sockets of the vassal, and no others of its."""
        if self._doors.get(name) != (door, bells):
            self.leave(name)
            self._attend(name, door, bells)

    def leave(self, name: str) -> None:
        """Watch the vassal's sockets no more; to be called before they are closed."""
        self._look_away(name)
        self._doors.pop(name, None)
        if (pause := self._paused.pop(name, None)) is not None:
            pause.cancel()

    def refuses(self, name: str) -> bool:
        """Return whether somebody who connects to the vassal is told 503."""
        door, bells = self._doors.get(name, (None, ()))
        return door is Door.REFUSE and bool(bells)

    def close(self) -> None:
        """Watch nothing any more."""
        for name in list(self._doors):
            self.leave(name)
        self._farewells.close()

    def _attend(self, name: str, door: Door, bells: tuple[Bell, ...]) -> None:
        self._doors[name] = door, bells
        for bell in bells:
            answer = self._wake if door is Door.WAKE else self._refuse
            self._watchers[bell.listener.fileno()] = name
            self._loop.add_reader(bell.listener.fileno(), answer, name, bell)

    def _look_away(self, name: str) -> None:
        for bell in self._doors.get(name, (None, ()))[1]:
            fd = bell.listener.fileno()
            if self._watchers.get(fd) == name:
                del self._watchers[fd]
                self._loop.remove_reader(fd)

    def _wake(self, name: str, bell: Bell) -> None:
        # Not watched until it sleeps again: what waits in the queue would ring for ever.
        self.leave(name)
        self._ring(name)

    def _refuse(self, name: str, bell: Bell) -> None:
        try:
            with at_most(TURN_S):
                for _ in range(REFUSED_PER_TURN):
                    client = _accept(bell.listener)
                    self._farewells.say(client, whole_answer(UNAVAILABLE, bell.protocol, 1))
        except BlockingIOError:
            return
        except (OSError, HeldUpError):
            self._pause(name)

    def _pause(self, name: str) -> None:
        """No descriptor is left for a client, or the tenant holds us up: the socket stays
        ready, and must not spin."""
        self._look_away(name)
        self._paused[name] = self._loop.call_later(PAUSE_S, self._resume, name)

    def _resume(self, name: str) -> None:
        del self._paused[name]
        self._attend(name, *self._doors[name])


def door_of(vassal: Vassal, wish: Wish) -> Door | None:
    """Return what a connection to a vassal of which nothing runs leads to, None while its own
    processes, or those to come, answer."""
    if not wish.run:
        # Not when the emperor stops: who waits then is served by the one that comes next.
        by_hand = wish.why_not == BY_HAND
        return Door.REFUSE if by_hand and vassal.state is VassalState.STOPPED else None
    on_demand = wish.desired().on_demand
    if vassal.state is VassalState.DORMANT:
        return Door.WAKE if vassal.retry_at is None else None
    # A parked one waits for a person, and its clients would wait as long. One that is tried
    # again by itself serves its queue then, but on demand it first falls asleep.
    if vassal.state is VassalState.PARKED or (on_demand and vassal.state is VassalState.BACKOFF):
        return Door.REFUSE
    return None


def _accept(listener: socket.socket) -> socket.socket:
    """Return the next client's connection; raise BlockingIOError where there is none.

    O_NONBLOCK is the open socket's, which the tenant's processes have too: what they cleared
    is set again. One of them that does so at this very moment meets `at_most`.
    """
    os.set_blocking(listener.fileno(), False)
    return listener.accept()[0]


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Interrupt the block after `seconds` with HeldUpError, whatever call it waits in.

    For the main thread, and for calls that no flag of our own keeps from waiting.
    """

    def on_alarm(signum: int, frame: object) -> None:
        raise HeldUpError

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

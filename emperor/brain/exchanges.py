"""Vassals that take over addresses of one another: all of them settle, or all stay where they were.

Who takes an address over that its holder leaves is built beside what serves, as a second master,
and may serve there before the holder has gone. Until that has, the first master stands by.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from emperor.brain.listeners import Listeners
from emperor.brain.roll import Roll
from emperor.brain.succession import Succession
from emperor.core.registry import Vassal
from vassal.failure import Failure

PATIENCE_S = 3600.0
"""How long one waits that has settled. Those it waits for have deadlines of their own."""


class Settled(NamedTuple):
    """What a master has said of a generation."""

    token: str
    number: int
    fingerprint: str


class Exchanges:
    """Holds back what has settled, and gives up what cannot. `on_ready` gets a vassal with number
    and fingerprint of what it serves for good; `leaves` is that of `Listeners`."""

    def __init__(
        self,
        roll: Roll,
        listeners: Listeners,
        succession: Succession,
        leaves: Callable[[str, str], bool],
        on_ready: Callable[[Vassal, int, str], None],
    ) -> None:
        self._roll = roll
        self._listeners = listeners
        self._succession = succession
        self._leaves = leaves
        self._on_ready = on_ready
        self._waiting: dict[str, Settled] = {}

    def on_ready(self, vassal: Vassal, number: int, fingerprint: str) -> None:
        """A vassal has settled. It counts when those whose addresses it takes over have as well."""
        if vassal.standby is None or not self._lenders(vassal.name):
            self._on_ready(vassal, number, fingerprint)
        else:
            until = time.monotonic() + PATIENCE_S
            standby = msgspec.structs.replace(vassal.standby, deadline=until)
            self._roll.set(msgspec.structs.replace(vassal, standby=standby))
            self._waiting[vassal.name] = Settled(vassal.token or "", number, fingerprint)
        self._settle()

    def look(self) -> None:
        """Give up what was to serve where another vassal stays after all; let settle what has
        waited for one that is gone."""
        for name, key, lender in self._listeners.loans():
            vassal = self._roll.get(name)
            if self._leaves(lender, key) or (vassal.standby is None and vassal.successor is None):
                continue
            self._listeners.refuse(name, key)
            why = f"{key}: vassal {lender} was to leave it, and serves on there"
            failure = Failure(kind="listen", message=why)
            if vassal.standby is not None:
                self._succession.fall_back(vassal, failure)
            else:
                self._succession.give_up(vassal, failure)
        self._settle()

    def _lenders(self, name: str) -> set[str]:
        """Return who serves still where `name` is to be alone."""
        return {
            lender
            for borrower, _, lender in self._listeners.loans()
            if borrower == name and self._roll.get(lender).serving is not None
        }

    def _settle(self) -> None:
        """Let those settle that wait for nobody but one another."""
        known = {name: self._roll.get(name) for name in self._waiting}
        self._waiting = {
            name: said
            for name, said in self._waiting.items()
            if known[name].token == said.token and known[name].standby is not None
        }
        ready = set(self._waiting)
        while late := {name for name in ready if self._lenders(name) - ready}:
            ready -= late
        for name in sorted(ready):
            said = self._waiting.pop(name)
            self._on_ready(known[name], said.number, said.fingerprint)
        if ready:
            self._settle()  # those that have waited for them

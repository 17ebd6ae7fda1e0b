"""Builds second masters beside those that serve, and puts one in the place of the other.

What serves goes on serving until its successor does, and stands by until that has settled.
"""

import time
import uuid
from collections.abc import Callable

import msgspec

from emperor.brain.cgroups import Cgroups
from emperor.brain.listeners import Listeners
from emperor.brain.masters import Masters
from emperor.brain.roll import STOP_GRACE_S, Roll, dated
from emperor.brain.spawning import START_GRACE_S, CannotSpawn, Spawning
from emperor.core.registry import (
    Fact,
    Successor,
    Vassal,
    advance,
    fall_back,
    settle_until,
    take_place,
    without_successor,
)
from vassal.failure import Failure
from vassal.messages import Describe, DismissWorkers, Message, Resume, StandBy, Stop

RELIEF_PAUSE_S = 60.0
"""After this time a master that is silent gets another successor, if one has failed."""

DROPPED_STOP_S = 5.0
"""How long a second master that is given up may take to finish what it has accepted."""


class Succession:
    """Of all vassals of a roll, into which it enters what it did."""

    def __init__(
        self,
        roll: Roll,
        masters: Masters,
        listeners: Listeners,
        cgroups: Cgroups,
        spawning: Spawning,
        to_spawner: Callable[[Message, list[int]], None],
    ) -> None:
        self._roll = roll
        self._masters = masters
        self._listeners = listeners
        self._cgroups = cgroups
        self._spawning = spawning
        self._to_spawner = to_spawner

    def begin(self, vassal: Vassal, now: float) -> None:
        """Ask for a second master; what serves goes on serving until it is ready."""
        wish = self._roll.wishes[vassal.name]
        desired, spec = wish.desired(), wish.spec
        assert spec is not None  # decide() builds nothing without a fingerprint
        dropped = vassal.successor
        vassal = self._dismiss(vassal)
        token = uuid.uuid4().hex
        self._roll.name_token(token, vassal.name)
        successor = Successor(
            token=token,
            birth=desired.birth,
            limits=desired.limits,
            deadline=now + spec.settings.spawn_timeout + START_GRACE_S,
        )
        record = advance(
            vassal,
            Fact.RELOAD_BEGAN,
            now,
            attempted=desired.fingerprint,
            attempted_birth=desired.birth,
            successor=successor,
        )
        self._roll.set(record)
        try:
            self._spawning.ask(token, desired, spec, beside=True)
        except CannotSpawn as error:
            self.give_up(record, error.failure)
            return
        finally:
            if dropped is not None:
                # Not before: what this one needs too could not be bound anew while anybody has it.
                self._listeners.give_back(vassal.name, dropped.token)
        self._roll.publish("info", "successor_starting", vassal.name, {"user": spec.identity.user})

    def give_up(self, vassal: Vassal, failure: Failure) -> None:
        """The second master did not come to serve: end it; the first one serves on."""
        record = self.drop(vassal)
        if record.replace_at is not None:
            again = time.monotonic() + RELIEF_PAUSE_S
            record = msgspec.structs.replace(record, replace_at=again)
        self._cgroups.serves_on(record.name, record.token)
        self._roll.reload_failed(record, failure)

    def drop(self, vassal: Vassal) -> Vassal:
        """Ask a second master to go, close what was bound for it, and return the record without."""
        record = self._dismiss(vassal)
        if vassal.successor is not None:
            # Not before: with a brain that died in between it would come to serve where nobody is.
            self._listeners.give_back(vassal.name, vassal.successor.token)
        return record

    def _dismiss(self, vassal: Vassal) -> Vassal:
        """Ask a second master to go, and return the record without it.

        Its first worker may have accepted already: it finishes what it has.
        """
        if vassal.successor is None:
            return vassal
        self._masters.send(vassal.successor.token, Stop(timeout_s=DROPPED_STOP_S))
        patience_s = DROPPED_STOP_S + STOP_GRACE_S + self._roll.clearing_s(vassal.name)
        return without_successor(vassal, time.monotonic() + patience_s)

    def take_place(self, vassal: Vassal, settle_s: float) -> None:
        """The second master has come to serve: the first one stands by until it has settled."""
        now = time.monotonic()
        retire_until = now
        if vassal.standby is not None:
            retire_until = self.retire(vassal.standby.token, vassal)
        self._masters.send(vassal.token, StandBy())
        record = take_place(vassal, now, settle_until(now, settle_s), retire_until)
        self._roll.set(record)
        fields = {"pid": record.pid, "settle_s": settle_s}
        self._roll.publish("info", "successor_serves", vassal.name, fields)

    def fall_back(self, vassal: Vassal, failure: Failure) -> None:
        """What serves has not settled: it goes, and the master that stands by serves again."""
        now, failure = time.monotonic(), dated(failure)
        retire_until = self.retire(vassal.token, vassal) if vassal.token is not None else now
        record = fall_back(vassal, failure, now, retire_until)
        self._masters.send(record.token, Resume())
        # What it built when it was told to stand by has come to nothing, or serves now.
        self._masters.send(record.token, Describe())
        self._cgroups.serves_on(record.name, record.token)
        if vassal.token is not None:
            self._listeners.give_back(vassal.name, vassal.token)
        self._roll.set(record)
        self._roll.publish_failed_reload(record, failure)

    def fall_back_from_hung(self, vassal: Vassal) -> None:
        """The same, with a master that gives no sign of life."""
        hung = msgspec.structs.replace(vassal, replace_at=time.monotonic())
        why = "its master gave no sign of life before it had settled"
        self.fall_back(hung, Failure(kind="crash", message=why))

    def retire(self, token: str, vassal: Vassal) -> float:
        """Ask a master that was replaced to finish; return when patience with it ends."""
        timeout_s = self._roll.stop_timeout_s(vassal.name)
        self._masters.send(token, Stop(timeout_s=timeout_s))
        if vassal.replace_at is not None:
            self.dismiss_workers(token)
        return time.monotonic() + self._roll.stop_patience_s(vassal.name)

    def dismiss_workers(self, token: str) -> None:
        """A master that hangs is to end: it cannot tell its workers, which would go on accepting
        until it is killed. They finish what they have."""
        self._to_spawner(DismissWorkers(token=token), [])

"""Takes over the masters that outlived an earlier emperor, when they have said what they are."""

import socket
import time
from collections.abc import Callable, Sequence
from math import inf

import msgspec

from emperor.brain.allotments import Allotments
from emperor.brain.cgroups import Cgroups
from emperor.brain.listeners import Listeners
from emperor.brain.live_limits import LiveLimits
from emperor.brain.masters import Masters
from emperor.brain.memo import number_in_memo, terms_in_memo, text_in_memo, uid_in_memo
from emperor.brain.petitions import Petition
from emperor.brain.roll import Roll
from emperor.brain.spawning import START_GRACE_S
from emperor.brain.succession import Succession
from emperor.brain.wishes import serial_of
from emperor.core.adoption import Adopted, Duty, Found, Outcome, Patience, adopt, outcome
from emperor.core.registry import Retiring, Vassal, birth_under, latest
from emperor.status import VassalState
from vassal.code import DIGEST
from vassal.messages import (
    Describe,
    Description,
    FromMaster,
    HeldMaster,
    Idle,
    Resume,
    StandBy,
    Stop,
)

ADOPTED_START_S = 120.0
"""How long a master that was found starting may still take."""


class Adoption:
    """Every master is asked; a vassal is adopted when all of its masters have answered.

    `name_of` gives a master's vassal, by its token and the name that it was born with. Until all
    have answered its record says that it starts, and names all of them: one that never answers
    is killed at its deadline. What they ask for meanwhile `petition` hears when it is adopted.
    """

    def __init__(
        self,
        roll: Roll,
        masters: Masters,
        listeners: Listeners,
        cgroups: Cgroups,
        succession: Succession,
        limits: LiveLimits,
        allotments: Allotments,
        name_of: Callable[[str, str], str],
        petition: Callable[[str, FromMaster], None],
    ) -> None:
        self._roll = roll
        self._masters = masters
        self._listeners = listeners
        self._cgroups = cgroups
        self._succession = succession
        self._limits = limits
        self._allotments = allotments
        self._name_of = name_of
        self._petition = petition
        self._names: dict[str, str] = {}
        self._held: dict[str, dict[str, HeldMaster]] = {}  # by vassal and token
        self._said: dict[str, Description] = {}
        self._petitions: dict[str, dict[type, FromMaster]] = {}  # by token, the last of each kind

    @property
    def is_done(self) -> bool:
        """Whether every master has said what it is, or has gone."""
        return not self._held

    def hold(self, held: HeldMaster, channel: socket.socket) -> None:
        """Take in a master, the oldest first, and ask it what it is."""
        name = self._name_of(held.token, held.vassal)
        self._names[held.token] = name
        self._held.setdefault(name, {})[held.token] = held
        self._roll.name_token(held.token, name)
        self._roll.presume_terms(name, terms_in_memo(held.memo))
        self._cgroups.adopt(name, held.token, text_in_memo(held.memo, "cgroup"))
        self._listeners.run_as(name, held.token, uid_in_memo(held.memo))
        if name != held.vassal and held.vassal not in self._roll.wishes:
            # What was held under the name of its birth is held under the one that it has now.
            self._listeners.rename(held.vassal, name)
        self._note_unknown(name)
        self._masters.connect(held.token, channel)
        self._masters.send(held.token, Describe())

    def hear(self, token: str, message: FromMaster) -> bool:
        """Take in a message, and return True, if it is from a master that is to be adopted."""
        name = self._names.get(token)
        if name is None:
            return False
        if isinstance(message, Description):
            self._said[token] = message
            if not self._adopt_if_known(name):
                self._note_answered(name)
        elif isinstance(message, Petition | Idle):
            self._petitions.setdefault(token, {})[type(message)] = message
        elif self._said.pop(token, None) is not None:
            self._masters.send(token, Describe())  # it is not any more what it has said
        return True

    def leave(self, token: str) -> bool:
        """A master has gone. Return True if others of its vassal are what is left of it."""
        name = self._names.pop(token, None)
        self._said.pop(token, None)
        self._petitions.pop(token, None)
        if name is None:
            return False
        del self._held[name][token]
        if not self._held[name]:
            del self._held[name]
            return False
        if not self._adopt_if_known(name):
            self._note_unknown(name)
        return True

    def _note_answered(self, name: str) -> None:
        """One has answered, and others have not: whatever it says puts off nothing, a stop least of
        all, which those that are waited for are told too."""
        before = self._roll.get(name)
        self._note_unknown(name, before.deadline)
        if before.state is VassalState.STOPPING:
            record = msgspec.structs.replace(
                self._roll.get(name), state=before.state, since=before.since
            )
            self._roll.set(record)
            if record.token != before.token:
                timeout_s = self._roll.stop_timeout_s(name)
                self._masters.send(record.token, Stop(timeout_s=timeout_s))

    def _note_unknown(self, name: str, deadline: float | None = None) -> None:
        """Until all have answered it is not known what runs. Those that have are in no danger."""
        now = time.monotonic()
        deadline = now + START_GRACE_S if deadline is None else deadline
        masters = self._held[name].values()
        *silent, last = (held for held in masters if held.token not in self._said)
        retiring = [Retiring(token=held.token, deadline=deadline) for held in silent]
        answered = (held.token for held in masters if held.token in self._said)
        retiring += [Retiring(token=token, deadline=inf) for token in answered]
        record = Vassal(
            name=name,
            state=VassalState.STARTING,
            since=now,
            token=last.token,
            pid=last.pid,
            retiring=tuple(retiring),
            deadline=deadline,
            last_failure=self._roll.get(name).last_failure,
        )
        self._roll.set(record)

    def _adopt_if_known(self, name: str) -> bool:
        """Return whether all of a vassal's masters have said what they are, and it is adopted."""
        if any(token not in self._said for token in self._held[name]):
            return False
        masters = list(self._held.pop(name).values())
        said = [self._said.pop(held.token) for held in masters]
        for held in masters:
            del self._names[held.token]
        found = [_found(name, held, one) for held, one in zip(masters, said, strict=True)]
        patience = Patience(ADOPTED_START_S, self._roll.stop_patience_s(name))
        adopted = adopt(name, found, time.monotonic(), patience)
        at = found.index(adopted.current)
        memos = [
            held.memo
            for held, one in zip(masters, found, strict=True)
            if one.duty is Duty.BUILDING or one is adopted.current
        ]
        self._restore(name, adopted.current, said[at], masters[at].memo, memos)
        failure = self._roll.get(name).last_failure
        for one in said:
            failure = latest(failure, one.last_failure)
        record = msgspec.structs.replace(adopted.record, last_failure=failure)
        self._roll.set(record)
        self._cgroups.serves_on(name, record.token)
        self._tell(name, adopted)
        self._keep_addresses(name, adopted)
        self._roll.publish("info", "vassal_adopted", name, {"pid": record.pid})
        for held in masters:
            for petition in self._petitions.pop(held.token, {}).values():
                self._petition(held.token, petition)
        return True

    def _tell(self, name: str, adopted: Adopted) -> None:
        self._masters.send(adopted.stand_by, StandBy())
        self._masters.send(adopted.resume, Resume())
        for token in adopted.stop:
            self._succession.retire(token, self._roll.get(name))

    def _keep_addresses(self, name: str, adopted: Adopted) -> None:
        """What an earlier emperor had bound for something that did not come to serve is closed."""
        for attempt in adopted.outcome.settled:
            self._listeners.settled(name, attempt)
        self._listeners.retain(name, adopted.outcome.under_way)

    def _restore(
        self, name: str, current: Found, said: Description, memo: str, memos: Sequence[str]
    ) -> None:
        """What people asked for before this emperor's time is part of the truth, and what they have
        asked for since is to be done; so is what others of these masters were born for, whom it cut
        short."""
        self._limits.remember(name, text_in_memo(memo, "limits"))
        self._allotments.restore(name, said.workers_granted)
        wish = self._roll.wishes.get(name)
        if wish is None:
            return
        restored = msgspec.structs.replace(
            wish,
            reload_serial=max(serial_of(current.fingerprint), _serial(memos, "fingerprint"))
            + wish.reload_serial,
            restart_serial=current.restart_serial + wish.restart_serial,
            renew_serial=_serial(memos, "birth") + wish.renew_serial,
        )
        self._roll.wish(name, restored)
        self._listeners.claim(name, wish.spec)


def outcome_for(token: str, said: Description) -> Outcome | None:
    """Return what has become of the attempts of a master, if it serves."""
    duty = _duty(said)
    if duty not in (Duty.SERVING, Duty.SETTLING):
        return None
    return outcome(_with_work(said, Found(token=token, pid=0, birth="", duty=duty)))


def _serial(memos: Sequence[str], key: str) -> int:
    return max(serial_of(text_in_memo(memo, key)) for memo in memos)


def _birth(held: HeldMaster, name: str) -> str:
    return birth_under(name, held.vassal, text_in_memo(held.memo, "birth")) or ""


def _found(name: str, held: HeldMaster, said: Description) -> Found:
    known = Found(
        token=held.token,
        pid=held.pid,
        birth=_birth(held, name),
        duty=_duty(said),
        restart_serial=number_in_memo(held.memo, "restart"),
    )
    return _with_work(said, known)


def _with_work(said: Description, known: Found) -> Found:
    at_most = said.newest if said.newest != said.generation else 0
    return msgspec.structs.replace(
        known,
        fingerprint=said.fingerprint,
        number=said.generation,
        newest=said.newest,
        building=at_most if said.building is None else said.building,
        settle_s=said.settle_s or 0.0,
        state_s=said.age_s if said.state_s is None else min(said.state_s, said.age_s),
        outdated=said.code != DIGEST,
    )


def _duty(said: Description) -> Duty:
    if said.state in ("stopping", "done"):
        return Duty.ENDING
    if said.serving:
        return Duty.SERVING if said.settle_s is None else Duty.SETTLING
    return Duty.STANDING_BY if said.standing_by else Duty.BUILDING

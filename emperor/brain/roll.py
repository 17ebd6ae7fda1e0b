"""The brain's table: one record, one wish a vassal, and whose master a token names."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from typing import NamedTuple

import msgspec

from emperor.brain.birth import Spec
from emperor.brain.wishes import BY_HAND, Wish
from emperor.core.reconcile import stays
from emperor.core.registry import RUNNING, Fact, Vassal, advance, born_as, fail
from emperor.core.restarts import RestartPolicy
from emperor.status import LimitChange, VassalState, served_on
from vassal.failure import Failure

EXIT_PATIENCE_S = 5.0
"""How long a master that failed has to go by itself."""

STOP_GRACE_S = 5.0
"""So much longer than `stop_timeout` a master may take to end."""


class EndTerms(NamedTuple):
    """How long, in seconds, requests may take to finish, and commands of exec_stop_post behind
    them."""

    stop_s: float = 30.0
    clearing_s: float = 60.0


UNKNOWN_TERMS = EndTerms()
"""Of what an earlier emperor of other code has left, whose file is gone: the built-in
stop_timeout, and spawn_timeout for what there may be of exec_stop_post."""


def terms_of(spec: Spec) -> EndTerms:
    """Return on which terms what is made of `spec` ends."""
    settings = spec.settings
    clearing_s = settings.spawn_timeout if settings.exec_stop_post else 0.0
    return EndTerms(settings.stop_timeout, clearing_s)


Publish = Callable[[str, str, str | None, Mapping[str, object]], None]
"""(level, event, vassal, fields) to log and event stream."""


def dated(failure: Failure) -> Failure:
    """Return the failure with the time of day, for display, if it has none."""
    return failure if failure.at else msgspec.structs.replace(failure, at=time.time())


class Roll:
    """Every vassal's record; nothing here acts. `note` is told whose record or wish is another."""

    def __init__(self, publish: Publish, note: Callable[[str], None]) -> None:
        self.publish = publish
        self.policy = RestartPolicy()
        self._note = note
        self._wishes: dict[str, Wish] = {}
        self._vassals: dict[str, Vassal] = {}
        self._counts: Counter[VassalState] = Counter()
        self._stopped_by_hand: set[str] = set()
        self._terms: dict[str, EndTerms] = {}  # of what runs they count when the file is gone
        self._asking: dict[str, set[str]] = {}  # by key of an address, whose file names it
        self.unsupported: dict[str, tuple[str, ...]] = {}
        self.limit_changes: dict[str, LimitChange] = {}
        self._names: dict[str, str] = {}

    @property
    def wishes(self) -> Mapping[str, Wish]:
        """What is wanted of each vassal that has a file."""
        return self._wishes

    @property
    def vassals(self) -> Mapping[str, Vassal]:
        """The records by name."""
        return self._vassals

    @property
    def counts(self) -> Mapping[VassalState, int]:
        """How many vassals are in each state."""
        return self._counts

    @property
    def stopped_by_hand(self) -> Set[str]:
        """The names of vassals that somebody stopped."""
        return self._stopped_by_hand

    def wish(self, name: str, wish: Wish | None) -> None:
        """Replace what is wanted of `name`; None = its file is gone."""
        self._stopped_by_hand.discard(name)
        for key in _keys(self._wishes.get(name)):
            self._asking[key].discard(name)
            if not self._asking[key]:
                del self._asking[key]
        for key in _keys(wish):
            self._asking.setdefault(key, set()).add(name)
        if wish is not None and wish.spec is not None:
            self._terms[name] = terms_of(wish.spec)
        if wish is None:
            self._wishes.pop(name, None)
            self._forget_terms(name)
        else:
            self._wishes[name] = wish
            if not wish.run and wish.why_not == BY_HAND:
                self._stopped_by_hand.add(name)
        self._note(name)

    def wanting(self, key: str, uid: int, refused: Set[str]) -> list[str]:
        """Return, in order, who is about to serve at the address of a key as this user, if all goes
        well; first those that were `refused` it."""
        found = [
            name
            for name in sorted(self._asking.get(key, ()))
            if (wish := self._wishes[name]).run
            and wish.spec is not None
            and wish.spec.identity.uid == uid
            and (name in refused or not stays(wish.desired(), self.get(name)))
        ]
        return sorted(found, key=lambda name: name not in refused)

    def get(self, name: str) -> Vassal:
        """Return the record of `name`, a new one if there is none."""
        return self._vassals.get(name) or Vassal(name=name)

    def set(self, vassal: Vassal) -> None:
        """Replace a record."""
        before = self._vassals.get(vassal.name)
        if before is not None:
            self._counts[before.state] -= 1
        self._counts[vassal.state] += 1
        self._vassals[vassal.name] = vassal
        self._note(vassal.name)

    def drop(self, name: str) -> None:
        """Forget a record and all that was noted of the vassal."""
        vassal = self._vassals.pop(name, None)
        if vassal is not None:
            self._counts[vassal.state] -= 1
        self.unsupported.pop(name, None)
        self.limit_changes.pop(name, None)
        self._forget_terms(name)
        self._note(name)

    def rename(self, old: str, record: Vassal, tokens: Iterable[str]) -> None:
        """`old`, with these masters, is what `record` says from now on; of its file, which is
        gone, nothing is wanted."""
        terms = self._terms.get(old)
        self.wish(old, None)
        moved = self.unsupported.get(old), self.limit_changes.get(old)
        self.drop(old)
        self.set(record)
        for token in tokens:
            self.name_token(token, record.name)
        if moved[0] is not None:
            self.unsupported[record.name] = moved[0]
        if moved[1] is not None:
            self.limit_changes[record.name] = moved[1]
        if terms is not None:
            self._terms.setdefault(record.name, terms)

    def knows(self, token: str) -> bool:
        """Return whether `token` is a master of anybody's."""
        return token in self._names

    def name_token(self, token: str, name: str) -> None:
        """Remember that `token` is a master of the vassal `name`."""
        self._names[token] = name

    def forget_token(self, token: str) -> None:
        self._names.pop(token, None)

    def _named(self, token: str) -> Vassal | None:
        # Most are asked for by a master's message: a thousand starting ones send thousands.
        return self._vassals.get(self._names.get(token, ""))

    def by_token(self, token: str) -> Vassal | None:
        """Return the vassal whose present master is `token`."""
        vassal = self._named(token)
        return vassal if vassal is not None and vassal.token == token else None

    def by_successor(self, token: str) -> Vassal | None:
        """Return the vassal that `token` is the second master of."""
        vassal = self._named(token)
        second = vassal.successor if vassal is not None else None
        return vassal if second is not None and second.token == token else None

    def by_standby(self, token: str) -> Vassal | None:
        """Return the vassal of which `token` stands by."""
        vassal = self._named(token)
        first = vassal.standby if vassal is not None else None
        return vassal if first is not None and first.token == token else None

    def by_retiring(self, token: str) -> Vassal | None:
        """Return the vassal that `token` was a master of, and still finishes for."""
        vassal = self._named(token)
        leaving = vassal.retiring if vassal is not None else ()
        return vassal if any(master.token == token for master in leaving) else None

    def reload_failed(self, vassal: Vassal, failure: Failure) -> None:
        """A new generation was given up; the old one serves on."""
        failure = dated(failure)
        self.set(advance(vassal, Fact.RELOAD_FAILED, time.monotonic(), last_failure=failure))
        self.publish_failed_reload(vassal, failure)

    def publish_failed_reload(self, vassal: Vassal, failure: Failure) -> None:
        """Tell log and event stream why the old code serves on, or again."""
        first = born_as(vassal.birth)
        fields = {
            "reason": failure.kind,
            "message": failure.message,
            "do": served_on(vassal.name, first) if first else None,
        }
        self.publish("error", "reload_failed", vassal.name, fields)

    def presume_terms(self, name: str, terms: EndTerms) -> None:
        """A master runs that was born for these terms; what a file says comes first."""
        wish = self.wishes.get(name)
        if wish is None or wish.spec is None:
            known = self._terms.get(name, terms)
            self._terms[name] = EndTerms(*map(max, known, terms))

    def _forget_terms(self, name: str) -> None:
        if name not in self._wishes and name not in self._vassals:
            self._terms.pop(name, None)

    def clearing_s(self, name: str) -> float:
        """Return how much longer a master may take to end, because of exec_stop_post."""
        return self._terms.get(name, UNKNOWN_TERMS).clearing_s

    def stop_timeout_s(self, name: str) -> float:
        """Return how long requests may take to finish when a vassal is told to stop."""
        return self._terms.get(name, UNKNOWN_TERMS).stop_s

    def stop_patience_s(self, name: str) -> float:
        """Return how long a master may take to end that was told to stop."""
        return self.stop_timeout_s(name) + STOP_GRACE_S + self.clearing_s(name)

    def lose(self, vassal: Vassal, failure: Failure, token: str | None) -> None:
        """A vassal ended unplanned. `token` None = its master is gone already."""
        now = time.monotonic()
        failure = dated(failure)
        record = fail(vassal, failure, now, self.policy, random.random())
        until = now + EXIT_PATIENCE_S + self.clearing_s(vassal.name)
        if vassal.state not in RUNNING and vassal.deadline is not None:
            until = min(until, vassal.deadline)  # it was to end before: no word puts that off
        record = msgspec.structs.replace(
            record,
            token=token,
            pid=record.pid if token else 0,
            restarts=record.restarts + 1,
            deadline=until if token else None,
        )
        self.set(record)
        fields = {
            "reason": failure.kind,
            "message": failure.message,
            "state": record.state.value,
            "retry_s": record.retry_at - now if record.retry_at is not None else None,
        }
        self.publish("error", "vassal_failed", vassal.name, fields)


def _keys(wish: Wish | None) -> list[str]:
    spec = wish.spec if wish is not None else None
    return [address.key for address in spec.settings.addresses] if spec is not None else []

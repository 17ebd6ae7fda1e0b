"""All vassals: what is wanted, what is, and the loop that brings them together.

Events are only reasons to look again. What is done at a look is decided by
`reconcile`, done by `deeds`; what comes of it comes back through `facts`.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from emperor.brain.cgroups import Cgroups
from emperor.brain.deeds import Deeds
from emperor.brain.facts import Facts
from emperor.brain.listeners import Listeners
from emperor.brain.masters import Masters
from emperor.brain.roll import Publish, Roll
from emperor.brain.sleepers import Bell, Door, Sleepers
from emperor.brain.wishes import Wish
from emperor.core.reconcile import LimitVassal, next_look, reconcile
from emperor.core.registry import Fact, Vassal, advance, fail
from emperor.status import LimitChange, VassalState
from limits.facts import HostFacts
from vassal.messages import (
    Description,
    DropListener,
    Failure,
    FromMaster,
    FromSpawner,
    HoldListener,
    Message,
    Note,
)

DESCRIBE_PATIENCE_S = 2.0
LOOK_PAUSE_MAX_S = 0.1


class Fleet:
    """All vassals. One event loop's; `publish` gets every event, `changed` every change."""

    def __init__(
        self,
        to_spawner: Callable[[Message, list[int]], None],
        facts: HostFacts,
        concurrency: int,
        cgroups: Cgroups,
        publish: Publish,
        changed: Callable[[], None],
    ) -> None:
        self._concurrency = concurrency
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = 0.0
        self._look_took_s = 0.0
        self._looking = True  # until `begin`: nothing is done on half the knowledge
        self.listeners = Listeners(
            hold=lambda key, fd: to_spawner(HoldListener(key=key), [fd]),
            drop=lambda key: to_spawner(DropListener(key=key), []),
        )
        self._roll = Roll(publish)
        self._masters = Masters(self._on_master_message, self._on_nonsense)
        self._sleepers = Sleepers(self._on_ring)
        self._deeds = Deeds(
            self._roll,
            self._masters,
            self.listeners,
            cgroups,
            self._sleepers,
            to_spawner,
            facts,
        )
        self._facts = Facts(
            self._roll,
            self._masters,
            self.listeners,
            cgroups,
            self._deeds,
            to_spawner,
            self.look,
        )

    @property
    def wishes(self) -> dict[str, Wish]:
        return self._roll.wishes

    @property
    def vassals(self) -> dict[str, Vassal]:
        return self._roll.vassals

    @property
    def unsupported(self) -> dict[str, tuple[str, ...]]:
        return self._roll.unsupported

    def limit_change(self, name: str) -> LimitChange | None:
        """Return the last change of limits that a vassal ran through."""
        return self._roll.limit_changes.get(name)

    # ── what others ask for ──────────────────────────────────────────────────────────

    def wish(self, name: str, wish: Wish | None) -> None:
        """Replace what is wanted of `name`; None = its file is gone."""
        if wish is None:
            self.wishes.pop(name, None)
        else:
            self.wishes[name] = wish
        self.look()

    def note_failure(self, name: str, failure: Failure) -> None:
        """Record why a file cannot be used; what runs goes on running."""
        now = time.monotonic()
        vassal = self._roll.get(name)
        if vassal.state is VassalState.STOPPED and vassal.token is None:
            record = fail(vassal, failure, now, self._roll.policy, 0.5)
        else:
            record = msgspec.structs.replace(vassal, last_failure=failure)
        self._roll.set(record)
        self.look()

    def forgive(self, name: str) -> None:
        """Let a vassal in backoff or parked start now."""
        vassal = self._roll.get(name)
        if vassal.state in {VassalState.BACKOFF, VassalState.PARKED}:
            self.vassals[name] = advance(
                vassal, Fact.SETTLED, time.monotonic(), failures=0, attempted=None
            )
        self.look()

    def begin(self) -> None:
        """From now on act: everything that runs and everything that is wanted is known."""
        self._looking = False
        self.look()

    def look(self) -> None:
        """Reconcile soon: many reasons in one turn make one look.

        With a thousand vassals a look takes milliseconds; then the next one waits as long
        as the last one took, so that a burst of events does not become one of looks.
        """
        if not self._looking:
            self._looking = True
            self._loop.call_at(self._looked_at + self._look_took_s, self._reconcile)

    async def describe(self, name: str, patience_s: float = 1.0) -> Description | None:
        """Return the master's own description; None when there is none or it is silent."""
        return await self._masters.describe(self._roll.get(name).token, patience_s)

    def note(self, name: str, line: str) -> None:
        """Write a line into the vassal's log, if its master runs."""
        self._masters.send(self._roll.get(name).token, Note(line=line))

    def stop_all(self) -> None:
        """Want nothing any more; `is_empty` tells when it is so."""
        for name, wish in self.wishes.items():
            self.wishes[name] = msgspec.structs.replace(
                wish, run=False, why_not="the emperor stops"
            )
        self.look()

    def stopped_by_hand(self) -> list[str]:
        """Return the names of vassals that somebody stopped."""
        return sorted(name for name, wish in self.wishes.items() if not wish.run)

    @property
    def is_empty(self) -> bool:
        """Whether no master runs."""
        return all(
            vassal.token is None and vassal.successor is None and not vassal.retiring
            for vassal in self.vassals.values()
        )

    @property
    def has_settled(self) -> bool:
        """Whether nothing is on its way: the first vassals have started, or failed."""
        pending = {VassalState.STARTING, VassalState.STOPPED}
        return not any(
            vassal.state in pending and wish.run and wish.spec is not None
            for name, wish in self.wishes.items()
            for vassal in [self._roll.get(name)]
        )

    # ── facts ────────────────────────────────────────────────────────────────────────

    def on_spawner_message(self, message: FromSpawner, fds: list[int]) -> None:
        """Take in one fact; the descriptors become the fleet's."""
        self._facts.on_spawner_message(message, fds)

    @property
    def is_adopting(self) -> bool:
        """Whether an adopted master has not yet said what it is."""
        return self._facts.is_adopting

    def _on_master_message(self, token: str, message: FromMaster) -> None:
        self._facts.on_master_message(token, message)

    def _on_nonsense(self, token: str, problem: str) -> None:
        self._facts.on_nonsense(token, problem)

    # ── reconciling ──────────────────────────────────────────────────────────────────

    def _reconcile(self) -> None:
        self._looking = False
        now = time.monotonic()
        desired = {name: wish.desired() for name, wish in self.wishes.items()}
        for action in reconcile(desired, self.vassals, now, self._concurrency):
            self._deeds.act(action, now)
            if isinstance(action, LimitVassal):
                self.look()  # it may need a new generation as well
        self._sleepers.update(self._doors())
        self._set_timer()
        self._changed()
        self._looked_at = self._loop.time()
        self._look_took_s = min(LOOK_PAUSE_MAX_S, self._looked_at - now)

    def _doors(self) -> dict[str, tuple[Door, tuple[Bell, ...]]]:
        """Return whose sockets are to be watched here, because nothing of them runs."""
        found = {}
        for name, wish in self.wishes.items():
            if not wish.run or wish.spec is None or not wish.spec.settings.on_demand:
                continue
            vassal = self._roll.get(name)
            if vassal.state is VassalState.DORMANT and vassal.retry_at is None:
                found[name] = Door.WAKE, self.listeners.bells(wish.spec.settings)
            elif vassal.state in {VassalState.BACKOFF, VassalState.PARKED}:
                found[name] = Door.REFUSE, self.listeners.bells(wish.spec.settings)
        return found

    def _on_ring(self, name: str) -> None:
        """Somebody has connected to a vassal that sleeps."""
        vassal = self._roll.get(name)
        if vassal.state is VassalState.DORMANT:
            self._roll.set(msgspec.structs.replace(vassal, retry_at=time.monotonic()))
        self.look()

    def claim_all(self) -> None:
        """Vassals of which nothing runs hold their sockets too, from an earlier brain on."""
        for wish in self.wishes.values():
            if wish.spec is not None:
                self.listeners.claim(wish.spec.settings)

    def close_doors(self) -> None:
        """Watch no socket any more: all of them will be closed."""
        self._sleepers.close()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = next_look(self.vassals)
        self._timer = self._loop.call_at(at, self.look) if at is not None else None

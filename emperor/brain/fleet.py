"""All vassals: what is wanted, what is, and the loop that brings them together.

Events are only reasons to look again. At whom is decided by `agenda`, what is done at a look by
`reconcile`; it is done by `deeds`, and what comes of it comes back through `facts`.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from functools import partial

import msgspec

from emperor.brain.allotments import Allotments
from emperor.brain.cgroups import Cgroups
from emperor.brain.deeds import Deeds
from emperor.brain.facts import Facts
from emperor.brain.faults import fault_fields
from emperor.brain.headroom import Headroom
from emperor.brain.heartbeat import Heartbeat
from emperor.brain.inventory import ATTEMPTS, NAMES
from emperor.brain.listeners import Listeners
from emperor.brain.masters import Masters
from emperor.brain.patience import LookNow
from emperor.brain.renames import Renames
from emperor.brain.roll import Publish, Roll
from emperor.brain.sleepers import Sleepers, door_of
from emperor.brain.wishes import Wish
from emperor.config.settings import ListenAddress
from emperor.core.agenda import Agenda
from emperor.core.allotment import Caps
from emperor.core.reconcile import Action, LimitVassal, reconcile, stays
from emperor.core.registry import Fact, Vassal, advance, fail, tokens_of, without_conflict
from emperor.status import LimitChange, VassalState
from limits.facts import HostFacts
from vassal.failure import Failure
from vassal.messages import (
    Description,
    DropListener,
    FromMaster,
    FromSpawner,
    HoldListener,
    Message,
    Note,
    ReopenLogs,
)

DESCRIBE_PATIENCE_S = 2.0
LOOK_PAUSE_MAX_S = 0.1
CLOSED_S = 0.1
"""Until then the spawner has closed a socket that it was told to close."""

SET_ASIDE_S = 5.0
"""So long a vassal is not looked at again that has brought out a fault of ours."""


class Fleet:
    """All vassals. One event loop's; `publish` gets every event, `changed` the names of those
    that were looked at, `served` the name of each that has come to serve what is wanted;
    `renamed` the earlier and the present name of one; `keep` has a value kept by its key for the
    next emperor; `look_now` looks at the files of sockets."""

    def __init__(
        self,
        to_spawner: Callable[[Message, list[int]], None],
        facts: HostFacts,
        concurrency: int,
        caps: Caps,
        cgroups: Cgroups,
        publish: Publish,
        changed: Callable[[Collection[str]], None],
        served: Callable[[str], None],
        renamed: Callable[[str, str], None],
        keep: Callable[[str, object], None],
        look_now: LookNow,
    ) -> None:
        self._agenda = Agenda(concurrency)
        self._unsettled: set[str] = set()
        self._changed = changed
        self._renamed = renamed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = 0.0
        self._look_took_s = 0.0
        self._awaiting: list[asyncio.Future[None]] = []
        self._stops = False
        self._looking = True  # until `begin`: nothing is done on half the knowledge
        self._roll = Roll(publish, self._agenda.note)
        self._masters = Masters(self._on_master_message, self._on_nonsense)
        self.listeners = Listeners(
            hold=lambda key, name, fd: to_spawner(HoldListener(key=key, holder=name), [fd]),
            drop=lambda key: to_spawner(DropListener(key=key), []),
            keep=lambda attempts: keep(ATTEMPTS, attempts),
            is_wanted=lambda name: name in self._roll.wishes,
            is_known=lambda name: name in self._roll.wishes or name in self._roll.vassals,
            asks=self._asks,
            leaves=self._leaves,
            freed=self._on_address_freed,
            lives=self._masters.is_connected,
            wanting=self._roll.wanting,
            look=look_now,
        )
        self._heartbeat = Heartbeat(
            self._masters, self._on_silence, cgroups.work_of, self._look_at_all
        )
        self._sleepers = Sleepers(self.wake)
        allotments = Allotments(self._roll, caps, Headroom(cgroups))
        self._deeds = Deeds(
            self._roll,
            self._masters,
            self.listeners,
            cgroups,
            self._sleepers,
            allotments,
            to_spawner,
            facts,
        )
        self.renames = Renames(
            self._roll,
            self.listeners,
            cgroups,
            self._deeds.limits,
            allotments,
            lambda names: keep(NAMES, names),
        )
        self._facts = Facts(
            self._roll,
            self._masters,
            self.listeners,
            cgroups,
            self._deeds,
            allotments,
            to_spawner,
            self.look,
            self._heartbeat.doubt,
            served,
            self.renames.name_of,
            self._leaves,
        )

    @property
    def wishes(self) -> Mapping[str, Wish]:
        return self._roll.wishes

    @property
    def vassals(self) -> Mapping[str, Vassal]:
        return self._roll.vassals

    @property
    def counts(self) -> Mapping[VassalState, int]:
        """How many vassals are in each state."""
        return self._roll.counts

    @property
    def unsupported(self) -> dict[str, tuple[str, ...]]:
        return self._roll.unsupported

    def refuses(self, name: str) -> bool:
        """Return whether a vassal's clients are answered 503, because nothing of it runs."""
        return self._sleepers.refuses(name)

    def limit_change(self, name: str) -> LimitChange | None:
        """Return the last change of limits that a vassal ran through."""
        return self._roll.limit_changes.get(name)

    # ── what others ask for ──────────────────────────────────────────────────────────

    def wish(self, name: str, wish: Wish | None) -> None:
        """Replace what is wanted of `name`; None = its file is gone. While all stops nothing is
        begun: a file that comes now is the next emperor's."""
        self._roll.wish(name, _halted(wish) if wish is not None and self._stops else wish)
        self.listeners.offer(name)
        self.look()

    def rename(self, old: str, new: str) -> None:
        """The file of `old` has the name of `new` now, of which nothing runs: what serves goes on
        until `new` does."""
        self._sleepers.leave(new)
        self.renames.rename(old, new)
        self._renamed(old, new)
        self.look()

    def _asks(self, name: str, key: str) -> bool:
        """Return whether a vassal wants the socket of a key; of a file that was never valid
        nobody knows."""
        wish = self._roll.wishes.get(name)
        if wish is None or wish.spec is None:
            return wish is not None
        return any(address.key == key for address in wish.spec.settings.addresses)

    def _leaves(self, name: str, key: str) -> bool:
        """Return whether a vassal will serve at a key no more, if all goes well."""
        wish = self._roll.wishes.get(name)
        if wish is None:
            return True
        return not self._asks(name, key) and not stays(wish.desired(), self._roll.get(name))

    def _on_address_freed(self, name: str) -> None:
        """Who was refused an address may have it now, or when the spawner has closed it."""
        self._try_again(name)
        self._loop.call_later(CLOSED_S, self._try_again, name)

    def _try_again(self, name: str) -> None:
        if name in self.vassals:
            self._roll.set(without_conflict(self._roll.get(name), time.monotonic()))
            self.look()

    def refuse_clients(self, name: str, but: Iterable[ListenAddress] = ()) -> None:
        """Close a vassal's sockets but some: nobody waits for somebody who never comes."""
        self._sleepers.leave(name)  # before: the next descriptor has the same number
        self.listeners.keep_only(name, {address.key for address in but})

    def note_problems(self, name: str, lines: Iterable[str]) -> None:
        """Record why a file cannot be used; what runs goes on running."""
        failure = Failure(kind="config", message="\n".join(lines), at=time.time())
        now = time.monotonic()
        vassal = self._roll.get(name)
        if vassal.state is VassalState.STOPPED and vassal.token is None:
            record = fail(vassal, failure, now, self._roll.policy, 0.5)
        else:
            record = msgspec.structs.replace(vassal, last_failure=failure)
        self._roll.set(record)
        self.look()

    def forget_problems(self, name: str) -> None:
        """The file can be used again: what was wrong with it is no trouble any more."""
        vassal = self.vassals.get(name)
        if vassal and vassal.last_failure and vassal.last_failure.kind == "config":
            self._roll.set(msgspec.structs.replace(vassal, last_failure=None))

    def forgive(self, name: str) -> None:
        """Let a vassal in backoff or parked start now."""
        vassal = self._roll.get(name)
        if vassal.state in {VassalState.BACKOFF, VassalState.PARKED}:
            now = time.monotonic()
            self._roll.set(advance(vassal, Fact.SETTLED, now, failures=0, attempted=None))
        self.look()

    def begin(self) -> None:
        """From now on act: everything that runs and everything that is wanted is known."""
        self._looking = False
        self._heartbeat.begin()
        self.look()

    def look(self) -> None:
        """Reconcile soon those of whom something was heard: many reasons in one turn make one look.

        The next one waits as long as the last one took, so that a burst of events does not
        become one of looks.
        """
        if not self._looking:
            self._looking = True
            self._loop.call_at(self._looked_at + self._look_took_s, self._reconcile)

    async def looked(self) -> None:
        """Wait for the look that is to come, if one is: what is wanted has led to orders then."""
        if self._looking:
            done = self._loop.create_future()
            self._awaiting.append(done)
            await done

    def waits_for_room(self, name: str) -> bool:
        """Return whether a master of the vassal is to be built when another one has been."""
        return self._agenda.waits(name)

    async def until_told(self, name: str) -> None:
        """Wait until the masters of a vassal have all that they were told by now."""
        await self._masters.until_sent(tokens_of(self._roll.get(name)))

    async def until_all_told(self) -> None:
        """The same for the masters of all vassals."""
        await self._masters.until_sent(self._masters.tokens)

    async def describe(self, name: str, patience_s: float = 1.0) -> Description | None:
        """Return the master's own description; None when there is none or it is silent."""
        return await self._masters.describe(self._roll.get(name).token, patience_s)

    def note(self, name: str, line: str) -> None:
        """Write a line into the vassal's log, if its master runs."""
        self._masters.send(self._roll.get(name).token, Note(line=line))

    def renew_log(self, name: str, rotate: bool = False) -> None:
        """Let a vassal's master open its log anew, or rotate it, if it runs."""
        for token in tokens_of(self._roll.get(name)):
            self._masters.send(token, ReopenLogs(rotate=rotate))
            rotate = False  # one file for all of them: it is to move once

    def stop_all(self) -> None:
        """Want nothing any more; `is_empty` tells when it is so."""
        self._stops = True
        for name, wish in tuple(self.wishes.items()):
            self._roll.wish(name, _halted(wish))
        self.look()

    @property
    def stopped_by_hand(self) -> Set[str]:
        """The names of vassals that somebody stopped."""
        return self._roll.stopped_by_hand

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
        return not self._unsettled

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

    def _on_silence(self, token: str) -> None:
        self._facts.on_silence(token)

    def _on_nonsense(self, token: str, problem: str) -> None:
        self._facts.on_nonsense(token, problem)

    # ── reconciling ──────────────────────────────────────────────────────────────────

    def _reconcile(self) -> None:
        self._looking = False
        now = time.monotonic()
        names = self._agenda.take(now, self.vassals)
        wishes, vassals = self.wishes, self.vassals
        desired = {name: wishes[name].desired() for name in names if name in wishes}
        actual = {name: vassals[name] for name in names if name in vassals}
        look = reconcile(desired, actual, now, self._agenda.room)
        for action in look.actions:
            self._guarded(action.name, type(action).__name__, partial(self._act, action, now))
        self._guarded(None, "looking at exchanges", self._facts.look_at_exchanges)
        for name in names:
            self._agenda.looked_at(name, vassals.get(name), now, name in look.waiting)
            self._guarded(name, "seeing to its doors", partial(self._attend, name))
        self._set_timer()
        self._changed(names)
        awaiting, self._awaiting = self._awaiting, []
        for done in awaiting:
            if not done.done():
                done.set_result(None)
        self._looked_at = self._loop.time()
        self._look_took_s = min(LOOK_PAUSE_MAX_S, self._looked_at - now)

    def _guarded(self, name: str | None, doing: str, deed: Callable[[], None]) -> None:
        """A fault of ours costs the vassal that brings it out, and no other one its look."""
        try:
            deed()
        except Exception as error:
            if name is not None:
                self._agenda.set_aside(name, time.monotonic() + SET_ASIDE_S)
            self._roll.publish("error", "fault", name, fault_fields(error, doing))

    def _act(self, action: Action, now: float) -> None:
        self._deeds.act(action, now)
        if isinstance(action, LimitVassal):
            self.look()  # it may need a new generation as well

    def _look_at_all(self) -> None:
        """Whatever was overlooked is found now."""
        self._agenda.note_all(self.wishes.keys() | self.vassals.keys())
        self.look()

    def _attend(self, name: str) -> None:
        """See to the doors of a vassal of which nothing runs, and whether it is on its way."""
        vassal, wish = self._roll.get(name), self.wishes.get(name)
        spec = wish.spec if wish is not None else None
        if wish is not None and wish.run and spec is not None and vassal.state in _PENDING:
            self._unsettled.add(name)
        else:
            self._unsettled.discard(name)
        door = door_of(vassal, wish) if wish is not None else None
        if wish is None or spec is None or door is None:
            self._sleepers.leave(name)
        else:
            if not wish.run:  # nobody tells statistics, or is where its file pointed once
                self.refuse_clients(name, but=spec.settings.listen)
            self._sleepers.attend(name, door, self.listeners.bells(spec.settings))

    def wake(self, name: str) -> None:
        """Somebody has connected to a vassal that sleeps, or said start."""
        vassal = self._roll.get(name)
        if vassal.state is VassalState.DORMANT:
            self._roll.set(msgspec.structs.replace(vassal, retry_at=time.monotonic()))
        self._agenda.note(name)  # whatever it is by now, nobody watches its sockets
        self.look()

    def claim_all(self) -> None:
        """Every vassal holds the sockets that it held with an earlier brain, also one of which
        nothing runs, or of which there is no file, as long as something runs."""
        for name in self.wishes.keys() | self.vassals.keys():
            wish = self.wishes.get(name)
            self.listeners.claim(name, wish.spec if wish is not None else None)
            if self._roll.get(name).token is None:
                self.listeners.retain(name, frozenset())
        for name, wish in self.wishes.items():
            vassal = self._roll.get(name)
            if wish.spec is None or vassal.serving is None or vassal.standby is not None:
                continue
            is_wanted = vassal.serving == wish.desired().fingerprint
            if is_wanted and not self.listeners.has_fresh(name):
                # It may have settled when no brain heard of it.
                self.listeners.serves(wish.spec.settings, wish.spec.identity)

    def close_doors(self) -> None:
        """Watch no socket any more: all of them will be closed."""
        self._heartbeat.close()
        self._sleepers.close()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self._agenda.next_look()
        self._timer = self._loop.call_at(at, self.look) if at is not None else None


def _halted(wish: Wish) -> Wish:
    """Return the wish of a vassal in an emperor that stops."""
    return msgspec.structs.replace(wish, run=False, why_not="the emperor stops")


_PENDING = frozenset({VassalState.STARTING, VassalState.STOPPED})

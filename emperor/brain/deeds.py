"""The brain's hands: carries out what `reconcile` decided, one short method a deed."""

import json
import random
import time
import uuid
from collections.abc import Callable

import msgspec

from emperor.brain.allotments import Allotments
from emperor.brain.birth import Spec
from emperor.brain.cgroups import CgroupError, Cgroups
from emperor.brain.links import ChannelFull
from emperor.brain.listeners import ListenError, Listeners
from emperor.brain.masters import Masters
from emperor.brain.roll import EXIT_PATIENCE_S, Roll, dated
from emperor.brain.sleepers import Sleepers
from emperor.config.fields import changed_limits
from emperor.config.settings import VassalSettings
from emperor.core.attempts import attempt_of
from emperor.core.reconcile import (
    Action,
    Desired,
    FallBack,
    ForgetVassal,
    GiveUpSuccessor,
    KillRetired,
    KillVassal,
    LimitVassal,
    ReloadVassal,
    SettleVassal,
    SleepVassal,
    StartVassal,
    StopVassal,
    SucceedVassal,
)
from emperor.core.registry import (
    RUNNING,
    Fact,
    Successor,
    Vassal,
    advance,
    can_stand_by,
    fail,
    fall_back,
    settle_until,
    take_place,
    without_retired,
    without_standby,
    without_successor,
)
from emperor.status import VassalState
from limits.facts import HostFacts
from vassal import packets
from vassal.master.backlog import diag_for
from vassal.messages import (
    ChangeLimits,
    Describe,
    DismissWorkers,
    Failure,
    KillMaster,
    Message,
    MessageError,
    Resume,
    SpawnMaster,
    StandBy,
    StartGeneration,
    Stop,
)

START_GRACE_S = 10.0
STOP_GRACE_S = 5.0
RELIEF_PAUSE_S = 60.0
"""After this time a master that is silent gets another successor, if one has failed."""

DROPPED_STOP_S = 5.0
"""How long a second master that is given up may take to finish what it has accepted."""


class Deeds:
    """Acts on spawner, masters and listeners, and enters into the roll what it did."""

    def __init__(
        self,
        roll: Roll,
        masters: Masters,
        listeners: Listeners,
        cgroups: Cgroups,
        sleepers: Sleepers,
        allotments: Allotments,
        to_spawner: Callable[[Message, list[int]], None],
        facts: HostFacts,
    ) -> None:
        self._roll = roll
        self._masters = masters
        self._listeners = listeners
        self._cgroups = cgroups
        self._sleepers = sleepers
        self._allotments = allotments
        self._to_spawner = to_spawner
        self._facts = facts
        self._limited: dict[str, VassalSettings] = {}
        self._born_with: dict[str, str] = {}
        self._changing: dict[str, tuple[str, ...]] = {}

    def act(self, action: Action, now: float) -> None:
        """Do one thing now; `now` is monotonic seconds."""
        vassal = self._roll.get(action.name)
        match action:
            case StartVassal():
                self._start(vassal, now)
            case ReloadVassal():
                self._reload(vassal, now)
            case SucceedVassal():
                self._succeed(vassal, now)
            case GiveUpSuccessor(why=why):
                self.give_up_successor(vassal, Failure(kind="spawn-timeout", message=why))
            case FallBack():
                self.fall_back_from_hung(vassal)
            case KillRetired(token=token):
                self._to_spawner(KillMaster(token=token), [])
                self._roll.set(without_retired(vassal, token))
            case LimitVassal():
                self._limit(vassal)
            case StopVassal(why=why):
                self._stop(vassal, why, now)
            case KillVassal():
                self._kill(vassal, now)
            case SleepVassal():
                self._sleep(vassal, now)
            case SettleVassal():
                self._roll.set(advance(vassal, Fact.SETTLED, now))
            case ForgetVassal():
                self._forget(vassal)

    def _start(self, vassal: Vassal, now: float) -> None:
        wish = self._roll.wishes[vassal.name]
        desired, spec = wish.desired(), wish.spec
        assert spec is not None  # decide() starts nothing without a fingerprint
        token = uuid.uuid4().hex
        self._roll.name_token(token, vassal.name)
        record = advance(
            vassal,
            Fact.START_BEGAN,
            now,
            token=token,
            pid=0,
            deadline=now + spec.settings.spawn_timeout + START_GRACE_S,
            attempted=desired.fingerprint,
            attempted_birth=desired.birth,
            birth=desired.birth,
            limits=desired.limits,
            restart_serial=desired.restart_serial,
            outdated=False,
        )
        self._roll.set(record)
        if not vassal.retiring:
            # Nothing of it runs: what its file does not name may be another's, or in its own way.
            named = {one.key for one in spec.settings.addresses}
            self._sleepers.leave(vassal.name)
            self._listeners.keep_only(vassal.name, named)
        try:
            self._spawn(token, desired, spec, beside=False)
        except (ListenError, CgroupError) as error:
            self._roll.lose(record, _not_begun(error), token=None)
            return
        self._roll.publish("info", "vassal_starting", vassal.name, {"user": spec.identity.user})

    def _sleep(self, vassal: Vassal, now: float) -> None:
        """Hold its sockets; whoever connects wakes it."""
        wish = self._roll.wishes[vassal.name]
        desired, spec = wish.desired(), wish.spec
        assert spec is not None  # decide() puts nothing to sleep without a fingerprint
        record = advance(
            vassal,
            Fact.FELL_ASLEEP,
            now,
            attempted=desired.fingerprint,
            restart_serial=desired.restart_serial,
        )
        self._sleepers.leave(vassal.name)
        try:
            self._listeners.prepare(spec.settings, spec.identity, spec.settings.listen, "")
        except ListenError as error:
            self._roll.lose(record, _not_begun(error), token=None)
            return
        # Nobody is there to tell statistics: who asks is refused, and does not wait.
        self._listeners.keep_only(vassal.name, {one.key for one in spec.settings.listen})
        self._roll.set(record)
        if vassal.state is not VassalState.DORMANT:
            self._roll.publish("info", "vassal_dormant", vassal.name, {})

    def _spawn(self, token: str, desired: Desired, spec: Spec, beside: bool) -> None:
        """Bind what is to be bound, make the cgroups, and ask for a master.

        Raises ListenError and CgroupError.
        """
        addresses = spec.settings.addresses
        self._listeners.prepare(spec.settings, spec.identity, addresses, token, beside)
        names, fds = self._cgroups.prepare(spec, token)
        self._limited[spec.settings.name] = spec.settings
        memo = {
            "birth": desired.birth,
            "restart": desired.restart_serial,
            "limits": desired.limits,
            "path": spec.path,
            "uid": spec.identity.uid,
            "cgroup": self._cgroups.path_of(token),
        }
        self._to_spawner(
            SpawnMaster(
                token=token,
                vassal=spec.settings.name,
                memo=json.dumps(memo),
                pid_namespace=spec.confinement.pid_namespace and self._facts.can_pid_namespace,
                confinement=msgspec.Raw(msgspec.json.encode(spec.confinement)),
                cgroup_files=names,
            ),
            fds,
        )
        packets.close_all(fds)

    def _succeed(self, vassal: Vassal, now: float) -> None:
        """Ask for a second master; what serves goes on serving until it is ready."""
        wish = self._roll.wishes[vassal.name]
        desired, spec = wish.desired(), wish.spec
        assert spec is not None  # decide() builds nothing without a fingerprint
        dropped = vassal.successor
        vassal = self._dismiss_successor(vassal)
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
            self._spawn(token, desired, spec, beside=True)
        except (ListenError, CgroupError) as error:
            self.give_up_successor(record, _not_begun(error))
            return
        finally:
            if dropped is not None:
                # Not before: what this one needs too could not be bound anew while anybody has it.
                self._listeners.give_back(vassal.name, dropped.token)
        self._roll.publish("info", "successor_starting", vassal.name, {"user": spec.identity.user})

    def give_up_successor(self, vassal: Vassal, failure: Failure) -> None:
        """The second master did not come to serve: end it; the first one serves on."""
        record = self._drop_successor(vassal)
        if record.replace_at is not None:
            again = time.monotonic() + RELIEF_PAUSE_S
            record = msgspec.structs.replace(record, replace_at=again)
        self._cgroups.serves_on(record.name, record.token)
        self._roll.reload_failed(record, failure)

    def _drop_successor(self, vassal: Vassal) -> Vassal:
        """Ask a second master to go, close what was bound for it, and return the record without."""
        if vassal.successor is not None:
            self._listeners.give_back(vassal.name, vassal.successor.token)
        return self._dismiss_successor(vassal)

    def _dismiss_successor(self, vassal: Vassal) -> Vassal:
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
        timeout_s = self._stop_timeout_s(vassal.name)
        self._masters.send(token, Stop(timeout_s=timeout_s))
        if vassal.replace_at is not None:
            # It cannot tell them, and they would go on accepting until it is killed.
            self._to_spawner(DismissWorkers(token=token), [])
        return time.monotonic() + self.stop_patience_s(vassal.name)

    def stop_patience_s(self, name: str) -> float:
        """Return how long a master may take to end that was told to stop."""
        return self._stop_timeout_s(name) + STOP_GRACE_S + self._roll.clearing_s(name)

    def _reload(self, vassal: Vassal, now: float) -> None:
        spec = self._roll.wishes[vassal.name].spec
        assert spec is not None  # decide() reloads nothing without a fingerprint
        if vassal.serving is not None and self._listeners.borrows(spec.settings, spec.identity):
            # Only a master of its own can be given up if whose address it takes over stays there.
            self._succeed(msgspec.structs.replace(vassal, outdated=True), now)
            return
        record = advance(vassal, Fact.RELOAD_BEGAN, now)
        self._roll.set(record)
        if vassal.state is VassalState.STARTING and vassal.pid == 0:
            # Its master is not there yet and will get the newest generation anyway.
            wanted = self._roll.wishes[vassal.name].desired().fingerprint
            self._roll.set(msgspec.structs.replace(record, attempted=wanted))
            return
        self.send_generation(record, record.token)

    def send_generation(self, vassal: Vassal, token: str | None) -> None:
        """Tell the master `token` of `vassal` to build the generation that is wanted now."""
        wish = self._roll.wishes.get(vassal.name)
        spec = wish.spec if wish is not None else None
        fingerprint = wish.desired().fingerprint if wish is not None else None
        if spec is None or fingerprint is None or not self._masters.is_connected(token):
            return
        number = vassal.generation + 1
        record = msgspec.structs.replace(vassal, attempted=fingerprint, generation=number)
        self._roll.set(record)
        try:
            settings = spec.settings
            attempt = attempt_of(token or "", number)
            sockets = self._listeners.prepare(
                settings, spec.identity, settings.addresses, attempt, vassal.serving is not None
            )
            generation = msgspec.structs.replace(
                spec.generation,
                workers_granted=self._allotments.at_start(spec),
                number=number,
                fingerprint=fingerprint,
                master_pid=_pid_of(vassal, token),
                beside=_is_second(vassal, token) and can_stand_by(vassal),
            )
            fds = [held.fileno() for held in sockets]
            with diag_for(generation) as diag:
                self._masters.send(token, StartGeneration(generation=generation), fds + diag)
        except ListenError as error:
            self._on_not_built(record, Failure(kind="listen", message=str(error)))
        except (MessageError, ChannelFull) as error:
            self._on_not_built(record, Failure(kind="config", message=str(error)))
        else:
            self._roll.publish("info", "generation_started", vassal.name, {"generation": number})

    def _on_not_built(self, vassal: Vassal, failure: Failure) -> None:
        """A generation could not even be asked for."""
        if vassal.successor is not None:
            self.give_up_successor(vassal, failure)
            return
        if vassal.serving is not None:
            attempt = attempt_of(vassal.token or "", vassal.generation)
            self._listeners.give_back(vassal.name, attempt)
            self._roll.reload_failed(vassal, failure)
            return
        self._roll.lose(vassal, failure, token=vassal.token)
        if vassal.token is not None:
            self._to_spawner(KillMaster(token=vassal.token), [])

    def _limit(self, vassal: Vassal) -> None:
        """Put what runs under the limits that are wanted now."""
        wish = self._roll.wishes[vassal.name]
        spec = wish.spec
        assert spec is not None  # decide() limits nothing without a fingerprint
        self._roll.set(msgspec.structs.replace(vassal, limits=wish.desired().limits))
        before = self._limited.get(vassal.name)
        self._limited[vassal.name] = spec.settings
        if before is not None:
            self._changing[vassal.name] = changed_limits(before, spec.settings)
        elif self._born_with.pop(vassal.name, wish.desired().limits) != wish.desired().limits:
            self._changing[vassal.name] = ("limits",)  # of an earlier brain's time: not known which
        try:
            self._cgroups.change(spec)
        except CgroupError as error:
            self._roll.publish("error", "limits_not_changed", vassal.name, {"error": str(error)})
        order = ChangeLimits(
            rlimits=spec.generation.confinement.rlimits,
            memory_max_bytes=spec.generation.memory_max_bytes,
        )
        self._masters.send(vassal.token, order)

    def remember_limits(self, name: str, digest: str) -> None:
        """A master that outlived an earlier brain was born with the limits of this digest."""
        if digest:
            self._born_with[name] = digest

    def rename(self, old: str, new: str) -> None:
        """What is known of the limits of `old` is true of `new`, which was called so."""
        if old in self._limited:
            self._limited[new] = self._limited.pop(old)
        self.remember_limits(new, self._born_with.pop(old, ""))
        self._changing.pop(old, None)

    def take_changes(self, name: str) -> tuple[str, ...]:
        """Return, once, the keys that the last order to change limits was about."""
        return self._changing.pop(name, ())

    def _stop(self, vassal: Vassal, why: str, now: float) -> None:
        timeout_s = self._stop_timeout_s(vassal.name)
        record = self._drop_successor(vassal)
        deadline = now + self.stop_patience_s(vassal.name)
        if record.standby is not None:
            self._masters.send(record.standby.token, Stop(timeout_s=timeout_s))
            record = without_standby(record, deadline)
        self._roll.set(advance(record, Fact.STOP_BEGAN, now, deadline=deadline))
        self._masters.send(vassal.token, Stop(timeout_s=timeout_s))
        self._roll.publish("info", "vassal_stopping", vassal.name, {"reason": why})

    def _stop_timeout_s(self, name: str) -> float:
        wish = self._roll.wishes.get(name)
        return wish.spec.settings.stop_timeout if wish and wish.spec else 30.0

    def _kill(self, vassal: Vassal, now: float) -> None:
        self._roll.publish(
            "warning", "master_killed", vassal.name, {"pid": vassal.pid, "reason": "deadline"}
        )
        if vassal.token is not None:
            self._to_spawner(KillMaster(token=vassal.token), [])
        record = msgspec.structs.replace(vassal, deadline=now + EXIT_PATIENCE_S)
        if vassal.state in RUNNING:
            failure = Failure(kind="spawn-timeout", message="the master did not answer in time")
            record = fail(record, dated(failure), now, self._roll.policy, random.random())
            record = msgspec.structs.replace(record, deadline=now + EXIT_PATIENCE_S)
        self._roll.set(record)

    def _forget(self, vassal: Vassal) -> None:
        self._sleepers.leave(vassal.name)
        self._listeners.forget(vassal.name)
        self._cgroups.forget(vassal.name)
        self._roll.drop(vassal.name)
        self._limited.pop(vassal.name, None)
        self._roll.publish("info", "vassal_removed", vassal.name, {})


def _pid_of(vassal: Vassal, token: str | None) -> int:
    successor = vassal.successor
    if successor is not None and successor.token == token:
        return successor.pid
    return vassal.pid


def _is_second(vassal: Vassal, token: str | None) -> bool:
    return vassal.successor is not None and vassal.successor.token == token


def _not_begun(error: ListenError | CgroupError) -> Failure:
    """Return why no master could even be asked for."""
    # A full machine may have room later; a socket that somebody else has is theirs.
    kind = "listen" if isinstance(error, ListenError) else "crash"
    return Failure(kind=kind, message=str(error))

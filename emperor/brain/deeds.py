"""The brain's hands: carries out what `reconcile` decided, one short method a deed."""

import random
import uuid
from collections.abc import Callable

import msgspec

from emperor.brain.allotments import Allotments
from emperor.brain.cgroups import Cgroups
from emperor.brain.links import ChannelFull
from emperor.brain.listeners import ListenError, Listeners
from emperor.brain.live_limits import LiveLimits
from emperor.brain.masters import Masters
from emperor.brain.roll import EXIT_PATIENCE_S, Roll, dated
from emperor.brain.sleepers import Sleepers
from emperor.brain.spawning import START_GRACE_S, CannotSpawn, Spawning, not_begun
from emperor.brain.succession import Succession
from emperor.core.attempts import attempt_of
from emperor.core.reconcile import (
    Action,
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
    Vassal,
    advance,
    can_stand_by,
    fail,
    without_retired,
    without_standby,
)
from emperor.status import VassalState
from limits.facts import HostFacts
from vassal.encoding import MessageError
from vassal.failure import Failure
from vassal.master.backlog import diag_for
from vassal.messages import KillMaster, Message, StartGeneration, Stop


class Deeds:
    """Acts on spawner, masters and listeners, and enters into the roll what it did. What is done
    about second masters and about limits is for others to ask for, too."""

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
        self.limits = LiveLimits(roll, masters, cgroups)
        self._spawning = Spawning(listeners, cgroups, self.limits, to_spawner, facts)
        self.succession = Succession(roll, masters, listeners, cgroups, self._spawning, to_spawner)

    def act(self, action: Action, now: float) -> None:
        """Do one thing now; `now` is monotonic seconds."""
        vassal = self._roll.get(action.name)
        match action:
            case StartVassal():
                self._start(vassal, now)
            case ReloadVassal():
                self._reload(vassal, now)
            case SucceedVassal():
                self.succession.begin(vassal, now)
            case GiveUpSuccessor(why=why):
                self.succession.give_up(vassal, Failure(kind="spawn-timeout", message=why))
            case FallBack():
                self.succession.fall_back_from_hung(vassal)
            case KillRetired(token=token):
                self._to_spawner(KillMaster(token=token), [])
                self._roll.set(without_retired(vassal, token))
            case LimitVassal():
                self.limits.change(vassal)
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
            self._spawning.ask(token, desired, spec, beside=False)
        except CannotSpawn as error:
            self._roll.forget_token(token)
            self._roll.lose(record, error.failure, token=None)
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
            self._roll.lose(record, not_begun(error), token=None)
            return
        # Nobody is there to tell statistics: who asks is refused, and does not wait.
        self._listeners.keep_only(vassal.name, {one.key for one in spec.settings.listen})
        self._roll.set(record)
        if vassal.state is not VassalState.DORMANT:
            self._roll.publish("info", "vassal_dormant", vassal.name, {})

    def _reload(self, vassal: Vassal, now: float) -> None:
        spec = self._roll.wishes[vassal.name].spec
        assert spec is not None  # decide() reloads nothing without a fingerprint
        if vassal.serving is not None and self._listeners.borrows(spec.settings, spec.identity):
            # Only a master of its own can be given up if whose address it takes over stays there.
            self.succession.begin(msgspec.structs.replace(vassal, outdated=True), now)
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
                self._masters.must_send(token, StartGeneration(generation=generation), fds + diag)
        except ListenError as error:
            self._on_not_built(record, Failure(kind="listen", message=str(error)))
        except (MessageError, ChannelFull) as error:
            self._on_not_built(record, Failure(kind="config", message=str(error)))
        else:
            self._roll.publish("info", "generation_started", vassal.name, {"generation": number})

    def _on_not_built(self, vassal: Vassal, failure: Failure) -> None:
        """A generation could not even be asked for."""
        if vassal.successor is not None:
            self.succession.give_up(vassal, failure)
            return
        if vassal.serving is not None:
            attempt = attempt_of(vassal.token or "", vassal.generation)
            self._listeners.give_back(vassal.name, attempt)
            self._roll.reload_failed(vassal, failure)
            return
        self._roll.lose(vassal, failure, token=vassal.token)
        if vassal.token is not None:
            self._to_spawner(KillMaster(token=vassal.token), [])

    def _stop(self, vassal: Vassal, why: str, now: float) -> None:
        timeout_s = self._roll.stop_timeout_s(vassal.name)
        record = self.succession.drop(vassal)
        deadline = now + self._roll.stop_patience_s(vassal.name)
        if record.standby is not None:
            self._masters.send(record.standby.token, Stop(timeout_s=timeout_s))
            record = without_standby(record, deadline)
        self._roll.set(advance(record, Fact.STOP_BEGAN, now, deadline=deadline))
        self._masters.send(vassal.token, Stop(timeout_s=timeout_s))
        if vassal.replace_at is not None and vassal.token is not None:
            self.succession.dismiss_workers(vassal.token)
        self._roll.publish("info", "vassal_stopping", vassal.name, {"reason": why})

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
        self.limits.forget(vassal.name)
        self._roll.publish("info", "vassal_removed", vassal.name, {})


def _pid_of(vassal: Vassal, token: str | None) -> int:
    successor = vassal.successor
    if successor is not None and successor.token == token:
        return successor.pid
    return vassal.pid


def _is_second(vassal: Vassal, token: str | None) -> bool:
    return vassal.successor is not None and vassal.successor.token == token

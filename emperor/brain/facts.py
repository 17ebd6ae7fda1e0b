"""Takes in what spawner and masters say, and enters it into the roll."""

import socket
import time
from collections.abc import Callable

import msgspec

from emperor.brain.adoption import Adoption, outcome_for
from emperor.brain.allotments import Allotments
from emperor.brain.cgroups import Cgroups
from emperor.brain.deeds import Deeds
from emperor.brain.exchanges import Exchanges
from emperor.brain.listeners import Listeners
from emperor.brain.masters import Masters
from emperor.brain.petitions import Petitions
from emperor.brain.roll import Roll
from emperor.brain.wishes import serial_of
from emperor.core.attempts import attempt_of
from emperor.core.registry import (
    RUNNING,
    Fact,
    Vassal,
    advance,
    become_ready,
    can_stand_by,
    succeed,
    without_retired,
    without_standby,
)
from emperor.status import VassalState
from vassal.failure import Failure
from vassal.messages import (
    AskForReload,
    AskForRestart,
    AskForWorkers,
    BirthFailed,
    Born,
    Description,
    FromMaster,
    FromSpawner,
    GenerationFailed,
    GenerationReady,
    GenerationServes,
    HeldListener,
    HeldMaster,
    Idle,
    KillMaster,
    LimitsChanged,
    MasterExited,
    MasterLost,
    MasterNotSpawned,
    MasterSpawned,
    MasterStopped,
    Message,
    MoldDied,
    Stop,
    Told,
    WorkerDied,
)


class Facts:
    """Every message changes one record and asks for another look."""

    def __init__(
        self,
        roll: Roll,
        masters: Masters,
        listeners: Listeners,
        cgroups: Cgroups,
        deeds: Deeds,
        allotments: Allotments,
        to_spawner: Callable[[Message, list[int]], None],
        look: Callable[[], None],
        doubt: Callable[[str], None],
        served: Callable[[str], None],
        name_of: Callable[[str, str], str],
        leaves: Callable[[str, str], bool],
    ) -> None:
        self._roll = roll
        self._masters = masters
        self._listeners = listeners
        self._cgroups = cgroups
        self._deeds = deeds
        self._succession = deeds.succession
        self._allotments = allotments
        self._petitions = Petitions(roll, masters, allotments)
        self._to_spawner = to_spawner
        self._look = look
        self._doubt = doubt
        self._served = served
        self._name_of = name_of
        self._exchanges = Exchanges(roll, listeners, deeds.succession, leaves, self._on_ready)
        self._adoption = Adoption(
            roll,
            masters,
            listeners,
            cgroups,
            deeds.succession,
            deeds.limits,
            allotments,
            name_of,
            self.on_master_message,
        )

    def on_spawner_message(self, message: FromSpawner, fds: list[int]) -> None:
        """Take in one fact; the descriptors become the fleet's."""
        match message:
            case HeldListener(key=key, holder=holder):
                self._listeners.adopt(key, holder, fds[0])
            case HeldMaster():
                self._adoption.hold(message, socket.socket(fileno=fds[0]))
            case MasterSpawned():
                self._on_spawned(message, socket.socket(fileno=fds[0]))
            case MasterNotSpawned(token=token):
                self._on_not_spawned(token, Failure(kind="crash", message=message.message))
            case MasterExited():
                self._on_master_exited(message)
            case MasterLost():
                self._on_master_lost(message)
            case MasterStopped(token=token):
                self._doubt(token)
            case _:
                pass
        self._look()

    @property
    def is_adopting(self) -> bool:
        """Whether a master of an earlier emperor's has not yet said what it is."""
        return not self._adoption.is_done

    def look_at_exchanges(self) -> None:
        """Give up what cannot come to serve at another vassal's address."""
        self._exchanges.look()

    def _on_not_spawned(self, token: str, failure: Failure) -> None:
        vassal = self._roll.by_token(token)
        if vassal is not None:
            self._roll.lose(vassal, failure, token=None)
        elif (vassal := self._roll.by_successor(token)) is not None:
            self._succession.give_up(vassal, failure)
        if (vassal := self._roll.by_retiring(token)) is not None:
            self._roll.set(without_retired(vassal, token))

    def _on_spawned(self, message: MasterSpawned, channel: socket.socket) -> None:
        vassal = self._roll.by_token(message.token)
        if vassal is None and self._on_successor_spawned(message, channel):
            return
        if vassal is None:
            channel.close()
            self._to_spawner(KillMaster(token=message.token), [])
            return
        self._masters.connect(message.token, channel)
        record = msgspec.structs.replace(vassal, pid=message.pid)
        self._roll.set(record)
        if record.state is VassalState.STARTING:
            self._deeds.send_generation(record, record.token)
        elif record.state is VassalState.STOPPING:
            self._masters.send(message.token, Stop(timeout_s=0.0))

    def _on_successor_spawned(self, message: MasterSpawned, channel: socket.socket) -> bool:
        vassal = self._roll.by_successor(message.token)
        if vassal is None or vassal.successor is None:
            return False
        self._masters.connect(message.token, channel)
        successor = msgspec.structs.replace(vassal.successor, pid=message.pid)
        record = msgspec.structs.replace(vassal, successor=successor)
        self._roll.set(record)
        self._deeds.send_generation(record, message.token)
        return True

    def _on_master_exited(self, message: MasterExited) -> None:
        # Its own account of its end may be in its channel still, behind the spawner's.
        self._masters.hear_out(message.token)
        vassal = self._roll.by_token(message.token)
        succeeding = self._roll.by_successor(message.token)
        self._masters.drop(message.token)
        self._cgroups.released(message.token)
        if self._adoption.leave(message.token):
            self._roll.forget_token(message.token)
            return
        if succeeding is not None:
            failure = Failure(
                kind="crash",
                message="the new master died",
                exit_status=message.exit_status,
                signal=message.signal,
            )
            self._succession.give_up(succeeding, failure)
        if (retired := self._roll.by_retiring(message.token)) is not None:
            self._roll.set(without_retired(retired, message.token))
        if (stood_by := self._roll.by_standby(message.token)) is not None:
            self._roll.set(msgspec.structs.replace(stood_by, standby=None))
        if (known := retired or stood_by) is not None:
            self._listeners.give_back(known.name, message.token)
        self._roll.forget_token(message.token)
        if vassal is None:
            return
        if vassal.state in RUNNING:
            self._roll.publish(
                "error",
                "master_died",
                vassal.name,
                {"pid": message.pid, "exit_status": message.exit_status, "signal": message.signal},
            )
            failure = Failure(
                kind="crash",
                message="the master died",
                exit_status=message.exit_status,
                signal=message.signal,
            )
            if vassal.standby is not None:
                self._listeners.give_back(vassal.name, message.token)
            self._lose(msgspec.structs.replace(vassal, token=None, pid=0), failure, token=None)
            return
        record = advance(vassal, Fact.MASTER_GONE, time.monotonic(), token=None, pid=0)
        record = msgspec.structs.replace(
            record,
            serving=None,
            attempted=None if record.state is VassalState.STOPPED else record.attempted,
            deadline=None,
        )
        self._roll.set(record)
        if record.state is VassalState.STOPPED:
            self._roll.publish("info", "vassal_stopped", vassal.name, {})

    def _on_master_lost(self, message: MasterLost) -> None:
        """A master died with an earlier emperor; others of its vassal may be there still."""
        fields = {
            "pid": message.pid,
            "exit_status": message.exit_status,
            "signal": message.signal,
        }
        name = self._name_of(message.token, message.vassal)
        self._roll.publish("error", "master_died", name, fields)
        record = self._roll.get(name)
        is_wanted = name in self._roll.wishes
        if is_wanted and record.state is VassalState.STOPPED and record.token is None:
            failure = Failure(
                kind="crash",
                message="the master died",
                exit_status=message.exit_status,
                signal=message.signal,
            )
            self._roll.lose(record, failure, token=None)

    # ── facts from masters ───────────────────────────────────────────────────────────

    def on_master_message(self, token: str, message: FromMaster) -> None:
        """Take in one fact from the master `token`."""
        if self._adoption.hear(token, message):
            self._look()
            return
        vassal = self._roll.by_token(token)
        if vassal is None:
            self._on_successor_message(token, message)
            return
        if vassal.replace_at is not None and vassal.successor is None:
            # Its relief has not begun: it was stopped for a while, or very busy.
            vassal = msgspec.structs.replace(vassal, replace_at=None)
            self._roll.set(vassal)
            self._roll.publish("info", "master_answers", vassal.name, {"pid": vassal.pid})
        match message:
            case Born(unsupported=unsupported):
                self._roll.unsupported[vassal.name] = unsupported[:100]
            case BirthFailed(failure=failure):
                self._roll.lose(vassal, failure, token=token)
            case GenerationReady(number=number, fingerprint=fingerprint) if vassal.state in RUNNING:
                self._exchanges.on_ready(vassal, number, fingerprint)
            case GenerationFailed():
                self._on_generation_failed(vassal, token, message)
            case Idle():
                self._roll.set(msgspec.structs.replace(vassal, idle_at=time.monotonic()))
            case AskForWorkers() | AskForReload() | AskForRestart() | Told():
                self._petitions.hear(vassal, token, message)
            case LimitsChanged(failed=failed):
                self._note_served(vassal)
                self._deeds.limits.on_changed(vassal, failed)
            case Description():
                self._on_described(vassal, token, message)
            case WorkerDied(failure=failure, worker=worker):
                self._roll.set(msgspec.structs.replace(vassal, last_failure=failure))
                fields = {"slot": worker, "reason": failure.kind, "message": failure.message}
                self._roll.publish("warning", "worker_died", vassal.name, fields)
            case MoldDied(failure=failure):
                self._roll.set(msgspec.structs.replace(vassal, last_failure=failure))
                fields = {"reason": failure.kind, "message": failure.message}
                self._roll.publish("warning", "mold_died", vassal.name, fields)
        self._look()

    def _on_described(self, vassal: Vassal, token: str, said: Description) -> None:
        """What a master told while it was not the one that serves was not heard."""
        outcome = outcome_for(token, said)
        if outcome is None or vassal.standby is not None or vassal.state not in RUNNING:
            return
        for attempt in outcome.settled:
            self._listeners.settled(vassal.name, attempt)
        newest = attempt_of(token, said.newest)
        self._listeners.give_back(vassal.name, newest, but=outcome.under_way)
        if attempt_of(token, said.generation) in outcome.settled:
            self._roll.set(msgspec.structs.replace(vassal, serving=said.fingerprint))

    def _on_successor_message(self, token: str, message: FromMaster) -> None:
        """Take in one fact from a second master, if `token` is one."""
        vassal = self._roll.by_successor(token)
        if vassal is None:
            return
        match message:
            case Born(unsupported=unsupported):
                self._roll.unsupported[vassal.name] = unsupported[:100]
            case BirthFailed(failure=failure) | GenerationFailed(failure=failure):
                self._succession.give_up(vassal, failure)
            case GenerationServes(settle_s=settle_s) if can_stand_by(vassal):
                self._succession.take_place(vassal, settle_s)
            case GenerationServes() | GenerationReady():
                self._take_over(vassal, message.number, message.fingerprint)
        self._look()

    def _take_over(self, vassal: Vassal, number: int, fingerprint: str) -> None:
        """The second master serves for good: the first one finishes what it has, and goes."""
        retire_until = self._succession.retire(vassal.token or "", vassal)
        if vassal.standby is not None:
            self._succession.retire(vassal.standby.token, vassal)
        self._roll.set(succeed(vassal, fingerprint, time.monotonic(), retire_until))
        self._on_ready(self._roll.get(vassal.name), number, fingerprint)

    def _on_generation_failed(self, vassal: Vassal, token: str, message: GenerationFailed) -> None:
        if message.serving:
            self._listeners.give_back(vassal.name, attempt_of(token, message.number))
            self._roll.reload_failed(vassal, message.failure)
            return
        # The master ends now. What was asked of it since was not tried, and must not look so.
        tried = msgspec.structs.replace(vassal, attempted=message.fingerprint)
        self._lose(tried, message.failure, token)

    def _lose(self, vassal: Vassal, failure: Failure, token: str | None) -> None:
        """What serves has ended, or does: a master that stands by takes its place back."""
        if vassal.standby is not None:
            self._succession.fall_back(vassal, failure)
        else:
            self._roll.lose(vassal, failure, token=token)

    def _on_ready(self, vassal: Vassal, number: int, fingerprint: str) -> None:
        now = time.monotonic()
        if vassal.standby is not None:
            retire_until = self._succession.retire(vassal.standby.token, vassal)
            vassal = without_standby(vassal, retire_until)
        record = become_ready(vassal, fingerprint, now)
        self._roll.set(record)
        self._note_serial(vassal.name, serial_of(fingerprint))
        self._note_served(record)
        wish = self._roll.wishes.get(vassal.name)
        self._listeners.settled(vassal.name, attempt_of(record.token or "", number))
        if wish is not None and wish.spec is not None and wish.desired().fingerprint == fingerprint:
            # Of an earlier version, addresses that are not wanted any more are those it serves at.
            self._listeners.serves(wish.spec.settings, wish.spec.identity)
        fields = {
            "generation": record.generation,
            "pid": record.pid,
            "took_s": now - vassal.since,
            "listen": " ".join(a.url for a in wish.spec.settings.listen)
            if wish is not None and wish.spec is not None
            else None,
        }
        self._roll.publish("info", "vassal_ready", vassal.name, fields)

    def _note_serial(self, name: str, serial: int) -> None:
        """A reload that an earlier emperor was asked for has come to its end: the next one that
        somebody asks for must look like another."""
        wish = self._roll.wishes.get(name)
        if wish is not None and wish.reload_serial < serial:
            self._roll.wish(name, msgspec.structs.replace(wish, reload_serial=serial))

    def _note_served(self, vassal: Vassal) -> None:
        """Tell whether a vassal serves just what is wanted now."""
        wish = self._roll.wishes.get(vassal.name)
        if wish is not None and vassal.serving == wish.desired().fingerprint:
            self._served(vassal.name)

    def on_silence(self, token: str) -> None:
        """A master gives no sign of life: its workers serve on until another has its place."""
        vassal = self._roll.by_token(token)
        if vassal is not None and vassal.state is VassalState.STOPPING:
            self._roll.publish("warning", "master_hung", vassal.name, {"pid": vassal.pid})
            self._succession.dismiss_workers(token)
        if vassal is None or vassal.state not in RUNNING or vassal.serving is None:
            return  # whoever is waited for has a deadline anyway
        if vassal.standby is not None:
            self._roll.publish("error", "master_hung", vassal.name, {"pid": vassal.pid})
            self._succession.fall_back_from_hung(vassal)
            self._look()
        elif vassal.replace_at is None:
            self._roll.set(msgspec.structs.replace(vassal, replace_at=time.monotonic()))
            self._roll.publish("error", "master_hung", vassal.name, {"pid": vassal.pid})
            self._look()

    def on_nonsense(self, token: str, problem: str) -> None:
        """A master said what is no message."""
        vassal = self._roll.by_token(token)
        self._roll.publish(
            "warning", "message_not_understood", vassal.name if vassal else None, {"error": problem}
        )

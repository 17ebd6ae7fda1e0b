"""The brain's hands: keeps the registry, and carries out what `reconcile` decides.

Facts come in as messages from spawner and masters; each changes one record and asks for
another look. Nothing here decides what ought to happen.
"""

import asyncio
import json
import random
import socket
import time
import uuid
from collections.abc import Callable, Mapping

import msgspec

from emperor.brain.birth import Spec
from emperor.brain.links import ChannelFull, Link
from emperor.brain.listeners import ListenError, Listeners
from emperor.core import registry
from emperor.core.reconcile import (
    Action,
    Desired,
    ForgetVassal,
    KillVassal,
    ReloadVassal,
    SettleVassal,
    StartVassal,
    StopVassal,
    next_look,
    reconcile,
)
from emperor.core.registry import Fact, Vassal, advance, fail
from emperor.core.restarts import RestartPolicy
from emperor.status import VassalState
from limits.facts import HostFacts
from vassal.messages import (
    BirthFailed,
    Born,
    Describe,
    Description,
    DropListener,
    Failure,
    FromMaster,
    FromSpawner,
    GenerationFailed,
    GenerationReady,
    HeldListener,
    HeldMaster,
    HoldListener,
    KillMaster,
    MasterExited,
    MasterNotSpawned,
    MasterSpawned,
    Message,
    MessageError,
    SpawnMaster,
    StartGeneration,
    Stop,
    WorkerDied,
    decode_from_master,
)

START_GRACE_S = 10.0
STOP_GRACE_S = 5.0
EXIT_PATIENCE_S = 5.0
DESCRIBE_PATIENCE_S = 2.0

Publish = Callable[[str, str, str | None, Mapping[str, object]], None]
"""(level, event, vassal, fields) to log and event stream."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of one name: its latest valid spec, and what people said since.

    `spec` None: the file was never valid. The serials make a reload or restart by hand
    look like a change.
    """

    spec: Spec | None = None
    run: bool = True
    why_not: str = "somebody said stop"
    reload_serial: int = 0
    restart_serial: int = 0

    def desired(self) -> Desired:
        if self.spec is None:
            return Desired(fingerprint=None, run=self.run, why_not=self.why_not)
        return Desired(
            fingerprint=f"{self.spec.generation_digest}:{self.reload_serial}",
            birth=f"{self.spec.birth_digest}:{self.restart_serial}",
            run=self.run,
            why_not=self.why_not,
        )


class Fleet:
    """All vassals. One event loop's; `publish` gets every event, `changed` every change."""

    def __init__(
        self,
        to_spawner: Callable[[Message, list[int]], None],
        facts: HostFacts,
        concurrency: int,
        publish: Publish,
        changed: Callable[[], None],
    ) -> None:
        self._to_spawner = to_spawner
        self._facts = facts
        self._concurrency = concurrency
        self._publish = publish
        self._changed = changed
        self._policy = RestartPolicy()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._looking = True  # until `begin`: nothing is done on half the knowledge
        self._links: dict[str, Link[FromMaster]] = {}
        self._asked: dict[str, list[asyncio.Future[Description | None]]] = {}
        self._adopting: set[str] = set()
        self._names: dict[str, str] = {}
        self.listeners = Listeners(
            hold=lambda key, fd: to_spawner(HoldListener(key=key), [fd]),
            drop=lambda key: to_spawner(DropListener(key=key), []),
        )
        self.wishes: dict[str, Wish] = {}
        self.vassals: dict[str, Vassal] = {}
        self.unsupported: dict[str, tuple[str, ...]] = {}

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
        vassal = self._vassal(name)
        if vassal.state is VassalState.STOPPED and vassal.token is None:
            record = fail(vassal, failure, now, self._policy, 0.5)
        else:
            record = msgspec.structs.replace(vassal, last_failure=failure)
        self.vassals[name] = record
        self.look()

    def forgive(self, name: str) -> None:
        """Let a vassal in backoff or parked start now."""
        vassal = self._vassal(name)
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
        """Reconcile soon: many reasons in one turn make one look."""
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._reconcile)

    async def describe(self, name: str, patience_s: float = 1.0) -> Description | None:
        """Return the master's own description; None when there is none or it is silent."""
        token = self._vassal(name).token
        link = self._links.get(token) if token is not None else None
        if link is None or token is None:
            return None
        future: asyncio.Future[Description | None] = self._loop.create_future()
        self._asked.setdefault(token, []).append(future)
        link.send(Describe())
        try:
            return await asyncio.wait_for(future, patience_s)
        except TimeoutError:
            return None

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
        return all(vassal.token is None for vassal in self.vassals.values())

    @property
    def has_settled(self) -> bool:
        """Whether nothing is on its way: the first vassals have started, or failed."""
        pending = {VassalState.STARTING, VassalState.STOPPED}
        return not any(
            vassal.state in pending and wish.run and wish.spec is not None
            for name, wish in self.wishes.items()
            for vassal in [self._vassal(name)]
        )

    # ── reconciling ──────────────────────────────────────────────────────────────────

    def _reconcile(self) -> None:
        self._looking = False
        now = time.monotonic()
        desired = {name: wish.desired() for name, wish in self.wishes.items()}
        for action in reconcile(desired, self.vassals, now, self._concurrency):
            self._act(action, now)
        self._set_timer()
        self._changed()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = next_look(self.vassals)
        self._timer = self._loop.call_at(at, self.look) if at is not None else None

    def _act(self, action: Action, now: float) -> None:
        vassal = self._vassal(action.name)
        match action:
            case StartVassal():
                self._start(vassal, now)
            case ReloadVassal():
                self._reload(vassal, now)
            case StopVassal(why=why):
                self._stop(vassal, why, now)
            case KillVassal():
                self._kill(vassal, now)
            case SettleVassal():
                self.vassals[vassal.name] = advance(vassal, Fact.SETTLED, now)
            case ForgetVassal():
                self._forget(vassal)

    def _start(self, vassal: Vassal, now: float) -> None:
        wish = self.wishes[vassal.name]
        desired, spec = wish.desired(), wish.spec
        assert spec is not None  # decide() starts nothing without a fingerprint
        attempt = {"attempted": desired.fingerprint, "birth": desired.birth}
        token = uuid.uuid4().hex
        self._names[token] = vassal.name
        record = advance(
            vassal,
            Fact.START_BEGAN,
            now,
            token=token,
            pid=0,
            deadline=now + spec.settings.spawn_timeout + START_GRACE_S,
            **attempt,
        )
        self.vassals[vassal.name] = record
        try:
            self.listeners.prepare(spec.settings, spec.identity)
        except ListenError as error:
            self._lose(record, Failure(kind="listen", message=str(error)), token=None)
            return
        self._to_spawner(
            SpawnMaster(
                token=token,
                vassal=vassal.name,
                memo=json.dumps({"birth": desired.birth}),
                pid_namespace=self._facts.can_pid_namespace,
                confinement=msgspec.Raw(msgspec.json.encode(spec.confinement)),
            ),
            [],
        )
        self._publish("info", "vassal_starting", vassal.name, {"user": spec.identity.user})

    def _reload(self, vassal: Vassal, now: float) -> None:
        record = advance(vassal, Fact.RELOAD_BEGAN, now)
        self.vassals[vassal.name] = record
        if vassal.state is VassalState.STARTING and vassal.pid == 0:
            # Its master is not there yet and will get the newest generation anyway.
            wanted = self.wishes[vassal.name].desired().fingerprint
            self.vassals[vassal.name] = msgspec.structs.replace(record, attempted=wanted)
            return
        self._send_generation(record)

    def _send_generation(self, vassal: Vassal) -> None:
        """Tell the master of `vassal` to build the generation that is wanted now."""
        wish = self.wishes[vassal.name]
        spec, fingerprint = wish.spec, wish.desired().fingerprint
        link = self._links.get(vassal.token or "")
        if spec is None or fingerprint is None or link is None:
            return
        number = vassal.generation + 1
        record = msgspec.structs.replace(vassal, attempted=fingerprint, generation=number)
        self.vassals[vassal.name] = record
        try:
            sockets = self.listeners.prepare(spec.settings, spec.identity)
            generation = msgspec.structs.replace(
                spec.generation, number=number, fingerprint=fingerprint
            )
            fds = [held.fileno() for held in sockets]
            link.send(StartGeneration(generation=generation), fds)
        except ListenError as error:
            self._on_not_built(record, Failure(kind="listen", message=str(error)))
        except (MessageError, ChannelFull) as error:
            self._on_not_built(record, Failure(kind="config", message=str(error)))
        else:
            self._publish("info", "generation_started", vassal.name, {"generation": number})

    def _on_not_built(self, vassal: Vassal, failure: Failure) -> None:
        """A generation could not even be asked for."""
        if vassal.serving is not None:
            self._reload_failed(vassal, failure)
            return
        self._lose(vassal, failure, token=vassal.token)
        if vassal.token is not None:
            self._to_spawner(KillMaster(token=vassal.token), [])

    def _stop(self, vassal: Vassal, why: str, now: float) -> None:
        wish = self.wishes.get(vassal.name)
        timeout_s = wish.spec.settings.stop_timeout if wish and wish.spec else 30.0
        self.vassals[vassal.name] = advance(
            vassal, Fact.STOP_BEGAN, now, deadline=now + timeout_s + STOP_GRACE_S
        )
        link = self._links.get(vassal.token or "")
        if link is not None:
            link.send(Stop(timeout_s=timeout_s))
        self._publish("info", "vassal_stopping", vassal.name, {"reason": why})

    def _kill(self, vassal: Vassal, now: float) -> None:
        self._publish(
            "warning", "master_killed", vassal.name, {"pid": vassal.pid, "reason": "deadline"}
        )
        if vassal.token is not None:
            self._to_spawner(KillMaster(token=vassal.token), [])
        record = msgspec.structs.replace(vassal, deadline=now + EXIT_PATIENCE_S)
        if vassal.state in registry.RUNNING:
            failure = Failure(kind="spawn-timeout", message="the master did not answer in time")
            record = fail(record, failure, now, self._policy, random.random())
            record = msgspec.structs.replace(record, deadline=now + EXIT_PATIENCE_S)
        self.vassals[vassal.name] = record

    def _forget(self, vassal: Vassal) -> None:
        self.listeners.keep_only(vassal.name, set())
        self.vassals.pop(vassal.name, None)
        self.unsupported.pop(vassal.name, None)
        self._publish("info", "vassal_removed", vassal.name, {})

    # ── facts from the spawner ───────────────────────────────────────────────────────

    def on_spawner_message(self, message: FromSpawner, fds: list[int]) -> None:
        """Take in one fact; the descriptors become the fleet's."""
        match message:
            case HeldListener(key=key):
                self.listeners.adopt(key, fds[0])
            case HeldMaster():
                self._adopt(message, socket.socket(fileno=fds[0]))
            case MasterSpawned():
                self._on_spawned(message, socket.socket(fileno=fds[0]))
            case MasterNotSpawned(token=token):
                vassal = self._by_token(token)
                if vassal is not None:
                    failure = Failure(kind="crash", message=message.message)
                    self._lose(vassal, failure, token=None)
            case MasterExited():
                self._on_master_exited(message)
            case _:
                pass
        self.look()

    def _adopt(self, held: HeldMaster, channel: socket.socket) -> None:
        """A master that outlived an earlier emperor: ask it what it is."""
        now = time.monotonic()
        try:
            birth = str(json.loads(held.memo)["birth"])
        except (ValueError, KeyError, TypeError):
            birth = ""
        self.vassals[held.vassal] = Vassal(
            name=held.vassal,
            state=VassalState.STARTING,
            since=now,
            token=held.token,
            pid=held.pid,
            birth=birth,
            deadline=now + START_GRACE_S,
        )
        self._names[held.token] = held.vassal
        self._adopting.add(held.token)
        self._connect(held.token, channel).send(Describe())

    @property
    def is_adopting(self) -> bool:
        """Whether an adopted master has not yet said what it is."""
        return bool(self._adopting)

    def _connect(self, token: str, channel: socket.socket) -> Link[FromMaster]:
        link: Link[FromMaster] = Link(
            channel,
            decode_from_master,
            lambda message, fds: self._on_master_message(token, message, fds),
            lambda problem: self._on_nonsense(token, problem),
            lambda: None,  # the spawner tells how it ended
        )
        self._links[token] = link
        return link

    def _on_spawned(self, message: MasterSpawned, channel: socket.socket) -> None:
        vassal = self._by_token(message.token)
        if vassal is None:
            channel.close()
            self._to_spawner(KillMaster(token=message.token), [])
            return
        self._connect(message.token, channel)
        record = msgspec.structs.replace(vassal, pid=message.pid)
        self.vassals[vassal.name] = record
        if record.state is VassalState.STARTING:
            self._send_generation(record)
        elif record.state is VassalState.STOPPING:
            self._links[message.token].send(Stop(timeout_s=0.0))

    def _on_master_exited(self, message: MasterExited) -> None:
        vassal = self._by_token(message.token)
        link = self._links.pop(message.token, None)
        if link is not None:
            link.close()
        self._adopting.discard(message.token)
        self._names.pop(message.token, None)
        for future in self._asked.pop(message.token, []):
            if not future.done():
                future.set_result(None)
        if vassal is None:
            return
        if vassal.state in registry.RUNNING:
            self._publish(
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
            self._lose(vassal, failure, token=None)
            return
        record = advance(vassal, Fact.MASTER_GONE, time.monotonic(), token=None, pid=0)
        record = msgspec.structs.replace(
            record,
            serving=None,
            attempted=None if record.state is VassalState.STOPPED else record.attempted,
            deadline=None,
        )
        self.vassals[vassal.name] = record
        if record.state is VassalState.STOPPED:
            self._publish("info", "vassal_stopped", vassal.name, {})

    # ── facts from masters ───────────────────────────────────────────────────────────

    def _on_master_message(self, token: str, message: FromMaster, fds: list[int]) -> None:
        for fd in fds:
            socket.close(fd)  # masters have nothing to hand over
        vassal = self._by_token(token)
        if vassal is None:
            return
        match message:
            case Description():
                self._on_description(vassal, token, message)
            case Born(unsupported=unsupported):
                self.unsupported[vassal.name] = unsupported[:100]
            case BirthFailed(failure=failure):
                self._lose(vassal, failure, token=token)
            case GenerationReady(fingerprint=fingerprint):
                self._on_ready(vassal, fingerprint)
            case GenerationFailed(failure=failure, serving=serving):
                if serving:
                    self._reload_failed(vassal, failure)
                else:
                    self._lose(vassal, failure, token=token)
            case WorkerDied(failure=failure, worker=worker):
                self.vassals[vassal.name] = msgspec.structs.replace(vassal, last_failure=failure)
                fields = {"slot": worker, "reason": failure.kind, "message": failure.message}
                self._publish("warning", "worker_died", vassal.name, fields)
        self.look()

    def _on_description(self, vassal: Vassal, token: str, found: Description) -> None:
        for future in self._asked.pop(token, []):
            if not future.done():
                future.set_result(found)
        if token not in self._adopting:
            return
        self._adopting.discard(token)
        now = time.monotonic()
        self._restore_serials(vassal, found.fingerprint)
        common: dict[str, object] = {
            "generation": found.generation,
            "attempted": found.fingerprint or None,
            "last_failure": found.last_failure,
        }
        if found.state in ("stopping", "done"):
            deadline = now + STOP_GRACE_S
            record = advance(vassal, Fact.STOP_BEGAN, now, deadline=deadline, **common)
        elif found.serving:
            common |= {"serving": found.fingerprint, "ready_at": now}
            record = advance(vassal, Fact.BECAME_READY, now, **common)
        else:
            record = msgspec.structs.replace(vassal, deadline=now + 120.0, **common)
        self.vassals[vassal.name] = record
        self._publish("info", "vassal_adopted", vassal.name, {"pid": vassal.pid})

    def _restore_serials(self, vassal: Vassal, fingerprint: str) -> None:
        """People's reloads and restarts before this emperor's time are part of the truth."""
        wish = self.wishes.get(vassal.name)
        if wish is not None:
            self.wishes[vassal.name] = msgspec.structs.replace(
                wish,
                reload_serial=serial_of(fingerprint),
                restart_serial=serial_of(vassal.birth or ""),
            )
            if wish.spec is not None:
                self.listeners.claim(wish.spec.settings)

    def _on_ready(self, vassal: Vassal, fingerprint: str) -> None:
        now = time.monotonic()
        record = advance(
            vassal,
            Fact.BECAME_READY,
            now,
            serving=fingerprint,
            deadline=None,
            ready_at=now if vassal.ready_at is None else vassal.ready_at,
        )
        self.vassals[vassal.name] = record
        wish = self.wishes.get(vassal.name)
        if wish is not None and wish.spec is not None:
            self.listeners.keep_only(
                vassal.name, {address.key for address in wish.spec.settings.listen}
            )
        took_s = now - vassal.since
        fields = {"generation": record.generation, "pid": record.pid, "took_s": took_s}
        self._publish("info", "vassal_ready", vassal.name, fields)

    def _reload_failed(self, vassal: Vassal, failure: Failure) -> None:
        self.vassals[vassal.name] = advance(
            vassal, Fact.RELOAD_FAILED, time.monotonic(), last_failure=failure
        )
        fields = {"reason": failure.kind, "message": failure.message}
        self._publish("error", "reload_failed", vassal.name, fields)

    def _lose(self, vassal: Vassal, failure: Failure, token: str | None) -> None:
        """A vassal ended unplanned. `token` None = its master is gone already."""
        now = time.monotonic()
        if not failure.at:
            failure = msgspec.structs.replace(failure, at=time.time())
        record = fail(vassal, failure, now, self._policy, random.random())
        record = msgspec.structs.replace(
            record,
            token=token,
            pid=record.pid if token else 0,
            restarts=record.restarts + 1,
            deadline=now + EXIT_PATIENCE_S if token else None,
        )
        self.vassals[vassal.name] = record
        fields = {
            "reason": failure.kind,
            "message": failure.message,
            "state": record.state.value,
            "retry_s": record.retry_at - now if record.retry_at is not None else None,
        }
        self._publish("error", "vassal_failed", vassal.name, fields)
        self.look()

    def _on_nonsense(self, token: str, problem: str) -> None:
        vassal = self._by_token(token)
        self._publish(
            "warning", "message_not_understood", vassal.name if vassal else None, {"error": problem}
        )

    # ── the table ────────────────────────────────────────────────────────────────────

    def _vassal(self, name: str) -> Vassal:
        return self.vassals.get(name) or Vassal(name=name)

    def _by_token(self, token: str) -> Vassal | None:
        # Most are asked for by a master's message: a thousand starting ones send thousands.
        vassal = self.vassals.get(self._names.get(token, ""))
        return vassal if vassal is not None and vassal.token == token else None


def serial_of(fingerprint: str) -> int:
    """Return the serial behind the colon of a fingerprint; 0 for anything else."""
    tail = fingerprint.rpartition(":")[2]
    return int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 10 else 0

"""The master: carries out what `crew` and `harakiri` decide for one vassal.

Its inputs are orders (methods called by the channel or by `emperor serve`), frames from
mold and workers, exits, and time. One thread, one loop, one short function per action.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial

import msgspec

from limits.pidfd import peek_exited, reap, send_signal
from limits.steps import Step
from vassal import packets
from vassal.loop import Loop
from vassal.master import crew as crews
from vassal.master.crew import Crew, MoldState, Role, Verb, Worker, WorkerState
from vassal.master.guard import SIGKILL, Guard
from vassal.master.molds import PARSER_FD, ExecFailed, start_mold
from vassal.master.output import Output
from vassal.master.workforce import WorkerProcess, Workforce, describe, load_frame
from vassal.messages import (
    Description,
    Failure,
    Generation,
    GenerationFailed,
    GenerationReady,
    Message,
    Totals,
    WorkerDied,
)
from vassal.runtime import frames
from vassal.runtime.scoreboard import SlotReading
from vassal.runtime.signals import STACK_DUMP_SIGNAL


class MasterState(Enum):
    """What the master is about."""

    WAITING = "waiting"  # no generation was asked for yet
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"  # nothing left to wait for


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a master was born with. Descriptors are borrowed from the process."""

    runtime_fd: int
    parser_fd: int | None
    parser_name: str
    die_with_master: bool


class Master:
    """One vassal's generations, workers and counters.

    `tell` receives every message for the emperor; `steps_for` gives the limits that a
    mold is put under, and what of them is unsupported.
    """

    def __init__(
        self,
        loop: Loop,
        output: Output,
        means: Means,
        tell: Callable[[Message], None],
        steps_for: Callable[[Generation], tuple[Sequence[Step], tuple[str, ...]]],
    ) -> None:
        self._loop = loop
        self._output = output
        self._means = means
        self._tell = tell
        self._steps_for = steps_for
        self._born_at = time.monotonic()
        self._crews: dict[int, Crew] = {}
        self._forces: dict[int, Workforce] = {}
        self._guards: dict[int, Guard] = {}
        self._workers: dict[tuple[int, int], Worker] = {}
        self._mold_failures: dict[int, int] = {}
        self._killed_for: dict[tuple[int, int], str] = {}
        self._harakiris: dict[int, int] = {}
        self._totals = Totals()
        self._last_failure: Failure | None = None
        self._unsupported: tuple[str, ...] = ()
        self.state = MasterState.WAITING

    # ── orders from outside ──────────────────────────────────────────────────────────

    def start_generation(self, generation: Generation, listeners: list[int]) -> None:
        """Begin to build `generation`; takes the listeners over. Supersedes one under way."""
        if self.state is MasterState.STOPPING:
            packets.close_all(listeners)
            return
        self.state = MasterState.RUNNING
        for crew in list(self._crews.values()):
            if crew.role is Role.BUILDING:
                self._drain(crew.number)
        problem = self._output.configure(generation.log)
        if problem:
            self._output.emit(f"event=log_unavailable error={problem!r}")
        self._output.forget_tail()
        number = generation.number
        force = Workforce(generation, listeners)
        self._forces[number] = force
        self._guards[number] = Guard(force, partial(self._on_kill, number))
        self._crews[number] = Crew(
            number=number,
            role=Role.BUILDING,
            wanted=generation.workers,
            spawn_timeout_s=generation.spawn_timeout_s,
            stop_timeout_s=generation.stop_timeout_s,
        )

    def stop(self, timeout_s: float) -> None:
        """Drain everything; `state` becomes DONE when nothing is left."""
        self.state = MasterState.STOPPING
        for number, crew in list(self._crews.items()):
            bounded = min(crew.stop_timeout_s, timeout_s)
            self._crews[number] = msgspec.structs.replace(crew, stop_timeout_s=bounded)
            self._drain(number)

    def reopen_logs(self) -> None:
        """Follow a rotation of the log from outside."""
        self._output.reopen()

    def describe(self) -> Description:
        """Return the whole state, for status and for an emperor that was started anew."""
        now = time.monotonic()
        shown = self._serving() or self._building()
        rows = []
        for number in sorted(self._forces):
            own = [worker for worker in self._workers.values() if worker.generation == number]
            if shown is not None and (number == shown.number or own):
                rows += describe(self._forces[number], own, self._harakiris, now)
        generation = self._forces[shown.number].generation if shown is not None else None
        return Description(
            state=self.state.value,
            generation=generation.number if generation else 0,
            fingerprint=generation.fingerprint if generation else "",
            serving=self._serving() is not None,
            age_s=now - self._born_at,
            workers=tuple(rows),
            totals=self._all_totals(),
            last_failure=self._last_failure,
            unsupported=self._unsupported,
            output=self._output.tail(),
        )

    # ── one turn ─────────────────────────────────────────────────────────────────────

    def act(self) -> float | None:
        """Do everything that is due; return how many seconds nothing more will be due."""
        now_ns = time.monotonic_ns()
        for guard in list(self._guards.values()):
            if guard.look_at_ns is not None and now_ns >= guard.look_at_ns:
                guard.look(now_ns)
        for order in self._orders():
            self._carry_out(order)
        if self.state is MasterState.STOPPING and not self._crews:
            self.state = MasterState.DONE
        return self._sleep_s()

    def reap(self) -> None:
        """Collect every child that ended; unknown ones are orphans of the tenant."""
        while (exited := peek_exited()) is not None:
            reap(exited.pid)
            for number, force in list(self._forces.items()):
                if force.mold is not None and force.mold.pid == exited.pid:
                    self._on_mold_exit(number, exited.exit_status, exited.signal)
                for process in list(force.processes.values()):
                    if process.pid == exited.pid:
                        self._on_worker_exit(number, process, exited.exit_status, exited.signal)

    def _orders(self) -> list[crews.Order]:
        found = []
        now = time.monotonic()
        for number, crew in sorted(self._crews.items()):
            own = {w.number: w for w in self._workers.values() if w.generation == number}
            found += crews.next_orders({number: crew}, own, now)
        return found

    def _sleep_s(self) -> float | None:
        if self.state is MasterState.DONE:
            return 0.0
        now_ns = time.monotonic_ns()
        looks = [
            guard.look_at_ns for guard in self._guards.values() if guard.look_at_ns is not None
        ]
        at = crews.next_look(self._crews.values(), self._workers.values())
        if at is not None:
            looks.append(int(at * 1e9))
        if not looks:
            return None
        # epoll counts whole milliseconds; upwards, because waking early would spin.
        return math.ceil(max(0, min(looks) - now_ns) / 1e6) / 1e3

    def _carry_out(self, order: crews.Order) -> None:
        action = {
            Verb.START_MOLD: self._start_mold,
            Verb.DUMP_MOLD: self._dump_mold,
            Verb.GIVE_UP: self._give_up_slow,
            Verb.REPLACE_MOLD: self._kill_mold,
            Verb.FORK: self._fork,
            Verb.PROMOTE: self._promote,
            Verb.CLOSE: self._close,
        }.get(order.verb)
        if action is not None:
            action(order.generation)
        elif order.verb is Verb.STOP_WORKER:
            self._stop_worker(order.generation, order.worker)
        else:
            self._kill_worker(order.generation, order.worker)

    # ── molds ────────────────────────────────────────────────────────────────────────

    def _start_mold(self, number: int) -> None:
        force = self._forces[number]
        now = time.monotonic()
        # The deadline is armed before the fork: whatever hangs after it is covered.
        self._set_crew(
            number, mold=MoldState.LOADING, mold_at=now + force.generation.spawn_timeout_s
        )
        means = self._means
        steps, self._unsupported = self._steps_for(force.generation)
        try:
            mold = start_mold(
                force.generation,
                means.runtime_fd,
                means.parser_fd,
                self._output.write_fd,
                steps,
            )
        except ExecFailed as error:
            self._mold_lost(number, Failure(kind="exec", message=str(error)))
            return
        except OSError as error:
            self._mold_lost(number, Failure(kind="crash", message=f"fork: {error.strerror}"))
            return
        force.mold = mold
        frame = load_frame(
            force.generation,
            force.listeners,
            means.die_with_master,
            PARSER_FD,
            means.parser_name,
        )
        packets.send(mold.channel, frame, [force.memory_fd, *force.listeners])
        self._loop.watch(mold.channel.fileno(), partial(self._on_mold_frame, number))

    def _on_mold_frame(self, number: int) -> None:
        mold = self._forces[number].mold
        if mold is None:
            return
        try:
            packet = packets.receive(mold.channel)
            verb, fields = frames.decode(packet.data)
        except BlockingIOError:
            return
        except (packets.PeerGone, OSError, frames.FrameError):
            # Its exit, which SIGCHLD tells, says more.
            self._loop.unwatch(mold.channel.fileno())
            return
        packets.close_all(packet.fds)
        if verb == frames.LOADED and self._crews[number].mold is not MoldState.CLOSED:
            self._mold_failures.pop(number, None)
            self._set_crew(number, mold=MoldState.LOADED, mold_at=0.0)
        elif verb == frames.LOAD_FAILED:
            self._on_load_failed(number, fields)
        elif verb == frames.FORK_FAILED:
            self._on_fork_failed(number, fields)

    def _on_load_failed(self, number: int, fields: dict[str, str]) -> None:
        force = self._forces[number]
        app = force.generation.app
        failure = Failure(
            kind="load",
            message=f"{app}: {fields.get('error', '')}"[:2000],
            traceback=fields.get("traceback", ""),
        )
        self._mold_lost(number, failure)

    def _on_mold_exit(self, number: int, exit_status: int | None, signum: int | None) -> None:
        mold_was = self._crews[number].mold
        self._release_mold(number)
        if mold_was is MoldState.CLOSED or self._crews[number].role is Role.DRAINING:
            return
        failure = Failure(
            kind="crash",
            message="the application ended its interpreter while it was loaded"
            if mold_was is MoldState.LOADING
            else "the mold died",
            exit_status=exit_status,
            signal=signum,
        )
        self._mold_lost(number, failure)

    def _mold_lost(self, number: int, failure: Failure) -> None:
        """A building generation ends with its mold; a serving one gets another, later."""
        if self._crews[number].role is Role.BUILDING:
            self._give_up(number, failure)
            return
        failures = self._mold_failures[number] = self._mold_failures.get(number, 0) + 1
        pause_s = crews.backoff_s(failures)
        self._note(failure)
        self._release_mold(number)
        self._set_crew(number, mold=MoldState.ABSENT, mold_at=time.monotonic() + pause_s)

    def _dump_mold(self, number: int) -> None:
        mold = self._forces[number].mold
        if mold is not None:
            send_signal(mold.pidfd, STACK_DUMP_SIGNAL)
        self._set_crew(number, mold=MoldState.DUMPED, mold_at=time.monotonic() + crews.DUMP_GRACE_S)

    def _give_up_slow(self, number: int) -> None:
        self._give_up(number, self._too_slow(number))

    def _too_slow(self, number: int) -> Failure:
        generation = self._forces[number].generation
        return Failure(
            kind="spawn-timeout",
            message=f"{generation.app} was not loaded within spawn_timeout = "
            f"{generation.spawn_timeout_s:g} s; its stack is in the output",
        )

    def _kill_mold(self, number: int) -> None:
        mold = self._forces[number].mold
        if mold is not None:
            send_signal(mold.pidfd, SIGKILL)
        self._mold_lost(number, self._too_slow(number))

    def _release_mold(self, number: int) -> None:
        force = self._forces[number]
        if force.mold is not None:
            self._loop.unwatch(force.mold.channel.fileno())
            send_signal(force.mold.pidfd, SIGKILL)
            force.mold.close()
            force.mold = None

    # ── workers ──────────────────────────────────────────────────────────────────────

    def _fork(self, number: int) -> None:
        force = self._forces[number]
        worker = force.free_number()
        if worker is None:
            return
        now = time.monotonic()
        try:
            process = force.ask_for_worker(worker)
        except BlockingIOError:
            self._set_crew(number, fork_at=now + 0.05)
            return
        except OSError as error:
            self._set_crew(number, fork_at=now + 0.5)
            self._output.emit(f"event=worker_not_forked error={error!s}")
            return
        self._workers[number, worker] = Worker(
            number=worker,
            generation=number,
            state=WorkerState.STARTING,
            since=now,
            deadline=now + force.generation.spawn_timeout_s,
        )
        self._loop.watch(process.channel.fileno(), partial(self._on_worker_frame, number, process))

    def _on_fork_failed(self, number: int, fields: dict[str, str]) -> None:
        """EAGAIN or ENOMEM: wait a little and ask again."""
        crew = self._crews[number]
        worker = int(fields.get("worker", "0")) if fields.get("worker", "").isdigit() else 0
        self._output.emit(f"event=worker_not_forked error={fields.get('error', '')!r}")
        if (number, worker) not in self._workers:
            return
        del self._workers[number, worker]
        self._loop.unwatch(self._forces[number].processes[worker].channel.fileno())
        self._forces[number].release(worker)
        deaths = crew.deaths + 1
        pause_s = crews.backoff_s(deaths + 1)
        self._set_crew(number, deaths=deaths, fork_at=time.monotonic() + pause_s)

    def _on_worker_frame(self, number: int, process: WorkerProcess) -> None:
        key = (number, process.number)
        try:
            packet = packets.receive(process.channel)
            verb, fields = frames.decode(packet.data)
        except BlockingIOError:
            return
        except (packets.PeerGone, OSError, frames.FrameError):
            self._on_worker_silent(number, process)
            return
        packets.close_all(packet.fds)
        if verb in (frames.WAKE, frames.DEADLINE):
            self._guards[number].wake()
        elif verb == frames.HELLO:
            self._adopt(number, process, packet.pid)
        elif verb == frames.READY and self._workers[key].state is WorkerState.STARTING:
            self._set_worker(key, state=WorkerState.READY, deadline=None)
        elif verb == frames.RETIRING and self._workers[key].state is WorkerState.READY:
            reason = fields.get("reason", "")[:40]
            self._output.emit(f"event=worker_retiring slot={process.number} reason={reason!r}")
            self._set_worker(key, state=WorkerState.RETIRING)

    def _adopt(self, number: int, process: WorkerProcess, pid: int) -> None:
        """Take the worker that said hello; `pid` is the kernel's word. It must be our child."""
        if process.pid or pid <= 1:
            return
        for force in self._forces.values():
            mold = force.mold
            taken = {other.pid for other in force.processes.values()}
            if pid in taken or (mold is not None and mold.pid == pid):
                return
        try:
            pidfd = os.pidfd_open(pid)
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ProcessLookupError:
            return
        except ChildProcessError:
            os.close(pidfd)
            return
        process.pid, process.pidfd = pid, pidfd

    def _on_worker_silent(self, number: int, process: WorkerProcess) -> None:
        """Its channel ended. A worker that we know as a child is reaped when it exits."""
        self._loop.unwatch(process.channel.fileno())
        if not process.pid:
            self._on_worker_exit(number, process, None, None)

    def _stop_worker(self, number: int, worker: int) -> None:
        crew = self._crews[number]
        process = self._forces[number].processes[worker]
        try:
            packets.send(process.channel, frames.encode(frames.STOP))
        except OSError:
            pass  # gone already, or not reading: the deadline decides
        self._set_worker(
            (number, worker),
            state=WorkerState.STOPPING,
            deadline=time.monotonic() + crew.stop_timeout_s,
        )

    def _kill_worker(self, number: int, worker: int) -> None:
        key = (number, worker)
        process = self._forces[number].processes[worker]
        record = self._workers[key]
        starting = record.state is WorkerState.STARTING
        self._killed_for[key] = "spawn-timeout" if starting else "stop_timeout"
        reason = self._killed_for[key]
        self._output.emit(f"event=worker_killed slot={worker} pid={process.pid} reason={reason}")
        if process.pidfd < 0:
            # It never said hello, so its pid is unknown: the mold hangs in the fork.
            self._on_worker_exit(number, process, None, None)
            self._kill_mold(number)
            return
        send_signal(process.pidfd, SIGKILL)
        self._set_worker(key, deadline=time.monotonic() + 1.0)

    def _on_worker_exit(
        self, number: int, process: WorkerProcess, exit_status: int | None, signum: int | None
    ) -> None:
        key = (number, process.number)
        worker = self._workers.pop(key)
        crew = self._crews[number]
        force = self._forces[number]
        reason = self._killed_for.pop(key, "")
        for reading in force.readings([process.number]):
            self._totals = msgspec.structs.replace(
                self._totals,
                requests=self._totals.requests + reading.requests,
                exceptions=self._totals.exceptions + reading.exceptions,
                bytes_sent=self._totals.bytes_sent + reading.bytes_sent,
            )
        self._loop.unwatch(process.channel.fileno())
        force.release(process.number)
        planned = bool(reason) or worker.state is WorkerState.STOPPING
        self._crews[number] = crews.death(crew, worker, time.monotonic(), planned)
        if planned and reason != "spawn-timeout":
            return
        self._output.drain()
        how = f"signal {signum}" if signum else f"exit status {exit_status}"
        failure = Failure(
            kind=reason or "crash",
            message=f"worker {process.number} died ({how})"
            if not reason
            else f"worker {process.number} was not ready within spawn_timeout",
            exit_status=exit_status,
            signal=signum,
        )
        self._count(worker_deaths=1)
        if crew.role is Role.BUILDING:
            self._give_up(number, failure)
        elif crew.role is Role.SERVING:
            failure = self._note(failure)
            self._tell(WorkerDied(worker=process.number, failure=failure))

    def _on_kill(
        self,
        number: int,
        worker: int,
        reading: SlotReading,
        ran_s: float,
        answered: bool,
        stacks: str,
    ) -> None:
        generation = self._forces[number].generation
        process = self._forces[number].processes[worker]
        key = (number, worker)
        again = key in self._killed_for
        self._killed_for[key] = "harakiri"
        if again:
            self._output.emit(f"event=worker_unkillable slot={worker} pid={process.pid}")
            return
        self._harakiris[worker] = self._harakiris.get(worker, 0) + 1
        self._count(harakiris=1)
        line = (
            f"event=worker_killed slot={worker} pid={process.pid} reason=harakiri "
            f"ran_s={ran_s:.3f} limit_s={generation.harakiri_s:g} "
            f"method={reading.method} uri={reading.uri!r} answered={'504' if answered else 'no'}"
        )
        self._output.emit(line)
        for stack_line in stacks.splitlines():
            self._output.emit(f"slot={worker} stack: {stack_line}")
        failure = Failure(
            kind="harakiri",
            message=f"worker {worker} killed after {ran_s:.1f} s (harakiri = "
            f"{generation.harakiri_s:g} s) in {reading.method} {reading.uri}",
            signal=SIGKILL,
            traceback=stacks[-8000:],
        )
        self._tell(WorkerDied(worker=worker, failure=self._note(failure)))

    # ── generations ──────────────────────────────────────────────────────────────────

    def _promote(self, number: int) -> None:
        for other in list(self._crews.values()):
            if other.role is Role.SERVING:
                self._drain(other.number)
        self._set_crew(number, role=Role.SERVING)
        self._tell(
            GenerationReady(number=number, fingerprint=self._forces[number].generation.fingerprint)
        )

    def _give_up(self, number: int, failure: Failure) -> None:
        self._output.drain()
        failure = self._note(failure)
        serving = self._serving() is not None
        self._drain(number)
        self._tell(
            GenerationFailed(
                number=number,
                fingerprint=self._forces[number].generation.fingerprint,
                failure=failure,
                serving=serving,
            )
        )
        if not serving:
            # Nothing of this vassal is left to wait for: the emperor starts a new master.
            self.stop(0.5)

    def _drain(self, number: int) -> None:
        self._set_crew(number, role=Role.DRAINING)
        if self._crews[number].mold is not MoldState.CLOSED:
            self._set_crew(number, mold=MoldState.CLOSED)
            mold = self._forces[number].mold
            if mold is not None:
                send_signal(mold.pidfd, SIGKILL)

    def _close(self, number: int) -> None:
        self._release_mold(number)
        self._forces.pop(number).close()
        del self._crews[number], self._guards[number]
        self._mold_failures.pop(number, None)

    def _serving(self) -> Crew | None:
        return next((c for c in self._crews.values() if c.role is Role.SERVING), None)

    def _building(self) -> Crew | None:
        return next((c for c in self._crews.values() if c.role is Role.BUILDING), None)

    # ── records ──────────────────────────────────────────────────────────────────────

    def _note(self, failure: Failure) -> Failure:
        output = self._output.tail()[-8000:]
        self._last_failure = msgspec.structs.replace(failure, at=time.time(), output=output)
        return self._last_failure

    def _count(self, *, harakiris: int = 0, worker_deaths: int = 0) -> None:
        self._totals = msgspec.structs.replace(
            self._totals,
            harakiris=self._totals.harakiris + harakiris,
            worker_deaths=self._totals.worker_deaths + worker_deaths,
        )

    def _all_totals(self) -> Totals:
        requests = exceptions = sent = 0
        for force in self._forces.values():
            for reading in force.readings(force.processes):
                requests += reading.requests
                exceptions += reading.exceptions
                sent += reading.bytes_sent
        return msgspec.structs.replace(
            self._totals,
            requests=self._totals.requests + requests,
            exceptions=self._totals.exceptions + exceptions,
            bytes_sent=self._totals.bytes_sent + sent,
            log_lines_dropped=self._output.dropped,
        )

    def _set_crew(self, number: int, **changes: object) -> None:
        self._crews[number] = msgspec.structs.replace(self._crews[number], **changes)

    def _set_worker(self, key: tuple[int, int], **changes: object) -> None:
        self._workers[key] = msgspec.structs.replace(self._workers[key], **changes)

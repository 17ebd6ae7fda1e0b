"""A master's hands for workers: asks for them, adopts, stops, kills and buries them."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from functools import partial

from limits.pidfd import send_signal, take_stop
from vassal import packets
from vassal.failure import Failure
from vassal.generation import Health
from vassal.loop import Loop
from vassal.master import crew as crews
from vassal.master.crew import Role, Worker, WorkerState
from vassal.master.guard import SIGKILL, Overdue
from vassal.master.ledger import Ledger
from vassal.master.lines import escaped
from vassal.master.mold_hands import not_loaded
from vassal.master.oom import OomWitness, as_size, times_today
from vassal.master.probe import Probe, unanswered
from vassal.master.refusals import Refusals
from vassal.master.reload_wish import ReloadWish
from vassal.master.workforce import WorkerProcess
from vassal.messages import AskForReload, Message, WorkerDied
from vassal.runtime import frames, scoreboard

LAST_FRAMES_MAX = 8
"""A worker that goes has said less than that since it was last heard."""


class WorkerHands:
    """Does what was decided about workers. `give_up` ends a building generation,
    `replace_mold` one whose mold hangs in a fork; `loaded` is told of one whose first worker
    has loaded the application itself."""

    def __init__(
        self,
        loop: Loop,
        ledger: Ledger,
        tell: Callable[[Message], None],
        give_up: Callable[[int, Failure], None],
        replace_mold: Callable[[int], None],
        loaded: Callable[[int], None],
        oom: OomWitness,
    ) -> None:
        self._loop = loop
        self._ledger = ledger
        self._output = ledger.output
        self._tell = tell
        self._give_up = give_up
        self._replace_mold = replace_mold
        self._loaded = loaded
        self._oom = oom
        self._last_words: dict[tuple[int, int], Failure] = {}
        self._left_for: dict[tuple[int, int], str] = {}  # why one stops that was not told to
        self.reload_wish = ReloadWish()
        self._refusals = Refusals()

    def fork(self, number: int) -> None:
        force = self._ledger.forces[number]
        worker = force.free_number()
        if worker is None:
            return
        now = time.monotonic()
        health = self._health_for(number)
        seat = crews.free_seat(self._ledger.workers_of(number))
        try:
            process = force.ask_for_worker(worker, seat, health)
        except BlockingIOError:
            self._ledger.set_crew(number, fork_at=now + 0.05)
            return
        except OSError as error:
            self._ledger.set_crew(number, fork_at=now + 0.5)
            self._output.emit(f"event=worker_not_forked error={error!s}")
            return
        timeout_s = force.generation.spawn_timeout_s if health is None else health.timeout_s
        if health is not None and self._is_lazy(number):
            timeout_s += force.generation.spawn_timeout_s  # it has to load before it can answer
        self._ledger.births[worker] += 1
        self._ledger.workers[number, worker] = Worker(
            number=worker,
            generation=number,
            state=WorkerState.STARTING,
            since=now,
            deadline=now + timeout_s,
            seat=seat,
        )
        self._loop.watch(process.channel.fileno(), partial(self._on_frame, number, process))
        if process.probe is not None:
            self._loop.watch(process.probe.fd, partial(self._on_probe, process.probe))

    def _health_for(self, number: int) -> Health | None:
        """Only the first worker of a new generation is probed: the others are its copies."""
        first = self._ledger.crews[number].role is Role.BUILDING
        first = first and not self._ledger.workers_of(number)
        return self._ledger.forces[number].generation.health if first else None

    def _on_probe(self, probe: Probe) -> None:
        if not probe.read():
            self._loop.unwatch(probe.fd)

    def on_fork_failed(self, number: int, fields: dict[str, str]) -> None:
        """EAGAIN or ENOMEM: wait a little and ask again."""
        crew = self._ledger.crews[number]
        worker = int(fields.get("worker", "0")) if fields.get("worker", "").isdigit() else 0
        self._output.emit(f"event=worker_not_forked error={fields.get('error', '')!r}")
        if (number, worker) not in self._ledger.workers:
            return
        del self._ledger.workers[number, worker]
        self._release(number, self._ledger.forces[number].processes[worker])
        deaths = crew.deaths + 1
        refused = crew.role is Role.BUILDING and deaths >= crews.FORKS_REFUSED_MAX
        if refused or self._ledger.is_hopeless(number, deaths):
            message = f"no worker could be forked: {escaped(fields.get('error', ''))[:100]}"
            self._give_up(number, Failure(kind="crash", message=message))
            return
        pause_s = crews.backoff_s(deaths + 1)
        self._ledger.set_crew(number, deaths=deaths, fork_at=time.monotonic() + pause_s)

    def _on_frame(self, number: int, process: WorkerProcess) -> None:
        key = (number, process.number)
        try:
            packet = packets.receive(process.channel)
            verb, fields = frames.decode(packet.data)
        except BlockingIOError:
            return
        except (packets.PeerGone, OSError, frames.FrameError):
            self._on_silent(number, process)
            return
        packets.close_all(packet.fds)
        if verb in (frames.WAKE, frames.DEADLINE):
            self._ledger.guards[number].wake()
            self._ledger.scalers[number].wake()
        elif verb == frames.HELLO:
            self._adopt(number, process, packet.pid)
        elif verb == frames.READY and self._ledger.workers[key].state is WorkerState.STARTING:
            # One that was not adopted could not be killed later: it ends at its deadline.
            if process.pid:
                self._on_ready(key, process)
        elif verb in (frames.LOAD_FAILED, frames.LEAVING):
            self._note_last_words(key, verb, fields)
        elif verb == frames.RELOAD:
            self.reload_wish.note()
        elif verb == frames.REFUSED:
            line = self._refusals.line(process.number, fields, time.monotonic())
            if line is not None:
                self._output.emit(line)
        elif verb == frames.RETIRING and self._ledger.workers[key].state is WorkerState.READY:
            reason = fields.get("reason", "")[:40]
            self._output.emit(f"event=worker_retiring slot={process.number} reason={reason!r}")
            self._ledger.set_worker(key, state=WorkerState.RETIRING)

    def ask_for_reload(self) -> None:
        """Ask the emperor, if it is time."""
        if self.reload_wish.is_due(time.monotonic()):
            self._tell(AskForReload())

    def _on_ready(self, key: tuple[int, int], process: WorkerProcess) -> None:
        complaint = ""
        if process.probe is not None:
            self._loop.unwatch(process.probe.fd)
            complaint = process.probe.complaint()
        if complaint:
            self._give_up(key[0], Failure(kind="health", message=complaint))
            return
        if process.probe is not None:
            with contextlib.suppress(OSError):  # gone already: its exit says more
                packets.send(process.channel, frames.encode(frames.SERVE))
        self._ledger.set_worker(key, state=WorkerState.READY, deadline=None)
        number = key[0]
        is_new = self._ledger.crews[number].role is Role.BUILDING
        # The second one is forked only when `loaded` has had its effect.
        if is_new and self._is_lazy(number) and len(self._ledger.workers_of(number)) == 1:
            self._loaded(number)

    def _release(self, number: int, process: WorkerProcess) -> None:
        self._loop.unwatch(process.channel.fileno())
        if process.probe is not None:
            self._loop.unwatch(process.probe.fd)
        self._ledger.forces[number].release(process.number)

    def _adopt(self, number: int, process: WorkerProcess, pid: int) -> None:
        """Take the worker that said hello; `pid` is the kernel's word. It must be our child."""
        if process.pid or pid <= 1:
            return
        for force in self._ledger.forces.values():
            mold = force.mold
            taken = {other.pid for other in force.processes.values()}
            if pid in taken or (mold is not None and mold.pid == pid):
                return
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return  # gone already, or out of descriptors: its deadline ends it
        try:
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            os.close(pidfd)
            return
        process.pid, process.pidfd = pid, pidfd

    def _on_silent(self, number: int, process: WorkerProcess) -> None:
        """Its channel ended. A worker that we know as a child is reaped when it exits."""
        self._loop.unwatch(process.channel.fileno())
        if not process.pid:
            self.on_exit(number, process, None, None)

    def stop(self, number: int, worker: int) -> None:
        crew = self._ledger.crews[number]
        process = self._ledger.forces[number].processes[worker]
        try:
            packets.send(process.channel, frames.encode(frames.STOP))
        except OSError:
            pass  # gone already, or not reading: the deadline decides
        starting = self._ledger.workers[number, worker].state is WorkerState.STARTING
        if starting and process.pidfd >= 0 and self._is_lazy(number):
            # While it loads the application it reads nothing: this ends it, and later, when
            # there may be a request, does what STOP does.
            send_signal(process.pidfd, signal.SIGTERM)
        self._ledger.set_worker(
            (number, worker),
            state=WorkerState.STOPPING,
            deadline=time.monotonic() + crew.stop_timeout_s,
        )

    def kill(self, number: int, worker: int) -> None:
        key = (number, worker)
        process = self._ledger.forces[number].processes[worker]
        reason = crews.reason_of_kill(self._ledger.workers[key])
        self._ledger.killed_for[key] = reason
        self._output.emit(f"event=worker_killed slot={worker} pid={process.pid} reason={reason}")
        if process.pidfd < 0:
            # It never said hello, so its pid is unknown: the mold hangs in the fork.
            self.on_exit(number, process, None, None)
            self._replace_mold(number)
            return
        self._ledger.forces[number].hold_clients(worker)
        send_signal(process.pidfd, SIGKILL)
        self._ledger.set_worker(key, deadline=time.monotonic() + 1.0)
        if reason == "stopped":
            message = f"worker {worker} killed: a signal had stopped it, it accepted nothing"
            failure = self._ledger.note(Failure(kind="crash", message=message, signal=SIGKILL))
            self._tell(WorkerDied(worker=worker, failure=failure))

    def notice_stops(self) -> None:
        """See whether a signal has stopped workers, or let them go on."""
        for key, record in list(self._ledger.workers.items()):
            force = self._ledger.forces[key[0]]
            process = force.processes[key[1]]
            is_stopped = take_stop(process.pidfd) if process.pidfd >= 0 else None
            if is_stopped is not None and key not in self._ledger.killed_for:
                rows = force.readings([key[1]])
                is_busy = any(row.state in scoreboard.RUNNING for row in rows)
                now = time.monotonic()
                self._ledger.workers[key] = crews.stopped(record, is_stopped, is_busy, now)

    def on_exit(
        self, number: int, process: WorkerProcess, exit_status: int | None, signum: int | None
    ) -> None:
        key = (number, process.number)
        self._hear_out(number, process)
        last_words = self._last_words.pop(key, None)
        left_for = self._left_for.pop(key, "")
        worker = self._ledger.workers.pop(key)
        crew = self._ledger.crews[number]
        reason = self._ledger.killed_for.pop(key, "")
        request = self._request_of(number, process.number)
        self._answer_held(number, process, reason)
        self._ledger.close_account(number, process.number)
        probed = process.probe
        self._release(number, process)
        planned = bool(reason) or crews.was_to_end(worker, bool(left_for), exit_status)
        self._ledger.crews[number] = crews.death(crew, worker, time.monotonic(), planned)
        if left_for:
            self._output.emit(f"event=worker_left slot={process.number} reason={left_for!r}")
        left_early = planned and bool(left_for) and not reason and crews.is_on_trial(crew, worker)
        if planned and not left_early and worker.state is not WorkerState.STARTING:
            return
        self._output.drain()
        failure = self._death(number, process, reason, exit_status, signum, request)
        if left_early:
            message = escaped(f"worker {process.number} left: {left_for}{request}")
            failure = Failure(kind="crash", message=message)
        elif last_words is not None and not reason:
            failure = last_words
        elif probed is not None and worker.state is WorkerState.STARTING:
            failure = unanswered(probed.health, reason, failure)
        self._ledger.count_death()
        if crew.role is Role.BUILDING:
            self._give_up(number, failure)
        elif crew.role is Role.SERVING:
            failure = self._ledger.note(failure)
            self._tell(WorkerDied(worker=process.number, failure=failure))
            if crew.settled_at is not None:
                self._count_crash(number, failure)
            elif self._ledger.is_hopeless(number, self._ledger.crews[number].deaths):
                self._give_up(number, failure)

    def _answer_held(self, number: int, process: WorkerProcess, reason: str) -> None:
        """Tell the clients that a kill took the worker from, now that it cannot answer itself."""
        for reading, answered in self._ledger.forces[number].answer_held(process.number):
            self._output.emit(
                f"event=request_lost slot={process.number} pid={process.pid} reason={reason} "
                f"method={reading.method} uri={reading.uri!r} "
                f"answered={'503' if answered else 'no'}"
            )

    def _is_lazy(self, number: int) -> bool:
        return self._ledger.forces[number].generation.lazy_apps

    def _hear_out(self, number: int, process: WorkerProcess) -> None:
        """Read its last words, as its exit may be known before them: why it could not load the
        application, or why it leaves."""
        for _ in range(LAST_FRAMES_MAX):
            try:
                packet = packets.receive(process.channel)
                packets.close_all(packet.fds)
                verb, fields = frames.decode(packet.data)
            except (packets.PeerGone, OSError, frames.FrameError):
                return
            self._note_last_words((number, process.number), verb, fields)

    def _note_last_words(self, key: tuple[int, int], verb: str, fields: dict[str, str]) -> None:
        """Remember why a worker could not load the application, or leaves; ignore all else."""
        if verb == frames.LOAD_FAILED:
            self._last_words[key] = not_loaded(self._ledger.forces[key[0]].generation, fields)
        elif verb == frames.LEAVING:
            self._left_for[key] = fields.get("reason", "")[:80]

    def _count_crash(self, number: int, failure: Failure) -> None:
        """A worker of a generation that has not settled died: at last the one before returns."""
        crashes = self._ledger.crews[number].crashes + 1
        self._ledger.set_crew(number, crashes=crashes)
        if crashes >= crews.CRASHES_MAX:
            self._give_up(number, failure)

    def _death(
        self,
        number: int,
        process: WorkerProcess,
        reason: str,
        exit_status: int | None,
        signum: int | None,
        request: str,
    ) -> Failure:
        """Return why a worker died that was not told to."""
        worker = process.number
        kind, message = reason or "crash", f"worker {worker} was not ready within spawn_timeout"
        if not reason:
            how = f"signal {signum}" if signum else f"exit status {exit_status}"
            if not process.pid:
                how = (
                    "right behind its fork"  # it has not said hello: which child it was is unknown
                )
            message = f"worker {worker} died ({how}){request}"
        kills = self._oom.killed(time.time()) if signum == SIGKILL and not reason else 0
        if kills:
            limit = as_size(self._ledger.forces[number].generation.memory_max_bytes)
            message = (
                f"worker {worker} killed: memory_max={limit} reached "
                f"({times_today(kills)}){request}"
            )
            kind = "memory"
            self._output.emit(
                f"event=worker_killed slot={worker} pid={process.pid} reason=memory: {message}"
            )
        return Failure(kind=kind, message=message, exit_status=exit_status, signal=signum)

    def _request_of(self, number: int, worker: int) -> str:
        """Return what the worker was at, for people: " in GET /report", or nothing."""
        for row in self._ledger.forces[number].readings([worker]):
            if row.state in scoreboard.RUNNING:
                return escaped(f" in {row.method} {row.uri}")
        return ""

    def on_harakiri(
        self,
        number: int,
        worker: int,
        overdue: list[Overdue],
        stacks: str,
    ) -> None:
        generation = self._ledger.forces[number].generation
        process = self._ledger.forces[number].processes[worker]
        key = (number, worker)
        again = key in self._ledger.killed_for
        self._ledger.killed_for[key] = "harakiri"
        if again:
            self._output.emit(f"event=worker_unkillable slot={worker} pid={process.pid}")
            return
        self._ledger.count_harakiri(worker)
        for reading, ran_s, answered in overdue:
            self._output.emit(
                f"event=worker_killed slot={worker} pid={process.pid} reason=harakiri "
                f"ran_s={ran_s:.3f} limit_s={generation.harakiri_s:g} method={reading.method} "
                f"uri={reading.uri!r} answered={'504' if answered else 'no'}"
            )
        for stack_line in stacks.splitlines():
            self._output.emit(f"slot={worker} stack: {stack_line}")
        reading, ran_s, _ = overdue[0]
        request = escaped(f"{reading.method} {reading.uri}")
        failure = Failure(
            kind="harakiri",
            message=f"worker {worker} killed after {ran_s:.1f} s (harakiri = "
            f"{generation.harakiri_s:g} s) in {request}",
            signal=SIGKILL,
            traceback=stacks[-8000:],
        )
        self._tell(WorkerDied(worker=worker, failure=self._ledger.note(failure)))

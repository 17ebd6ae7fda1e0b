"""The master: carries out what `crew` and `harakiri` decide for one vassal.

Its inputs are orders (methods called by the channel or by `emperor serve`), frames from
mold and workers, exits, and time. One thread, one loop, one short function per action.
"""

import math
import os
import time
from collections.abc import Callable
from enum import Enum
from functools import partial

from limits.pidfd import peek_exited, reap, send_signal
from vassal import packets
from vassal.failure import Failure
from vassal.generation import Generation
from vassal.loop import Loop
from vassal.master import crew as crews
from vassal.master.crew import Crew, MoldState, Role, Verb
from vassal.master.guard import SIGKILL, Guard
from vassal.master.idler import Idler
from vassal.master.ledger import Ledger
from vassal.master.live import change_rlimits
from vassal.master.mold_hands import Means, MoldHands, StepsFor, memory_files
from vassal.master.oom import OomWitness
from vassal.master.output import LOG_KEYS, Output, unavailable
from vassal.master.pidfile import PidFile, in_output
from vassal.master.scaler import Scaler
from vassal.master.staffing import Staffing
from vassal.master.stats_server import StatsServer
from vassal.master.stats_view import statistics
from vassal.master.worker_hands import WorkerHands
from vassal.master.workforce import Workforce
from vassal.messages import (
    MEMORY_EVENTS,
    ChangeLimits,
    Description,
    GenerationFailed,
    GenerationReady,
    GenerationServes,
    LimitsChanged,
    Message,
)
from vassal.runtime.held_memory import HeldMemory


class MasterState(Enum):
    """What the master is about."""

    WAITING = "waiting"  # no generation was asked for yet
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"  # nothing left to wait for


class Master:
    """One vassal's generations. `tell` receives every message for the emperor; `steps_for`
    gives the limits that a mold is put under, and what of them is unsupported."""

    def __init__(
        self,
        loop: Loop,
        output: Output,
        means: Means,
        tell: Callable[[Message], None],
        steps_for: StepsFor,
    ) -> None:
        self._output = output
        self._tell = tell
        self.ledger = Ledger(output)
        self.staffing = Staffing(self.ledger, tell)
        self._pidfile = PidFile(in_output(output.emit))
        watched = memory_files(means.cgroup)
        self._cgroup_memory = HeldMemory(*watched) if watched else None
        self._molds = MoldHands(
            loop,
            self.ledger,
            means,
            steps_for,
            tell,
            self._give_up,
            self._on_fork_failed,
            self._close,
        )
        self._hands = WorkerHands(
            loop,
            self.ledger,
            tell,
            self._give_up,
            self._molds.replace,
            self._molds.finish,
            OomWitness(means.cgroup.get(MEMORY_EVENTS)),
        )
        self._stats = StatsServer(loop, partial(statistics, self.ledger))
        self.state = MasterState.WAITING

    # ── orders from outside ──────────────────────────────────────────────────────────

    def start_generation(self, generation: Generation, listeners: list[int]) -> None:
        """Begin to build `generation`; takes the listeners over. Supersedes one under way.

        A number that is not higher than all before is no order of this emperor's: ignored.
        """
        if self.state is MasterState.STOPPING or generation.number <= self.ledger.newest:
            packets.close_all(listeners)
            return
        self.ledger.newest = generation.number
        self.ledger.changed()
        self.state = MasterState.RUNNING
        for crew in list(self.ledger.crews.values()):
            if crew.role is Role.BUILDING:
                self._drain(crew.number)
        before = self.ledger.serving()
        problems = self._output.configure(generation.log)
        for problem in problems.values():
            self._output.emit(unavailable(problem))
        for key in LOG_KEYS:
            self.ledger.complain(key, problems.get(key, ""))
        self._output.forget_tail()
        number = generation.number
        force = Workforce(generation, listeners)
        self.ledger.forces[number] = force
        self.ledger.guards[number] = Guard(force, partial(self._hands.on_harakiri, number))
        scaler = Scaler(force, self._cgroup_memory, before.wanted if before is not None else None)
        self.ledger.scalers[number] = scaler
        self.ledger.idlers[number] = Idler(generation.idle_stop_s, time.monotonic())
        self.ledger.crews[number] = Crew(
            number=number,
            role=Role.BUILDING,
            wanted=scaler.scale.wanted,
            spawn_timeout_s=generation.spawn_timeout_s,
            stop_timeout_s=generation.stop_timeout_s,
            max_unavailable=generation.max_unavailable,
            settle_s=generation.settle_s,
        )

    def stop(self, timeout_s: float) -> None:
        """Drain everything within `timeout_s`; `state` becomes DONE when nothing is left.

        Said again with less time, it hurries those that are stopping already.
        """
        if self.state is not MasterState.STOPPING:
            self.ledger.changed()
        self.state = MasterState.STOPPING
        self._stats.close()
        ledger = self.ledger
        for number, crew in list(ledger.crews.items()):
            bounded = min(crew.stop_timeout_s, timeout_s)
            ledger.set_crew(number, stop_timeout_s=bounded)
            latest = time.monotonic() + bounded
            for worker in ledger.workers_of(number):
                if worker.deadline is not None and worker.deadline > latest:
                    ledger.set_worker((number, worker.number), deadline=latest)
            self._drain(number)

    def stand_by(self) -> None:
        """Let another master serve: its workers go when they have finished, its mold stays."""
        building, serving = self.ledger.building(), self.ledger.serving()
        if building is not None:
            self._drain(building.number)
        if serving is not None:
            self._put_by(serving)
            self._stats.close()

    def resume(self) -> None:
        """Serve again with the generation that stands by, if another master was to serve."""
        standby = self.ledger.standby()
        if standby is not None and self.ledger.serving() is None:
            self._serve_again(standby)

    def change_limits(self, order: ChangeLimits) -> None:
        """Put what runs under other rlimits, and what will be started too."""
        pids, are_others = [], False
        for force in self.ledger.forces.values():
            are_others |= force.change_limits(order.rlimits, order.memory_max_bytes)
            pids += force.pids()
        failed = change_rlimits(pids, order.rlimits)
        if are_others or failed:  # every new brain tells all masters what it has read
            why = f" needs_generation={'; '.join(failed)!r}" if failed else ""
            self._output.emit(f"event=limits_changed{why}")
        self._tell(LimitsChanged(failed=failed))

    def reopen_logs(self, rotate: bool = False) -> None:
        """Follow a rotation of the log from outside, or rotate it now."""
        if rotate:
            self._output.rotate()
        else:
            self._output.reopen()

    def write_pidfile(self) -> None:
        """Write the file with the pid anew."""
        generation = self.serving_generation()
        if generation is not None:
            self._pidfile.keep(generation.pidfile, generation.master_pid or os.getpid())
            self.ledger.complain("pidfile", self._pidfile.problem)

    def serving_generation(self) -> Generation | None:
        """Return what serves now."""
        serving = self.ledger.serving()
        return self.ledger.forces[serving.number].generation if serving is not None else None

    def describe(self) -> Description:
        """Return the whole state, for status and for an emperor that was started anew."""
        return self.ledger.describe(self.state.value)

    # ── one turn ─────────────────────────────────────────────────────────────────────

    def act(self) -> float | None:
        """Do everything that is due; return how many seconds nothing more will be due."""
        now_ns = time.monotonic_ns()
        for guard in list(self.ledger.guards.values()):
            if guard.look_at_ns is not None and now_ns >= guard.look_at_ns:
                guard.look(now_ns)
        self.staffing.look()
        for order in self._orders():
            self._carry_out(order)
        self._hands.ask_for_reload()
        self._stats.look(now_ns / 1e9)
        if self.state is MasterState.STOPPING and self._is_empty():
            self.state = MasterState.DONE
            self._pidfile.remove()
        return self._sleep_s()

    def _is_empty(self) -> bool:
        return not self.ledger.crews and self._molds.hooks.is_idle

    def reap(self) -> None:
        """Collect every child that ended; unknown ones are orphans of the tenant."""
        hooks = self._molds.hooks
        while (exited := peek_exited()) is not None:
            is_command = hooks.owns(exited.pid)
            reap(exited.pid)
            if is_command:
                hooks.on_exit(exited.pid, exited.exit_status, exited.signal)
            for number, force in list(self.ledger.forces.items()):
                if force.mold is not None and force.mold.pid == exited.pid:
                    self._molds.on_exit(number, exited.exit_status, exited.signal)
                for process in list(force.processes.values()):
                    if process.pid == exited.pid:
                        self._hands.on_exit(number, process, exited.exit_status, exited.signal)
        self._hands.notice_stops()

    def _orders(self) -> list[crews.Order]:
        ledger = self.ledger
        return crews.next_orders(ledger.crews, ledger.workers.values(), time.monotonic())

    def _sleep_s(self) -> float | None:
        if self.state is MasterState.DONE:
            return 0.0
        now_ns = time.monotonic_ns()
        looks = [
            guard.look_at_ns
            for guard in self.ledger.guards.values()
            if guard.look_at_ns is not None
        ]
        others = (self._stats.look_at, self._hands.reload_wish.at, *self.staffing.next_looks())
        for when in others:
            if when is not None:
                looks.append(int(when * 1e9))
        at = crews.next_look(self.ledger.crews.values(), self.ledger.workers.values(), now_ns / 1e9)
        if at is not None:
            looks.append(int(at * 1e9))
        if not looks:
            return None
        # epoll counts whole milliseconds; upwards, because waking early would spin.
        return math.ceil(max(0, min(looks) - now_ns) / 1e6) / 1e3

    def _carry_out(self, order: crews.Order) -> None:
        action = {
            Verb.START_MOLD: self._molds.start,
            Verb.DUMP_MOLD: self._molds.dump,
            Verb.GIVE_UP: self._molds.give_up_slow,
            Verb.REPLACE_MOLD: self._molds.replace,
            Verb.FORK: self._hands.fork,
            Verb.PROMOTE: self._promote,
            Verb.SETTLE: self._settle,
            Verb.CLEAR: self._molds.clear,
            Verb.END_HOOK: self._molds.end_command,
            Verb.CLOSE: self._close,
        }.get(order.verb)
        if action is not None:
            action(order.generation)
        elif order.verb is Verb.STOP_WORKER:
            self._hands.stop(order.generation, order.worker)
        else:
            self._hands.kill(order.generation, order.worker)

    # ── generations ──────────────────────────────────────────────────────────────────

    def _on_fork_failed(self, number: int, fields: dict[str, str]) -> None:
        self._hands.on_fork_failed(number, fields)

    def _promote(self, number: int) -> None:
        """The generation serves; what served before stands by until this one has settled."""
        ledger = self.ledger
        before, generation = ledger.serving(), ledger.forces[number].generation
        if before is not None:
            self._put_by(before)
        ledger.changed()
        settles = before is not None or generation.beside
        settled_at = time.monotonic() + ledger.crews[number].settle_s if settles else None
        ledger.set_crew(number, role=Role.SERVING, settled_at=settled_at)
        self._show_who_serves()
        if not settles:
            self._settle(number)
        elif before is None:
            self._tell(
                GenerationServes(
                    number=number,
                    fingerprint=generation.fingerprint,
                    settle_s=ledger.crews[number].settle_s,
                )
            )

    def _put_by(self, serving: Crew) -> None:
        """What serves stands by from now on, and what stood by goes."""
        self._drain_standby()
        # Should it have to serve again, it does, even if it was paused.
        wanted = serving.wanted or self.ledger.scalers[serving.number].scale.wanted
        self.ledger.set_crew(serving.number, role=Role.STANDBY, wanted=wanted)

    def _serve_again(self, standby: Crew) -> None:
        self.ledger.set_crew(standby.number, role=Role.SERVING, deaths=0, fork_at=0.0)
        self._show_who_serves()

    def _show_who_serves(self) -> None:
        """Write the pidfile, and tell statistics where the generation that serves asks for it.

        Not before it serves: a successor that fails must leave the first master's file alone.
        """
        self.write_pidfile()
        serving = self.ledger.serving()
        if serving is not None:
            force = self.ledger.forces[serving.number]
            protocols = [listener.protocol for listener in force.generation.stats]
            self._stats.listen(protocols, force.stats_listeners)

    def _settle(self, number: int) -> None:
        self.ledger.set_crew(number, settled_at=None)
        self.ledger.changed()
        self._drain_standby()
        fingerprint = self.ledger.forces[number].generation.fingerprint
        self._tell(GenerationReady(number=number, fingerprint=fingerprint))

    def _drain_standby(self) -> None:
        standby = self.ledger.standby()
        if standby is not None:
            self._drain(standby.number)

    def _give_up(self, number: int, failure: Failure) -> None:
        """End a generation; the one that served before it serves on, or again."""
        self._output.drain()
        ledger = self.ledger
        ledger.changed()
        failure = ledger.note(failure)
        standby, given_up = ledger.standby(), ledger.crews[number]
        if given_up.role is Role.SERVING and standby is not None:
            self._serve_again(standby)
        self._drain(number)
        serving = ledger.serving() is not None
        self._tell(
            GenerationFailed(
                number=number,
                fingerprint=ledger.forces[number].generation.fingerprint,
                failure=failure,
                serving=serving,
            )
        )
        if not serving:
            # Nothing of this vassal is left to wait for: the emperor starts a new master, or
            # lets the one beside this serve.
            has_settled = given_up.role is Role.SERVING and given_up.settled_at is None
            is_beside = ledger.forces[number].generation.beside and not has_settled
            self.stop(given_up.stop_timeout_s if is_beside else 0.5)

    def _drain(self, number: int) -> None:
        self.ledger.set_crew(number, role=Role.DRAINING)
        if self.ledger.crews[number].mold not in {MoldState.CLOSED, MoldState.CLEARING}:
            self._molds.hooks.forget(number)
            self.ledger.set_crew(number, mold=MoldState.CLOSED)
            mold = self.ledger.forces[number].mold
            if mold is not None:
                send_signal(mold.pidfd, SIGKILL)

    def _close(self, number: int) -> None:
        self._molds.forget(number)
        self.ledger.forces.pop(number).close()
        ledger = self.ledger
        del ledger.crews[number], ledger.guards[number]
        del ledger.scalers[number], ledger.idlers[number]

"""Harakiri's hands: looks at a scoreboard when something can be due, warns, dumps, kills.

What is due and when to look again is decided in `vassal.harakiri`.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from limits.pidfd import send_signal
from vassal import harakiri
from vassal.generation import Generation
from vassal.master.lines import sanitize
from vassal.master.rescue import answer_timeout
from vassal.master.workforce import WorkerProcess, Workforce
from vassal.runtime import scoreboard
from vassal.runtime.scoreboard import SlotReading
from vassal.runtime.signals import SOFT_HARAKIRI_SIGNAL, STACK_DUMP_SIGNAL

DUMP_BYTES_MAX = 64 * 1024
SIGKILL = 9

_OVERDUE = frozenset({harakiri.Stage.DUMPED, harakiri.Stage.KILLED})

OUR_FRAMES = ('File "<emperord>', 'File "<string>"')
"""How stack lines of the runtime begin: they are the same in every dump."""


class Overdue(NamedTuple):
    """A request that its worker was killed for."""

    request: SlotReading
    ran_s: float
    answered: bool  # 504 was sent


OnKill = Callable[[int, list[Overdue], str], None]
"""(worker number, its overdue requests, stacks)."""


class Guard:
    """Watches one generation's requests. Never polls: see `look_at_ns`."""

    def __init__(self, workforce: Workforce, on_kill: OnKill) -> None:
        self._workforce = workforce
        self._on_kill = on_kill
        self._limits = limits_of(workforce.generation)
        self._watched: dict[int, harakiri.Watched] = {}
        self._owners: dict[int, WorkerProcess] = {}
        self._flag_raised = False
        self.look_at_ns: int | None = 0
        """When to call `look` next; None = when a worker says so."""

    def wake(self) -> None:
        """A worker began a request or shortened its deadline: look at the next turn."""
        self._flag_raised = False
        self.look_at_ns = 0

    def look(self, now_ns: int) -> None:
        """Act on what is due at `now_ns` and set `look_at_ns`."""
        slots = self._workforce.busy_slots()
        if not slots:
            self._rest(now_ns)
            return
        self._flag_raised = False
        scoreboard.lower_wake_flag(self._workforce.memory)
        expected_ns = self.look_at_ns or None
        verdict = harakiri.review(
            map(self._request, slots), self._still_true(slots), self._limits, now_ns, expected_ns
        )
        self._watched = dict(verdict.watched)
        for slot in verdict.warn:
            self._signal(slot, SOFT_HARAKIRI_SIGNAL)
        for slot in verdict.dump:
            self._signal(slot, STACK_DUMP_SIGNAL)
        self._kill(verdict.kill, now_ns)
        self.look_at_ns = verdict.look_at_ns

    def _rest(self, now_ns: int) -> None:
        """Nothing runs: sleep until a worker wakes us.

        The worker's store of its slot and its load of the flag may pass each other, so
        one more look follows after the limit; what that race hid cannot be due earlier.
        """
        self._watched = {}
        # Without a limit for all only a request that asks for one is looked at, and says so.
        if self._flag_raised or not self._limits.limit_ns:
            self.look_at_ns = None
            return
        scoreboard.raise_wake_flag(self._workforce.memory)
        self._flag_raised = True
        # A request that began before the flag was up told nobody.
        if self._workforce.busy_slots():
            self.wake()
        else:
            self.look_at_ns = now_ns + self._limits.shortest_ns

    def _still_true(self, slots: list[int]) -> dict[int, harakiri.Watched]:
        """Return what is remembered of these slots, without what a former owner ran in them.

        Every worker counts its requests from one: the ids alone would not tell them apart.
        """
        owners = {
            slot: self._workforce.processes[self._workforce.worker_of(slot)] for slot in slots
        }
        former, self._owners = self._owners, owners
        return {
            slot: watched
            for slot, watched in self._watched.items()
            if slot in owners and former.get(slot) is owners[slot]
        }

    def _request(self, slot: int) -> harakiri.Request:
        reading = scoreboard.read_slot(self._workforce.memory, slot)
        return harakiri.Request(
            slot, reading.request_id, reading.deadline_ns, reading.soft_deadline_ns
        )

    def _signal(self, slot: int, signum: int) -> None:
        process = self._workforce.processes[self._workforce.worker_of(slot)]
        if process.pidfd >= 0:
            send_signal(process.pidfd, signum)

    def _kill(self, slots: tuple[int, ...], now_ns: int) -> None:
        """Kill the workers of these slots, each once for all of its threads that are overdue."""
        doomed = {self._workforce.worker_of(slot) for slot in slots}
        overdue: dict[int, list[Overdue]] = {}
        for slot, watched in self._watched.items():
            number = self._workforce.worker_of(slot)
            if number not in doomed or watched.stage not in _OVERDUE:
                continue
            process = self._workforce.processes[number]
            reading = scoreboard.read_slot(self._workforce.memory, slot)
            if process.pidfd < 0 or reading.request_id != watched.request_id:
                continue
            # Before any kill: no descriptor can be fetched from a process that is dying.
            answered = answer_timeout(process.pidfd, reading)
            ran_s = max(0.0, (now_ns - reading.started_ns) / 1e9)
            overdue.setdefault(number, []).append(Overdue(reading, ran_s, answered))
            # One that is only a moment behind would be killed for again.
            self._watched[slot] = replace(watched, stage=harakiri.Stage.KILLED, stage_at_ns=now_ns)
        for number, requests in overdue.items():
            process = self._workforce.processes[number]
            self._workforce.hold_clients(number, {late.request.index for late in requests})
            send_signal(process.pidfd, SIGKILL)
            self._on_kill(number, requests, read_dump(process.dump_fd))


def limits_of(generation: Generation) -> harakiri.Limits:
    """Return the limits of a generation's requests."""
    limit_ns = int(generation.harakiri_s * 1e9)
    return harakiri.Limits(
        limit_ns=limit_ns,
        limit_max_ns=max(limit_ns, int(generation.harakiri_max_s * 1e9)),
        soft_ns=int(generation.harakiri_soft_s * 1e9),
    )


def read_dump(fd: int) -> str:
    """Return the tenant's part of the stacks that the worker wrote; empty when it wrote none."""
    try:
        raw = os.read(fd, DUMP_BYTES_MAX)
    except BlockingIOError:
        return ""
    lines = (sanitize(line) for line in raw.splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith(OUR_FRAMES))

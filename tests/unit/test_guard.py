"""Harakiri's hands over a scoreboard in plain memory; the signals are written down."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from vassal.generation import Generation
from vassal.master import guard as guards
from vassal.master.guard import Guard
from vassal.runtime import scoreboard
from vassal.runtime.signals import STACK_DUMP_SIGNAL

S = 1_000_000_000


class Force:
    """What a guard asks of a workforce; its one worker has one slot, or more."""

    def __init__(self, harakiri_s: float = 10.0, threads: int = 1) -> None:
        self.generation = Generation(
            vassal="blog",
            number=1,
            fingerprint="",
            app="",
            directory="",
            python="",
            harakiri_s=harakiri_s,
            threads=threads,
        )
        self.memory = memoryview(bytearray(scoreboard.size_for(threads)))
        self.processes: dict[int, Any] = {}
        self.held: list[list[int]] = []
        self.replace_worker()

    def replace_worker(self) -> None:
        self.processes[1] = SimpleNamespace(pidfd=77, dump_fd=78, pid=5)
        limit_ns = int(self.generation.harakiri_s * S)
        self.slots = []
        for slot in range(self.generation.threads):
            scoreboard.claim_slot(self.memory, slot, 1)
            self.slots.append(scoreboard.SlotWriter(self.memory, slot, limit_ns, 0))

    def begin(self, now_ns: int, slot: int = 0) -> bool:
        return self.slots[slot].begin(now_ns, b"GET", b"/%d" % slot, 5, 0)

    def busy_slots(self) -> list[int]:
        slots = range(self.generation.threads)
        return [
            slot for slot in slots if scoreboard.read_state(self.memory, slot) == scoreboard.IN_APP
        ]

    def hold_clients(self, number: int, but: set[int]) -> None:
        self.held.append([slot for slot in self.busy_slots() if slot not in but])

    def worker_of(self, slot: int) -> int:
        return slot // self.generation.threads + 1


class Watch:
    """A guard over `force`, and what it did: (time, signal) pairs."""

    def __init__(self, force: Force, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[int, int]] = []
        self.kills: list[float] = []
        self.overdue: list[list[str]] = []
        self.now_ns = 0
        monkeypatch.setattr(guards, "send_signal", self._send)
        monkeypatch.setattr(guards, "answer_timeout", lambda pidfd, reading: True)
        monkeypatch.setattr(guards, "read_dump", lambda fd: "")
        self.guard = Guard(force, self._on_kill)  # type: ignore[arg-type]

    def _on_kill(self, number: int, overdue: list[guards.Overdue], stacks: str) -> None:
        self.kills.append(overdue[0].ran_s)
        self.overdue.append([request.request.uri for request in overdue])

    def _send(self, pidfd: int, number: int) -> bool:
        self.sent.append((self.now_ns, number))
        return True

    def run_until(self, end_ns: int) -> None:
        """Look whenever the guard asked for it, exactly on time."""
        while self.guard.look_at_ns is not None and self.guard.look_at_ns <= end_ns:
            self.now_ns = max(self.now_ns, self.guard.look_at_ns)
            self.guard.look(self.now_ns)
        self.now_ns = end_ns


def test_overdue_request_is_dumped_and_killed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    force = Force()
    watch = Watch(force, monkeypatch)
    watch.guard.look(0)
    watch.now_ns = 1 * S
    assert force.begin(watch.now_ns)
    watch.guard.wake()
    watch.run_until(11 * S + S // 2)
    assert [number for _, number in watch.sent] == [STACK_DUMP_SIGNAL, guards.SIGKILL]
    assert watch.sent[0][0] == 11 * S
    assert watch.kills == [pytest.approx(10.01)]


def test_worker_whose_threads_are_overdue_together_is_killed_once_for_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    force = Force(threads=3)
    watch = Watch(force, monkeypatch)
    force.begin(0, slot=0)
    force.begin(S // 1000, slot=1)  # a millisecond later, in the time that the dump has
    watch.run_until(5 * S)
    force.begin(watch.now_ns, slot=2)
    watch.run_until(10 * S + S // 2)
    assert [number for _, number in watch.sent].count(guards.SIGKILL) == 1
    assert watch.overdue == [["/0", "/1"]]
    assert force.held == [[2]], "it has done nothing wrong"


def test_first_request_of_a_new_worker_does_not_pay_for_its_predecessor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    force = Force()
    watch = Watch(force, monkeypatch)
    force.begin(0)
    watch.run_until(10 * S + S // 10)
    assert len(watch.kills) == 1
    force.replace_worker()
    force.begin(watch.now_ns)
    watch.run_until(20 * S)
    assert len(watch.kills) == 1, "killed before its time"
    watch.run_until(21 * S)
    assert len(watch.kills) == 2


def test_worker_that_does_not_die_is_killed_again_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    force = Force()
    watch = Watch(force, monkeypatch)
    force.begin(0)
    watch.run_until(13 * S + S // 2)
    kills = [at for at, number in watch.sent if number == guards.SIGKILL]
    assert [later - earlier for earlier, later in pairwise(kills)] == [S] * 3


def test_idle_vassal_is_not_looked_at_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    force = Force()
    watch = Watch(force, monkeypatch)
    watch.guard.look(0)
    assert watch.guard.look_at_ns == 10 * S
    watch.run_until(10 * S)
    assert watch.guard.look_at_ns is None
    assert force.begin(50 * S), "the request wakes the master"

"""When a worker that has grown goes, before memory_max is reached."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vassal.runtime import scoreboard
from vassal.runtime.held_memory import HeldMemory
from vassal.runtime.recycling import (
    ASK,
    GROWN_BYTES,
    LEAVE,
    LOOK_S,
    NEAR,
    MemoryWatch,
)

LIMIT = 100 * 1024 * 1024


class Own:
    """A watch whose process has the size that the test says."""

    def __init__(self, folder: Path, fraction: float) -> None:
        self.current, self.stat = folder / "memory.current", folder / "memory.stat"
        self.say(0)
        self.fds = [os.open(path, os.O_RDONLY) for path in (self.current, self.stat)]
        self.memory = mmap.mmap(-1, scoreboard.size_for(1))
        scoreboard.set_memory_max(self.memory, LIMIT)
        self.watch = MemoryWatch(HeldMemory(*self.fds), self.memory, fraction)
        self.start = self.watch._own_at_start
        self.grow(GROWN_BYTES + 1)

    def say(self, size_bytes: float, of_files: int = 0) -> None:
        self.current.write_text(f"{int(size_bytes)}\n")
        self.stat.write_text(
            f"anon {int(size_bytes) - of_files}\nfile {of_files}\nworkingset_activate_file 7\n"
            f"inactive_file {of_files // 2}\nactive_file {of_files - of_files // 2}\n"
        )

    def close(self) -> None:
        self.watch.close()
        self.memory.close()
        for fd in self.fds:
            os.close(fd)

    def grow(self, size_bytes: int) -> None:
        self.watch._own_bytes = lambda: self.start + size_bytes  # type: ignore[method-assign]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    one = Own(tmp_path, 0.0)
    yield one
    one.close()


def test_worker_that_has_grown_goes_near_the_limit(own: Own) -> None:
    own.say(LIMIT * ASK[0] - 1)
    assert not own.watch.is_time(0.0)
    own.say(LIMIT * ASK[0])
    assert own.watch.is_time(LOOK_S)


def test_worker_that_has_not_grown_stays(own: Own) -> None:
    own.say(LIMIT)
    own.grow(GROWN_BYTES)
    assert not own.watch.is_time(0.0)


def test_it_looks_only_now_and_then(own: Own) -> None:
    assert not own.watch.is_time(0.0)
    own.say(LIMIT)
    assert not own.watch.is_time(LOOK_S * 0.9)
    assert own.watch.is_time(LOOK_S)


def test_near_the_limit_it_looks_whenever_more_is_in_use(own: Own) -> None:
    own.say(LIMIT * NEAR)
    assert not own.watch.is_time(0.0)
    own.say(LIMIT * (NEAR + 0.001))
    own.grow(0)
    assert not own.watch.is_time(0.001)
    own.say(LIMIT)
    own.grow(GROWN_BYTES + 1)
    assert own.watch.is_time(0.002)


def test_pages_of_files_do_not_count_and_are_not_looked_at_each_time(own: Own) -> None:
    own.say(LIMIT, of_files=LIMIT // 2)
    assert not own.watch.is_time(0.0)
    own.say(LIMIT)
    assert not own.watch.is_time(LOOK_S * 0.9)
    assert own.watch.is_time(LOOK_S)


def test_who_has_asked_for_a_successor_waits_for_the_last_mark(own: Own) -> None:
    own.say(LIMIT * (LEAVE[0] - 0.01))
    assert own.watch.is_time(0.0)
    own.watch.wait_for_last_mark()
    assert not own.watch.is_time(LOOK_S)
    own.say(LIMIT * LEAVE[0])
    assert own.watch.is_time(LOOK_S * 2)


def test_limit_that_was_changed_or_taken_away_counts_at_once(own: Own) -> None:
    own.say(LIMIT)
    scoreboard.set_memory_max(own.memory, LIMIT * 2)
    assert not own.watch.is_time(0.0)
    scoreboard.set_memory_max(own.memory, 0)
    assert not own.watch.is_time(1.0)
    scoreboard.set_memory_max(own.memory, LIMIT)
    assert own.watch.is_time(2.0)


def test_workers_have_marks_of_their_own(tmp_path: Path) -> None:
    late = Own(tmp_path, 0.999)
    late.say(LIMIT * (ASK[1] - 0.01))
    assert not late.watch.is_time(0.0)
    late.say(LIMIT * ASK[1])
    assert late.watch.is_time(1.0)
    late.close()

"""Whether the kernel killed a worker for want of memory."""

from pathlib import Path

from vassal.master.oom import OomWitness, as_size, times_today

NOON = 86400.0 * 20000 + 43200.0


def events(folder: Path, oom_kill: int) -> Path:
    path = folder / "memory.events"
    path.write_text(f"low 0\nhigh 0\nmax 9\noom {oom_kill}\noom_kill {oom_kill}\n")
    return path


def test_kill_is_seen_once_and_counted_by_the_day(tmp_path: Path) -> None:
    with events(tmp_path, 2).open("rb") as file:
        witness = OomWitness(file.fileno())
        assert witness.killed(NOON) == 0  # what was before this master
        events(tmp_path, 3)
        assert witness.killed(NOON) == 1
        assert witness.killed(NOON) == 0
        events(tmp_path, 5)
        assert witness.killed(NOON + 60) == 3
        events(tmp_path, 6)
        assert witness.killed(NOON + 86400) == 1


def test_without_a_limit_nobody_is_killed_for_it() -> None:
    assert OomWitness(None).killed(NOON) == 0


def test_cgroup_that_was_removed_is_no_kill(tmp_path: Path) -> None:
    path = tmp_path / "memory.events"
    path.write_text("")
    with path.open("rb") as file:
        assert OomWitness(file.fileno()).killed(NOON) == 0


def test_sizes_are_said_as_a_vassal_file_says_them() -> None:
    assert as_size(256 * 1024 * 1024) == "256M"
    assert as_size(1536) == "1536"
    assert as_size(0) == "0"
    assert (times_today(1), times_today(3)) == ("once today", "3 times today")

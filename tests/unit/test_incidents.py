"""What counts as an incident."""

from hypothesis import given
from hypothesis import strategies as st

from emperor.core.incidents import KEPT, MERGE_S, Counters, hits, plain, record
from emperor.status import Snapshot

NOTHING = Snapshot()


def test_counter_that_rose_is_a_hit() -> None:
    before = Counters(oom_kills=2, tasks_refused=5)
    after = Counters(oom_kills=3, tasks_refused=5)
    assert hits(before, after) == {"memory_max": 1}


def test_counter_of_a_cgroup_made_anew_counts_from_zero() -> None:
    assert hits(Counters(tasks_refused=9), Counters(tasks_refused=2)) == {"tasks_max": 2}


def test_hits_close_together_are_one_incident_with_the_latest_snapshot() -> None:
    later = Snapshot(tasks=7)
    first = record((), "memory_max", "256M", 1, NOTHING, 1000.0)
    both = record(first, "memory_max", "256M", 2, later, 1000.0 + MERGE_S)
    assert len(both) == 1
    assert (both[0].count, both[0].at, both[0].last_at) == (3, 1000.0, 1000.0 + MERGE_S)
    assert both[0].snapshot == later


def test_hit_after_the_time_or_of_another_limit_is_another_incident() -> None:
    first = record((), "memory_max", "256M", 1, NOTHING, 1000.0)
    assert len(record(first, "memory_max", "256M", 1, NOTHING, 1001.0 + MERGE_S)) == 2
    assert len(record(first, "tasks_max", "64", 1, NOTHING, 1000.0)) == 2


@given(st.lists(st.tuples(st.sampled_from(["memory_max", "tasks_max"]), st.floats(0, 1e6))))
def test_incidents_are_bounded_and_lose_no_count_until_then(
    events: list[tuple[str, float]],
) -> None:
    incidents = ()
    for key, at in sorted(events, key=lambda event: event[1]):
        incidents = record(incidents, key, "", 1, NOTHING, at)
    assert len(incidents) <= KEPT
    if len(incidents) < KEPT:
        assert sum(incident.count for incident in incidents) == len(events)


def test_reason_is_plain() -> None:
    assert plain("memory_max", "256M", 1) == (
        "memory_max=256M reached once: the kernel killed a process"
    )
    assert "tasks_max=64 reached 3 times" in plain("tasks_max", "64", 3)

"""Which requests are overdue: numbers for clocks, no processes."""

from hypothesis import given
from hypothesis import strategies as st

from vassal.harakiri import AGAIN_NS, Limits, Request, Stage, Verdict, Watched, review

S = 1_000_000_000
LIMITS = Limits(limit_ns=30 * S, limit_max_ns=30 * S)


def busy(deadline_ns: int, request_id: int = 1, soft_ns: int = 0, slot: int = 0) -> Request:
    return Request(slot, request_id, deadline_ns, soft_ns)


def follow(requests: list[Request], limits: Limits, now_ns: int, last: Verdict) -> Verdict:
    return review(requests, last.watched, limits, now_ns, last.look_at_ns)


def test_idle_vassal_is_looked_at_again_after_the_limit() -> None:
    assert review([], {}, LIMITS, 100 * S).look_at_ns == 130 * S


def test_harakiri_of_zero_looks_at_none_but_who_asks_for_it() -> None:
    off = Limits(0, 0)
    assert review([busy(0)], {}, off, 100 * S) == Verdict()
    asked = review([busy(0), busy(500 * S, slot=1)], {}, off, 100 * S)
    assert (asked.look_at_ns, set(asked.watched)) == (500 * S, {1})
    assert follow([busy(500 * S, slot=1)], off, 499 * S, asked).dump == ()
    assert follow([busy(500 * S, slot=1)], off, 500 * S, asked).dump == (1,)
    assert follow([busy(0, slot=1)], off, 500 * S, asked).look_at_ns is None


def test_next_look_is_at_the_earliest_deadline() -> None:
    verdict = review([busy(40 * S), busy(35 * S, slot=1)], {}, LIMITS, 20 * S)
    assert verdict.look_at_ns == 35 * S
    assert not verdict.kill


def test_request_is_not_touched_one_nanosecond_before_its_deadline() -> None:
    verdict = review([busy(40 * S)], {}, LIMITS, 40 * S - 1)
    assert (verdict.warn, verdict.dump, verdict.kill) == ((), (), ())


def test_overdue_request_is_dumped_first_and_killed_after_the_grace() -> None:
    first = review([busy(40 * S)], {}, LIMITS, 40 * S)
    assert (first.dump, first.kill) == ((0,), ())
    assert first.look_at_ns == 40 * S + LIMITS.dump_ns
    second = follow([busy(40 * S)], LIMITS, first.look_at_ns, first)
    assert (second.dump, second.kill) == ((), (0,))


def test_request_that_ends_during_its_dump_saves_the_worker() -> None:
    first = review([busy(40 * S)], {}, LIMITS, 40 * S)
    after = follow([busy(70 * S, request_id=2)], LIMITS, 40 * S + LIMITS.dump_ns, first)
    assert not after.kill
    assert after.watched[0].stage is Stage.SEEN


def test_killed_worker_that_does_not_die_is_killed_again_only_after_a_second() -> None:
    watched = {0: Watched(1, 10 * S, Stage.KILLED, 40 * S)}
    assert not review([busy(40 * S)], watched, LIMITS, 40 * S + AGAIN_NS - 1).kill
    assert review([busy(40 * S)], watched, LIMITS, 40 * S + AGAIN_NS).kill == (0,)


def test_far_future_deadline_is_clamped_to_the_limit_from_first_sight() -> None:
    first = review([busy(10**18)], {}, LIMITS, 10 * S)
    assert first.look_at_ns == 40 * S
    assert follow([busy(10**18)], LIMITS, 40 * S, first).dump == (0,)


def test_deadline_of_zero_in_a_busy_slot_counts_from_first_sight() -> None:
    first = review([busy(0)], {}, LIMITS, 10 * S)
    assert follow([busy(0)], LIMITS, 40 * S, first).dump == (0,)


def test_request_may_extend_itself_up_to_the_maximum() -> None:
    limits = Limits(limit_ns=30 * S, limit_max_ns=100 * S)
    first = review([busy(90 * S)], {}, limits, 10 * S)
    second = follow([busy(90 * S)], limits, 40 * S, first)
    third = follow([busy(90 * S)], limits, 70 * S, second)
    assert (second.dump, third.dump, third.look_at_ns) == ((), (), 90 * S)
    assert follow([busy(90 * S)], limits, 90 * S, third).dump == (0,)


def test_next_look_comes_no_later_than_a_request_that_starts_now_can_be_warned() -> None:
    limits = Limits(limit_ns=30 * S, limit_max_ns=30 * S, soft_ns=20 * S)
    assert review([], {}, limits, 100 * S).look_at_ns == 120 * S


def test_soft_limit_warns_once() -> None:
    limits = Limits(limit_ns=30 * S, limit_max_ns=30 * S, soft_ns=20 * S)
    request = busy(40 * S, soft_ns=30 * S)
    first = review([request], {}, limits, 10 * S)
    assert first.look_at_ns == 30 * S
    second = follow([request], limits, 30 * S, first)
    assert second.warn == (0,)
    third = follow([request], limits, 31 * S, second)
    assert (third.warn, third.look_at_ns) == ((), 40 * S)


def test_nobody_is_killed_in_the_pass_after_a_long_gap() -> None:
    first = review([busy(40 * S)], {}, LIMITS, 10 * S)
    late = follow([busy(40 * S)], LIMITS, 40 * S + 60 * S, first)
    assert (late.dump, late.kill) == ((), ())
    assert late.look_at_ns == 100 * S + AGAIN_NS
    after = follow([busy(40 * S)], LIMITS, 101 * S, late)
    assert after.dump == (0,)


def test_finishing_request_of_one_slot_does_not_clear_another() -> None:
    both = [busy(40 * S), busy(40 * S, slot=1)]
    first = review(both, {}, LIMITS, 10 * S)
    second = follow([both[1]], LIMITS, 40 * S, first)
    assert second.dump == (1,)


@given(
    start=st.integers(1, 10**12),
    looks=st.lists(st.integers(0, 10**11), max_size=30),
    deadline=st.integers(0, 2**64 - 1),
)
def test_no_verdict_is_early_and_the_next_look_is_in_the_future(
    start: int, looks: list[int], deadline: int
) -> None:
    last = Verdict()
    now = start
    first_seen = None
    for step in looks:
        now += step
        last = review([busy(deadline)], last.watched, LIMITS, now)
        first_seen = now if first_seen is None else first_seen
        due = min(deadline or 2**64, first_seen + LIMITS.limit_max_ns)
        if last.dump or last.kill:
            assert now >= due
        assert last.look_at_ns is not None
        assert last.look_at_ns > now or last.watched[0].stage is Stage.SEEN


@given(st.integers(1, 10**6), st.integers(0, 3 * 10**10))
def test_master_that_follows_look_at_kills_within_the_dump_grace(start: int, began: int) -> None:
    """The law of the module: however the request falls between looks, it is never missed."""
    begins, due = start + began, start + began + LIMITS.limit_ns
    last = review([], {}, LIMITS, start)
    for _ in range(10):
        assert last.look_at_ns is not None
        now = last.look_at_ns
        running = [busy(due)] if now >= begins else []
        last = review(running, last.watched, LIMITS, now, now)
        if last.kill:
            assert due <= now <= due + LIMITS.dump_ns
            return
    raise AssertionError("never killed")

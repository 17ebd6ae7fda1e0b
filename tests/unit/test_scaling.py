"""How many workers a vassal has between its least and its most."""

import math
import random

import pytest

from vassal.master.backlog import Queue, parse_answer
from vassal.master.scaling import CALM_S, LOOK_S, Range, Sample, Scale, begin, grant, review

BOUNDS = Range(1, 8)


def busy(workers: int, waiting: int = 0, **more: int) -> Sample:
    return Sample(workers=workers, busy=workers, threads=1, waiting=waiting, **more)


def idle(workers: int) -> Sample:
    return Sample(workers=workers, busy=0, threads=1, waiting=0)


def after(scale: Scale, *samples: Sample, now: float = 100.0) -> Scale:
    for index, sample in enumerate(samples):
        scale = review(scale, BOUNDS, sample, now + index * LOOK_S)
    return scale


def test_new_vassal_begins_with_the_fewest() -> None:
    assert begin(BOUNDS, None, 0.0).wanted == 1


def test_new_vassal_begins_with_its_initial_number_as_far_as_that_is_granted() -> None:
    scale = begin(Range(1, 8, initial=4), None, 0.0)
    assert (scale.wanted, scale.why) == (4, "workers.initial")
    assert begin(Range(1, 8, granted=3, initial=4), None, 0.0).wanted == 3
    assert begin(Range(1, 8, initial=4), 2, 0.0).wanted == 2


def test_growth_is_by_the_step_whoever_waits_and_within_the_bounds() -> None:
    for workers, step, waiting, expected in ((1, 3, 0, 4), (2, 1, 50, 3), (6, 5, 0, 8)):
        bounds, now = Range(1, 8, step=step), 100.0
        scale = begin(bounds, workers, 99.0)
        for look in range(2):
            scale = review(scale, bounds, busy(workers, waiting), now + look * LOOK_S)
        assert scale.wanted == expected


def test_initial_number_goes_after_a_calm() -> None:
    bounds = Range(1, 8, initial=4)
    scale = begin(bounds, None, 0.0)
    scale = review(scale, bounds, idle(4), 0.1)
    assert scale.look_at == CALM_S
    assert review(scale, bounds, idle(4), CALM_S).wanted == 1


def test_new_generation_begins_with_as_many_as_the_one_before() -> None:
    assert begin(BOUNDS, 5, 0.0).wanted == 5
    assert begin(Range(1, 3), 5, 0.0).wanted == 3
    assert begin(Range(6, 8), 5, 0.0).wanted == 6


def test_one_busy_moment_is_not_enough_to_grow() -> None:
    scale = after(begin(BOUNDS, None, 0.0), busy(1), idle(1), busy(1))
    assert scale.wanted == 1


def test_everybody_busy_twice_is_one_more() -> None:
    scale = after(begin(BOUNDS, None, 99.0), busy(1), busy(1))
    assert scale.wanted == 2
    assert scale.why == "all 1 workers were busy, 0 connections waited"


def test_those_who_wait_are_counted_and_no_more_than_doubled() -> None:
    assert after(begin(BOUNDS, 3, 99.0), busy(3, 2), busy(3, 2)).wanted == 5
    assert after(begin(BOUNDS, 3, 99.0), busy(3, 99), busy(3, 99)).wanted == 6


def test_growth_waits_for_those_that_were_asked_for() -> None:
    scale = after(begin(BOUNDS, 2, 99.0), busy(1), busy(1), busy(1))
    assert scale.wanted == 2


def test_most_is_never_exceeded_and_said() -> None:
    scale = after(begin(BOUNDS, 8, 99.0), busy(8, 50), busy(8, 50))
    assert scale.wanted == 8
    assert scale.why == "all 8 workers are busy, and workers.max = 8"


def test_worker_that_would_not_fit_into_the_memory_is_not_started() -> None:
    full = busy(2, 5, memory_bytes=80, memory_max_bytes=100)
    scale = after(begin(BOUNDS, 2, 99.0), full, full)
    assert scale.wanted == 2
    assert "would not fit below memory_max" in scale.why
    roomy = busy(2, 5, memory_bytes=30, memory_max_bytes=100)
    assert after(begin(BOUNDS, 2, 99.0), roomy, roomy).wanted == 4


def test_threads_count_as_workers_only_together() -> None:
    half = Sample(workers=2, busy=3, threads=2, waiting=0)
    assert after(begin(BOUNDS, 2, 99.0), half, half, half).wanted == 2
    full = Sample(workers=2, busy=4, threads=2, waiting=3)
    assert after(begin(BOUNDS, 2, 99.0), full, full).wanted == 4


def test_too_many_go_after_a_calm_and_one_stays_to_spare() -> None:
    some = Sample(workers=6, busy=2, threads=1, waiting=0)
    scale = after(begin(BOUNDS, 6, 100.0), some, some)
    assert scale.wanted == 6
    scale = review(scale, BOUNDS, some, 100.0 + CALM_S)
    assert scale.wanted == 3
    assert scale.why == "at most 2 were busy at a time for 30 s"


def test_as_few_as_allowed_and_nothing_to_do_is_no_more_looks() -> None:
    assert after(begin(BOUNDS, None, 100.0), idle(1)).look_at is None
    waiting_to_shrink = after(begin(BOUNDS, 4, 100.0), idle(4))
    assert waiting_to_shrink.look_at == 100.0 + CALM_S
    assert after(begin(BOUNDS, None, 100.0), busy(1)).look_at == pytest.approx(100.0 + LOOK_S)


@pytest.mark.parametrize("seed", range(5))
def test_simulated_day_follows_the_load_within_its_bounds(seed: int) -> None:
    """Clients come at a rate that goes up and down; each needs a worker for half a second."""
    chance = random.Random(seed)
    scale = begin(BOUNDS, None, 0.0)
    workers, changes, short = 1, 0, 0
    steps = 12_000
    for step in range(steps):
        now = step * LOOK_S
        wanted = 3.0 + 3.0 * math.sin(2 * math.pi * now / 600.0)  # workers' worth of requests
        load = max(0, round(chance.gauss(wanted, 0.5)))
        sample = Sample(workers, min(load, workers), 1, max(0, load - workers))
        before = scale.wanted
        scale = review(scale, BOUNDS, sample, now)
        assert BOUNDS.least <= scale.wanted <= BOUNDS.most
        changes += scale.wanted != before
        short += load > workers
        workers = scale.wanted  # a fork takes less than a look
    # Four waves, up and down by six: not twice as often, and hardly ever too few.
    assert changes <= 4 * 6 * 2 * 2
    assert short / steps < 0.02


def test_answer_of_sock_diag_that_is_an_error_is_nobody_waiting() -> None:
    assert parse_answer(b"") == Queue()
    assert parse_answer(bytes(36)) == Queue()
    assert parse_answer((20).to_bytes(4, "little") + b"\x14\0" + bytes(60)) == Queue()


def test_growth_beyond_what_was_granted_is_asked_for() -> None:
    bounds = Range(1, 8, granted=2)
    scale = begin(bounds, None, 99.0)
    for index in range(2):
        scale = review(scale, bounds, busy(1, 5), 100 + index * LOOK_S)
    assert (scale.wanted, scale.asked) == (2, 2)
    for index in range(2):
        scale = review(scale, bounds, busy(2, 5), 101 + index * LOOK_S)
    assert (scale.wanted, scale.asked) == (2, 4)
    assert scale.why == "all 2 workers were busy, 5 connections waited"
    less = grant(scale, Range(1, 8, granted=3), "no memory is left")
    assert (less.wanted, less.asked) == (3, 3)
    assert less.why == "all workers are busy, and no memory is left"
    assert grant(scale, Range(1, 8, granted=4)).why == scale.why


def test_grant_below_what_is_wanted_takes_workers_away_but_not_the_least() -> None:
    scale = begin(Range(2, 8, granted=6), 6, 0.0)
    assert grant(scale, Range(2, 8, granted=1)).wanted == 2


def test_new_generation_begins_with_no_more_than_was_granted() -> None:
    assert begin(Range(1, 8, granted=3), 5, 0.0).wanted == 3

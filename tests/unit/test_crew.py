"""What a master does with generations, molds and workers."""

import pytest
from msgspec.structs import replace

from vassal.master.crew import (
    STOPPED_MAX_S,
    YOUNG_S,
    Crew,
    MoldState,
    Order,
    Role,
    Verb,
    Worker,
    WorkerState,
    backoff_s,
    death,
    free_seat,
    is_hopeless,
    is_on_trial,
    next_look,
    next_orders,
    reason_of_kill,
    stopped,
    was_to_end,
)

W = WorkerState


def crew(**changes: object) -> Crew:
    base = Crew(
        number=1,
        role=Role.SERVING,
        wanted=2,
        spawn_timeout_s=30.0,
        stop_timeout_s=10.0,
        mold=MoldState.LOADED,
    )
    return replace(base, **changes)


def worker(number: int, state: WorkerState = W.READY, deadline: float | None = None) -> Worker:
    return Worker(number=number, generation=1, state=state, since=0.0, deadline=deadline)


def orders(one: Crew, *workers: Worker, now: float = 100.0) -> list[Order]:
    return next_orders({one.number: one}, workers, now)


def verbs(one: Crew, *workers: Worker, now: float = 100.0) -> list[Verb]:
    return [order.verb for order in orders(one, *workers, now=now)]


def test_successor_takes_the_seat_of_whom_it_replaces() -> None:
    assert free_seat([]) == 0
    first, second = replace(worker(1), seat=0), replace(worker(2), seat=1)
    assert free_seat([first, second]) == 2
    for leaves in (W.RETIRING, W.STOPPING):
        gone = replace(second, state=leaves)
        assert free_seat([first, gone]) == 1
        assert free_seat([replace(first, state=leaves), gone]) == 0
        assert free_seat([first, gone, replace(worker(3, W.STARTING), seat=1)]) == 2


def test_new_generation_starts_its_mold_first() -> None:
    assert verbs(crew(role=Role.BUILDING, mold=MoldState.ABSENT)) == [Verb.START_MOLD]


def test_no_worker_is_forked_while_the_mold_loads() -> None:
    assert verbs(crew(role=Role.BUILDING, mold=MoldState.LOADING, mold_at=130.0)) == []


def test_loaded_mold_forks_the_missing_workers() -> None:
    assert verbs(crew()) == [Verb.FORK, Verb.FORK]
    assert verbs(crew(), worker(1), worker(2, W.STARTING)) == []


def test_generation_begins_with_one_worker() -> None:
    assert verbs(crew(role=Role.BUILDING, wanted=4)) == [Verb.FORK]
    assert verbs(crew(role=Role.BUILDING, wanted=4), worker(1, W.STARTING)) == []
    assert verbs(crew(role=Role.BUILDING, wanted=4), worker(1)) == [Verb.FORK] * 3


def test_generation_serves_only_when_all_its_workers_are_ready() -> None:
    building = crew(role=Role.BUILDING)
    assert verbs(building, worker(1), worker(2, W.STARTING)) == []
    assert verbs(building, worker(1), worker(2)) == [Verb.PROMOTE]


def test_slow_mold_is_dumped_then_given_up() -> None:
    loading = crew(role=Role.BUILDING, mold=MoldState.LOADING, mold_at=100.0)
    assert verbs(loading, now=99.9) == []
    assert verbs(loading) == [Verb.DUMP_MOLD]
    dumped = crew(role=Role.BUILDING, mold=MoldState.DUMPED, mold_at=100.1)
    assert verbs(dumped) == []
    assert verbs(dumped, now=100.1) == [Verb.GIVE_UP]


def test_slow_mold_of_a_serving_generation_is_replaced_and_its_workers_serve_on() -> None:
    dumped = crew(mold=MoldState.DUMPED, mold_at=100.0)
    assert verbs(dumped, worker(1), worker(2)) == [Verb.REPLACE_MOLD]


def test_serving_generation_whose_mold_died_starts_another_when_its_pause_is_over() -> None:
    absent = crew(mold=MoldState.ABSENT, mold_at=101.0)
    assert verbs(absent, worker(1), worker(2)) == []
    assert verbs(absent, worker(1), worker(2), now=101.0) == [Verb.START_MOLD]


def test_retiring_worker_goes_only_when_its_successor_is_ready() -> None:
    retiring = worker(1, W.RETIRING)
    assert orders(crew(), retiring, worker(2)) == [Order(Verb.FORK, 1)]
    assert orders(crew(), retiring, worker(2), worker(3, W.STARTING)) == []
    assert orders(crew(), retiring, worker(2), worker(3)) == [Order(Verb.STOP_WORKER, 1, 1)]


def test_retiring_workers_that_are_too_many_go_though_no_successor_is_ready() -> None:
    # Successors that retired before the last of them was ready took every number.
    crowd = [worker(number, W.RETIRING) for number in range(1, 5)]
    found = orders(crew(), *crowd)
    assert found.count(Order(Verb.FORK, 1)) == 2
    assert [order.worker for order in found if order.verb is Verb.STOP_WORKER] == [1, 2]


def test_worker_past_its_deadline_is_killed() -> None:
    late = worker(2, W.STOPPING, deadline=100.0)
    assert Order(Verb.KILL_WORKER, 1, 2) in orders(crew(), worker(1), late)
    assert verbs(crew(wanted=1), worker(1), late, now=99.0) == []


def test_draining_generation_stops_everybody_and_closes_when_empty() -> None:
    draining = crew(role=Role.DRAINING, mold=MoldState.CLOSED)
    assert orders(draining, worker(1), worker(2, W.STOPPING, 200.0)) == [
        Order(Verb.STOP_WORKER, 1, 1)
    ]
    assert verbs(draining) == [Verb.CLOSE]


def test_older_generation_comes_first() -> None:
    crews = {2: crew(number=2, role=Role.BUILDING), 1: crew(role=Role.DRAINING)}
    assert next_orders(crews, (), 100.0)[0] == Order(Verb.CLOSE, 1)


def test_workers_that_die_young_hold_the_next_fork_back_more_and_more() -> None:
    once = death(crew(), worker(1), 1.0, planned=False)
    assert (once.deaths, once.fork_at) == (1, 1.0)
    twice = death(once, worker(1), 1.2, planned=False)
    assert twice.fork_at == pytest.approx(1.2 + backoff_s(2))
    assert verbs(twice, now=1.2) == []
    assert verbs(twice, now=twice.fork_at) == [Verb.FORK, Verb.FORK]


def test_planned_and_late_deaths_are_forgiven() -> None:
    failing = crew(deaths=5, fork_at=99.0)
    assert death(failing, worker(1), 1.0, planned=True).fork_at == 0.0
    assert death(failing, worker(1), YOUNG_S, planned=False).deaths == 0


def test_backoff_never_exceeds_half_a_minute() -> None:
    assert backoff_s(1) == 0.0
    assert max(backoff_s(n) for n in range(200)) == 30.0


def test_next_look_is_the_earliest_deadline_of_molds_and_workers() -> None:
    loading = crew(mold=MoldState.LOADING, mold_at=130.0)
    assert next_look([loading], [worker(1, W.STARTING, 120.0)], 100.0) == 120.0
    assert next_look([loading], [], 100.0) == 130.0
    assert next_look([crew()], [worker(1)], 100.0) is None


def test_fork_that_may_happen_now_does_not_keep_the_master_awake() -> None:
    after_a_death = crew(deaths=1, fork_at=100.0)
    assert next_look([after_a_death], [], 99.0) == 100.0
    assert next_look([after_a_death], [], 100.0) is None


def test_workers_that_die_together_count_once() -> None:
    crowd = crew(wanted=20)
    for number in range(1, 21):
        crowd = death(crowd, worker(number), 1.0 + number / 1000, planned=False)
    assert crowd.deaths == 1
    assert len(orders(crowd, now=1.1)) == 20


# ── one generation takes over from another ───────────────────────────────────────────────


def roll(wanted_before: int, wanted: int, max_unavailable: int) -> tuple[list[int], list[int]]:
    """Let the second generation take over, one event at a time; return how many workers were
    ready and how many were there in all, at every step."""
    crews = {
        1: crew(wanted=wanted_before),
        2: crew(number=2, role=Role.BUILDING, wanted=wanted, max_unavailable=max_unavailable),
    }
    old = [worker(number) for number in range(1, wanted_before + 1)]
    workers = {(1, one.number): one for one in old}
    ready, total = [], []
    for _ in range(100):
        for order in next_orders(crews, workers.values(), 100.0):
            key = (order.generation, order.worker)
            match order.verb:
                case Verb.FORK:
                    number = 1 + max((n for g, n in workers if g == order.generation), default=0)
                    new = replace(worker(number, W.STARTING), generation=order.generation)
                    workers[order.generation, number] = new
                case Verb.STOP_WORKER:
                    del workers[key]
                case Verb.PROMOTE:
                    crews[1] = replace(crews[1], role=Role.STANDBY)
                    crews[2] = replace(crews[2], role=Role.SERVING)
        ready.append(sum(one.state is W.READY for one in workers.values()))
        total.append(len(workers))
        starting = [key for key, one in workers.items() if one.state is W.STARTING]
        if not starting and crews[2].role is Role.SERVING:
            break
        for key in starting[:1]:
            workers[key] = replace(workers[key], state=W.READY)
    assert {generation for generation, _ in workers} == {2}
    return ready, total


@pytest.mark.parametrize("wanted_before", [1, 3, 8])
@pytest.mark.parametrize("wanted", [1, 2, 8])
@pytest.mark.parametrize("max_unavailable", [0, 1, 3, 20])
def test_takeover_keeps_the_strength_and_bounds_the_crowd(
    wanted_before: int, wanted: int, max_unavailable: int
) -> None:
    ready, total = roll(wanted_before, wanted, max_unavailable)
    assert ready[-1] == wanted
    assert min(ready) >= min(wanted_before, max(1, wanted - max_unavailable))
    assert max(total) <= max(wanted_before, wanted) + 1


def test_canary_that_died_leaves_the_serving_generation_as_it_was() -> None:
    building = crew(number=2, role=Role.BUILDING)
    before = {1: crew(), 2: replace(building, role=Role.DRAINING, mold=MoldState.CLOSED)}
    assert next_orders(before, [worker(1), worker(2)], 100.0) == [Order(Verb.CLOSE, 2)]


def test_generation_that_was_rolled_back_to_forks_what_it_had() -> None:
    failed = crew(number=2, role=Role.DRAINING, mold=MoldState.CLOSED)
    found = next_orders({1: crew(), 2: failed}, [], 100.0)
    assert found == [Order(Verb.FORK, 1), Order(Verb.FORK, 1), Order(Verb.CLOSE, 2)]


def test_generation_that_stands_by_has_no_workers_and_keeps_its_mold() -> None:
    standby = crew(role=Role.STANDBY)
    assert verbs(standby, worker(1)) == [Verb.STOP_WORKER]
    assert verbs(standby) == []


def test_generation_settles_when_its_time_is_over() -> None:
    settling = crew(settled_at=101.0)
    assert verbs(settling, worker(1), worker(2)) == []
    assert next_look([settling], [], 100.0) == 101.0
    assert verbs(settling, worker(1), worker(2), now=101.0) == [Verb.SETTLE]


def test_worker_that_says_that_it_leaves_has_not_crashed() -> None:
    assert was_to_end(worker(1, W.RETIRING), True, 0)
    assert was_to_end(worker(1, W.STOPPING), False, None)
    assert not was_to_end(worker(1, W.RETIRING), False, 0)
    assert not was_to_end(worker(1, W.RETIRING), True, 1)
    assert not was_to_end(worker(1, W.RETIRING), True, None)


def test_worker_that_leaves_counts_against_a_generation_that_has_not_settled() -> None:
    on_trial = crew(role=Role.SERVING, settled_at=5.0)
    assert is_on_trial(on_trial, worker(1, W.RETIRING))
    assert is_on_trial(crew(role=Role.BUILDING), worker(1, W.RETIRING))
    assert not is_on_trial(crew(role=Role.SERVING, settled_at=None), worker(1, W.RETIRING))
    assert not is_on_trial(on_trial, worker(1, W.STOPPING))


def test_generation_of_which_nobody_serves_again_and_again_is_hopeless() -> None:
    assert is_hopeless(crew(), [worker(1, W.STARTING)], 5)
    assert not is_hopeless(crew(), [worker(1, W.STARTING), worker(2)], 5)
    assert not is_hopeless(crew(), [], 4)
    assert not is_hopeless(crew(role=Role.BUILDING), [], 9)


def test_generation_that_prepares_is_given_up_when_its_time_is_over() -> None:
    for state in (MoldState.PREPARING, MoldState.FINISHING):
        busy = crew(role=Role.BUILDING, mold=state, mold_at=100.0)
        assert verbs(busy, now=99.0) == []
        assert next_look([busy], [], 99.0) == 100.0
        assert verbs(busy) == [Verb.GIVE_UP]


def test_generation_does_not_serve_before_it_is_finished() -> None:
    finishing = crew(role=Role.BUILDING, wanted=1, mold=MoldState.FINISHING, mold_at=130.0)
    assert verbs(finishing, worker(1)) == []
    assert verbs(replace(finishing, mold=MoldState.LOADED), worker(1)) == [Verb.PROMOTE]


def test_drained_generation_is_cleared_before_it_is_closed() -> None:
    draining = crew(role=Role.DRAINING, mold=MoldState.CLOSED, clears=True)
    assert verbs(draining, worker(1, W.STOPPING, 200.0)) == []
    assert verbs(draining) == [Verb.CLEAR]
    clearing = replace(draining, clears=False, mold=MoldState.CLEARING, mold_at=130.0)
    assert verbs(clearing) == []
    assert next_look([clearing], [], 100.0) == 130.0
    assert verbs(clearing, now=130.0) == [Verb.END_HOOK]


def test_idle_worker_that_a_signal_stopped_is_killed_unless_it_goes_on_in_time() -> None:
    still = stopped(worker(1), is_stopped=True, is_busy=False, now=100.0)
    later = 100.0 + STOPPED_MAX_S
    assert verbs(crew(wanted=1), still, now=later - 0.1) == []
    assert next_look([crew()], [still], 100.0) == later
    assert verbs(crew(wanted=1), still, now=later) == [Verb.KILL_WORKER]
    assert reason_of_kill(still) == "stopped"
    goes_on = stopped(still, is_stopped=False, is_busy=False, now=101.0)
    assert verbs(crew(wanted=1), goes_on, now=later) == []


def test_stopped_worker_with_a_request_is_left_to_harakiri() -> None:
    assert stopped(worker(1), is_stopped=True, is_busy=True, now=100.0).deadline is None


@pytest.mark.parametrize(
    ("state", "reason"), [(W.STARTING, "spawn-timeout"), (W.STOPPING, "stop_timeout")]
)
def test_stop_changes_nothing_about_a_worker_that_has_a_deadline(state: W, reason: str) -> None:
    one = worker(1, state, deadline=105.0)
    assert stopped(one, is_stopped=True, is_busy=False, now=100.0) == one
    assert stopped(one, is_stopped=False, is_busy=False, now=100.0) == one
    assert reason_of_kill(one) == reason

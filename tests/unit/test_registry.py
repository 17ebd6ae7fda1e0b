"""The table of transitions, and what a failure does to a record."""

import msgspec
import pytest

from emperor.core.registry import (
    TRANSITIONS,
    Fact,
    Standby,
    Successor,
    Vassal,
    advance,
    birth_under,
    born_as,
    fail,
    renamed,
    without_conflict,
)
from emperor.core.restarts import RestartPolicy
from emperor.status import VassalState
from vassal.failure import FAILURE_KINDS, Failure

S = VassalState
POLICY = RestartPolicy()

# Every pair that moves. All others must leave the state as it is.
MOVES = {
    (S.STOPPED, Fact.START_BEGAN): S.STARTING,
    (S.STOPPED, Fact.FAILED): S.BACKOFF,
    (S.STOPPED, Fact.FAILED_FOR_GOOD): S.PARKED,
    (S.STARTING, Fact.BECAME_READY): S.READY,
    (S.STARTING, Fact.STOP_BEGAN): S.STOPPING,
    (S.STARTING, Fact.FAILED): S.BACKOFF,
    (S.STARTING, Fact.FAILED_FOR_GOOD): S.PARKED,
    (S.STARTING, Fact.MASTER_GONE): S.BACKOFF,
    (S.READY, Fact.RELOAD_BEGAN): S.RELOADING,
    (S.READY, Fact.STOP_BEGAN): S.STOPPING,
    (S.READY, Fact.FAILED): S.BACKOFF,
    (S.READY, Fact.FAILED_FOR_GOOD): S.PARKED,
    (S.READY, Fact.MASTER_GONE): S.BACKOFF,
    (S.RELOADING, Fact.BECAME_READY): S.READY,
    (S.RELOADING, Fact.RELOAD_FAILED): S.READY,
    (S.RELOADING, Fact.STOP_BEGAN): S.STOPPING,
    (S.RELOADING, Fact.FAILED): S.BACKOFF,
    (S.RELOADING, Fact.FAILED_FOR_GOOD): S.PARKED,
    (S.RELOADING, Fact.MASTER_GONE): S.BACKOFF,
    (S.STOPPING, Fact.MASTER_GONE): S.STOPPED,
    (S.BACKOFF, Fact.START_BEGAN): S.STARTING,
    (S.BACKOFF, Fact.FAILED_FOR_GOOD): S.PARKED,
    (S.BACKOFF, Fact.SETTLED): S.STOPPED,
    (S.PARKED, Fact.START_BEGAN): S.STARTING,
    (S.PARKED, Fact.FAILED): S.BACKOFF,
    (S.PARKED, Fact.SETTLED): S.STOPPED,
    (S.STOPPED, Fact.FELL_ASLEEP): S.DORMANT,
    (S.BACKOFF, Fact.FELL_ASLEEP): S.DORMANT,
    (S.PARKED, Fact.FELL_ASLEEP): S.DORMANT,
    (S.DORMANT, Fact.FAILED): S.BACKOFF,
    (S.DORMANT, Fact.FAILED_FOR_GOOD): S.PARKED,
    (S.DORMANT, Fact.START_BEGAN): S.STARTING,
    (S.DORMANT, Fact.SETTLED): S.STOPPED,
    # Whatever became of the first master: the second one serves.
    (S.STARTING, Fact.SUCCEEDED): S.READY,
    (S.RELOADING, Fact.SUCCEEDED): S.READY,
    (S.STOPPING, Fact.SUCCEEDED): S.READY,
    (S.BACKOFF, Fact.SUCCEEDED): S.READY,
    (S.PARKED, Fact.SUCCEEDED): S.READY,
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("fact", Fact)
def test_every_state_answers_every_fact(state: VassalState, fact: Fact) -> None:
    record = advance(Vassal(name="blog", state=state), fact, 5.0)
    assert record.state is MOVES.get((state, fact), state)


def test_the_table_has_a_row_for_every_state() -> None:
    assert set(TRANSITIONS) == set(S)


def test_change_of_state_is_dated_and_drops_old_deadlines() -> None:
    before = Vassal(name="blog", state=S.STARTING, since=1.0, deadline=9.0, retry_at=3.0)
    after = advance(before, Fact.BECAME_READY, 5.0)
    assert (after.since, after.deadline, after.retry_at) == (5.0, None, None)


def test_fact_without_effect_keeps_date_and_deadline() -> None:
    before = Vassal(name="blog", state=S.STOPPING, since=1.0, deadline=9.0)
    assert advance(before, Fact.BECAME_READY, 5.0) == before


@pytest.mark.parametrize("kind", FAILURE_KINDS)
def test_deterministic_failure_parks_and_others_wait(kind: str) -> None:
    record = fail(
        Vassal(name="blog", state=S.STARTING), Failure(kind=kind, message="x"), 5.0, POLICY, 0.5
    )
    deterministic = kind in {"config", "birth", "exec", "load"}
    assert record.state is (S.PARKED if deterministic else S.BACKOFF)
    assert record.retry_at == (None if deterministic else 5.1)


def test_failure_of_a_vassal_that_is_being_stopped_is_noted_but_moves_nothing() -> None:
    failure = Failure(kind="crash", message="x")
    record = fail(Vassal(name="blog", state=S.STOPPING), failure, 5.0, POLICY, 0.5)
    assert (record.state, record.last_failure, record.failures) == (S.STOPPING, failure, 0)


def test_failures_in_a_row_are_counted_until_a_minute_of_being_ready() -> None:
    crash = Failure(kind="crash", message="x")
    young = Vassal(name="blog", state=S.READY, failures=3, ready_at=0.0)
    assert fail(young, crash, 10.0, POLICY, 0.5).failures == 4
    assert fail(young, crash, 61.0, POLICY, 0.5).failures == 1


def test_who_failed_for_an_address_tries_again_when_it_is_free() -> None:
    refused = Failure(kind="listen", message="blog listens there")
    waits = Vassal(name="shop", state=S.BACKOFF, retry_at=60.0, last_failure=refused)
    assert without_conflict(waits, 5.0).retry_at == 5.0
    serves = Vassal(
        name="shop", state=S.READY, serving="one", attempted="two", last_failure=refused
    )
    assert without_conflict(serves, 5.0).attempted is None
    crashed = Failure(kind="crash", message="a worker died meanwhile")
    crashed_since = msgspec.structs.replace(serves, last_failure=crashed)
    assert without_conflict(crashed_since, 5.0).attempted is None
    others = [
        Vassal(name="shop", state=S.READY, serving="two", attempted="two", last_failure=refused),
        Vassal(name="shop", state=S.STOPPED, last_failure=refused),
    ]
    assert [without_conflict(one, 5.0) for one in others] == others


def test_birth_under_another_name_is_no_birth_that_is_wanted() -> None:
    assert birth_under("shop", "blog", "b:1") == "blog/b:1"
    assert birth_under("third", "shop", "blog/b:1") == "blog/b:1"
    assert birth_under("blog", "shop", "blog/b:1") == "b:1"
    assert birth_under("blog", "blog", "b:1") == "b:1"
    assert birth_under("shop", "blog", None) is None
    assert [born_as(birth) for birth in ("blog/b:1", "b:1", None)] == ["blog", "", ""]


def test_renamed_vassal_is_what_it_was_with_all_of_its_masters() -> None:
    blog = Vassal(
        name="blog",
        state=S.RELOADING,
        token="t1",
        birth="b:1",
        serving="f1",
        attempted="f2",
        attempted_birth="b:2",
        successor=Successor(token="t2", birth="b:2", deadline=9.0),
        standby=Standby(token="t0", deadline=9.0, birth="shop/b:0"),
    )
    shop = renamed(blog, "shop")
    assert (shop.name, shop.token, shop.serving) == ("shop", "t1", "f1")
    assert (shop.attempted, shop.attempted_birth) == (None, None)
    assert shop.successor is not None
    assert shop.standby is not None
    births = [born_as(one.birth) for one in (shop, shop.successor, shop.standby)]
    assert births == ["blog", "blog", ""]

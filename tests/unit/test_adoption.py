"""What a new emperor makes of the masters that it finds."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from emperor.core.adoption import Adopted, Duty, Found, Patience, adopt, outcome
from emperor.core.registry import SETTLE_GRACE_S, Retiring
from emperor.status import VassalState

S = VassalState
PATIENCE = Patience(start_s=120.0, end_s=5.0)


def found(*duties: Duty) -> list[Found]:
    return [
        Found(
            token=f"t{at}",
            pid=100 + at,
            birth=f"b{at}",
            duty=duty,
            fingerprint=f"f{at}",
            newest=at,
            settle_s=3.0 if duty is Duty.SETTLING else 0.0,
            state_s=10.0 * at,
        )
        for at, duty in enumerate(duties, 1)
    ]


def adopted(*duties: Duty) -> Adopted:
    return adopt("blog", found(*duties), 1000.0, PATIENCE)


def test_one_that_serves_is_ready() -> None:
    record = adopted(Duty.SERVING).record
    assert (record.state, record.token, record.serving) == (S.READY, "t1", "f1")
    assert (record.attempted, record.birth, record.attempted_birth) == ("f1", "b1", "b1")
    assert record.ready_at == 1000.0
    assert record.since == 990.0, "it was ready before this emperor's time"
    assert record.deadline is None


def test_one_that_is_built_has_some_time_and_one_that_ends_too() -> None:
    record = adopted(Duty.BUILDING).record
    assert (record.state, record.deadline, record.serving) == (S.STARTING, 1120.0, None)
    record = adopted(Duty.ENDING).record
    assert (record.state, record.deadline, record.serving) == (S.STOPPING, 1005.0, None)


def test_successor_that_is_built_ends_and_is_tried_again() -> None:
    both = adopted(Duty.SERVING, Duty.BUILDING)
    assert (both.record.token, both.record.state) == ("t1", S.READY)
    assert both.stop == ("t2",)
    assert both.record.retiring == (Retiring(token="t2", deadline=1005.0),)
    assert both.record.attempted_birth is None
    assert both.record.generation == 2


def test_successor_that_has_settled_takes_over() -> None:
    both = adopted(Duty.SERVING, Duty.SERVING)
    assert (both.record.token, both.record.serving) == ("t2", "f2")
    assert both.stop == ("t1",)
    assert both.record.attempted_birth == "b2"


def test_one_that_settles_has_the_other_stand_by() -> None:
    for duty, is_told in ((Duty.STANDING_BY, True), (Duty.SERVING, False)):
        both = adopted(duty, Duty.SETTLING)
        record = both.record
        assert record.state is S.RELOADING
        assert (record.token, record.serving, record.attempted) == ("t2", "f1", "f2")
        assert record.standby is not None
        assert (record.standby.token, record.standby.birth) == ("t1", "b1")
        assert record.standby.deadline == 1003.0 + SETTLE_GRACE_S
        assert both.stand_by == (None if is_told else "t1")
        assert (both.resume, both.stop, record.retiring) == (None, (), ())


def test_one_that_stands_by_for_nobody_serves_again() -> None:
    alone = adopted(Duty.STANDING_BY)
    assert alone.resume == "t1"
    assert (alone.record.state, alone.record.serving) == (S.READY, "f1")
    after = adopted(Duty.STANDING_BY, Duty.ENDING)
    assert after.resume == "t1"
    assert after.stop == ()
    assert [one.token for one in after.record.retiring] == ["t2"]


def test_third_master_is_not_forgotten() -> None:
    three = adopted(Duty.ENDING, Duty.SERVING, Duty.BUILDING)
    assert three.record.token == "t2"
    assert three.stop == ("t3",)
    assert [one.token for one in three.record.retiring] == ["t1", "t3"]


@given(st.lists(st.sampled_from(Duty), min_size=1, max_size=5))
def test_every_master_has_one_place_and_whoever_serves_goes_on(duties: list[Duty]) -> None:
    masters = found(*duties)
    now = adopt("blog", masters, 1000.0, PATIENCE)
    record = now.record
    named = [record.token, *(one.token for one in record.retiring)]
    named += [record.standby.token] if record.standby is not None else []
    assert sorted(str(token) for token in named) == sorted(one.token for one in masters)
    able = {Duty.SERVING, Duty.SETTLING, Duty.STANDING_BY}
    assert (record.serving is not None) == bool(able & set(duties))
    of = {one.token: one for one in masters}
    # Whoever is not in the record to serve, now or again, is told to go, or goes.
    for one in record.retiring:
        assert one.token in now.stop or of[one.token].duty is Duty.ENDING
    # Only one accepts in the end: a second one that serves stands by.
    if record.standby is not None and of[record.standby.token].duty is not Duty.STANDING_BY:
        assert now.stand_by == record.standby.token


def test_generation_that_has_to_settle_within_its_master_is_no_new_one() -> None:
    (master,) = found(Duty.SERVING)
    now = adopt("blog", [msgspec.structs.replace(master, number=2, building=2)], 0.0, PATIENCE)
    assert (now.record.state, now.record.attempted) == (S.RELOADING, "f1")
    assert now.record.serving == "", "it is not known what served before"
    assert now.outcome == ({"t1"}, {"t1/2"})


def test_what_stands_by_has_settled_if_nobody_has_heard_of_it() -> None:
    (master,) = found(Duty.STANDING_BY)
    now = adopt("blog", [msgspec.structs.replace(master, number=2)], 0.0, PATIENCE)
    assert now.outcome == ({"t1", "t1/2"}, set())


def test_of_one_that_serves_what_it_builds_is_under_way() -> None:
    (master,) = found(Duty.SERVING)
    one = msgspec.structs.replace(master, number=2, building=3, newest=3)
    assert outcome(one) == ({"t1", "t1/2"}, {"t1/3"})
    assert adopt("blog", [one], 0.0, PATIENCE).record.state is S.READY

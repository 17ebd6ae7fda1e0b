"""Whom a look is at."""

from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.core.agenda import Agenda
from emperor.core.reconcile import Desired, StartVassal, reconcile
from emperor.core.registry import Fact, Vassal, advance
from emperor.status import VassalState

S = VassalState
SLEEPING = Vassal(name="blog", state=S.DORMANT)
STARTING = Vassal(name="blog", state=S.STARTING, token="t", deadline=60.0)
WANTED = Desired(fingerprint="v1")


def test_only_those_that_something_was_heard_of_are_looked_at_and_once() -> None:
    agenda = Agenda(4)
    agenda.note("blog")
    assert agenda.take(0.0, {}) == ["blog"]
    agenda.looked_at("blog", SLEEPING, 0.0, waits=False)
    assert agenda.take(1.0, {"blog": SLEEPING}) == []


def test_whose_time_has_come_is_looked_at_unasked() -> None:
    agenda = Agenda(4)
    agenda.looked_at("blog", STARTING, 0.0, waits=False)
    assert agenda.next_look() == 60.0
    assert agenda.take(59.0, {"blog": STARTING}) == []
    assert agenda.take(60.0, {"blog": STARTING}) == ["blog"]


def test_whoever_waits_for_room_comes_when_there_is_some_and_the_longest_first() -> None:
    agenda = Agenda(1)
    agenda.looked_at("blog", STARTING, 0.0, waits=False)
    for name in ("c", "b"):
        agenda.looked_at(name, Vassal(name=name), 0.0, waits=True)
    assert agenda.take(1.0, {"blog": STARTING}) == []
    assert [agenda.waits(name) for name in ("blog", "b", "c")] == [False, True, True]
    agenda.note("blog")
    ready = Vassal(name="blog", state=S.READY, token="t")
    assert agenda.take(2.0, {"blog": ready}) == ["blog", "c"]


def test_a_wait_for_room_does_not_turn_the_loop() -> None:
    agenda = Agenda(1)
    due = Vassal(name="blog", state=S.BACKOFF, retry_at=5.0)
    agenda.looked_at("blog", due, 5.0, waits=True)
    assert agenda.next_look() is None


def test_one_that_was_forgotten_takes_no_room() -> None:
    agenda = Agenda(1)
    agenda.looked_at("blog", STARTING, 0.0, waits=False)
    assert agenda.room == 0
    agenda.looked_at("blog", None, 1.0, waits=False)
    assert (agenda.room, agenda.next_look()) == (1, None)


def test_one_that_is_set_aside_is_looked_at_when_its_time_is_over_and_not_before() -> None:
    agenda = Agenda(4)
    for vassal in (None, STARTING):
        agenda.set_aside("blog", 5.0)
        agenda.looked_at("blog", vassal, 0.0, waits=False)
        agenda.note("blog")
        assert agenda.take(4.9, {"blog": STARTING}) == []
        assert agenda.next_look() == 5.0
        assert agenda.take(5.0, {"blog": STARTING}) == ["blog"]
        agenda.looked_at("blog", STARTING, 5.0, waits=False)
        assert agenda.next_look() == 60.0


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(0, 12), max_size=60))
def test_all_come_to_serve_and_never_more_are_built_than_may_be(
    concurrency: int, ready: list[int]
) -> None:
    """As the emperor's loop has it: whatever the order in which masters become ready."""
    names = [f"v{number}" for number in range(13)]
    agenda = Agenda(concurrency)
    agenda.note_all(names)
    vassals: dict[str, Vassal] = {}

    def look(now: float) -> None:
        asked = agenda.take(now, vassals)
        actual = {name: vassals[name] for name in asked if name in vassals}
        found = reconcile(dict.fromkeys(asked, WANTED), actual, now, agenda.room)
        for action in found.actions:
            assert isinstance(action, StartVassal)
            vassal = Vassal(name=action.name)
            vassals[action.name] = advance(
                vassal, Fact.START_BEGAN, now, token="t", pid=1, attempted="v1", birth=""
            )
        for name in asked:
            agenda.looked_at(name, vassals.get(name), now, name in found.waiting)
        building = [one for one in vassals.values() if one.state is S.STARTING]
        assert len(building) <= concurrency

    look(0.0)
    for now, number in enumerate([*ready, *list(range(13)) * 13], 1):
        vassal = vassals.get(f"v{number}")
        if vassal is not None and vassal.state is S.STARTING:
            vassals[vassal.name] = advance(vassal, Fact.BECAME_READY, now, serving="v1", limits="")
            agenda.note(vassal.name)
            look(float(now))
    assert {vassal.state for vassal in vassals.values()} == {S.READY}
    assert set(vassals) == set(names)

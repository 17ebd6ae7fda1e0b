"""Requests by application, behind the slots of the scoreboard."""

import mmap

from hypothesis import given
from hypothesis import strategies as st

from vassal.runtime import scoreboard
from vassal.runtime.app_counts import AppCounts, bytes_for, names_of
from vassal.runtime.layout import Layout

SLOTS, APPS = 3, 2


LAYOUT = Layout(SLOTS, APPS, 0)


def counts() -> AppCounts:
    return AppCounts(mmap.mmap(-1, LAYOUT.size), LAYOUT)


def test_applications_are_numbered_by_their_prefixes() -> None:
    assert names_of("blog:application", ["/wiki", "/shop"]) == ["", "/shop", "/wiki"]
    assert names_of("", ["/shop"]) == ["/shop"]
    assert bytes_for(4, 1) == 0


@given(
    st.lists(st.tuples(st.integers(0, SLOTS - 1), st.integers(0, APPS - 1), st.booleans())),
)
def test_every_slot_and_application_has_numbers_of_its_own(
    served: list[tuple[int, int, bool]],
) -> None:
    made = counts()
    for one in served:
        made.add(*one)
    for slot in range(SLOTS):
        assert made.read([slot]) == [
            (
                sum(one[:2] == (slot, app) for one in served),
                sum(one == (slot, app, True) for one in served),
            )
            for app in range(APPS)
        ]
    assert sum(requests for requests, _ in made.read(range(SLOTS))) == len(served)


def test_who_gets_a_slot_counts_on_and_leaves_the_slots_alone() -> None:
    memory = mmap.mmap(-1, LAYOUT.size)
    made = AppCounts(memory, LAYOUT)
    made.add(2, 1, False)
    before = memory[: scoreboard.size_for(SLOTS)]
    made.add(2, 1, True)
    assert memory[: scoreboard.size_for(SLOTS)] == before
    scoreboard.claim_slot(memory, 2, 7)
    assert made.read([2]) == [(0, 0), (2, 1)]


def test_nonsense_of_a_tenant_counts_nothing_and_breaks_nothing() -> None:
    made = counts()
    for app in (-1, APPS, None, "1", 1.0, 10**30):
        made.add(0, app, True)
    assert made.read(range(SLOTS)) == [(0, 0)] * APPS

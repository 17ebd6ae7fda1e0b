"""How many workers a vassal may have where emperor.toml bounds their sum."""

from hypothesis import given
from hypothesis import strategies as st

from emperor.core.allotment import Caps, Holding, allot

ACME = Caps(host=10, customers={"acme": 4})


def test_without_a_bound_everything_is_granted() -> None:
    assert allot(50, 1, "acme", [Holding("acme", 100)], Caps()) == 50
    assert not Caps().binds("acme")


def test_customers_bound_counts_its_own_vassals_only() -> None:
    assert allot(8, 1, "acme", [Holding("acme", 1), Holding("other", 5)], ACME) == 3
    assert allot(8, 1, "other", [Holding("acme", 4)], ACME) == 6


def test_host_bound_counts_everybody() -> None:
    assert allot(3, 1, "acme", [Holding("other", 8)], ACME) == 2


def test_least_is_granted_whatever_the_others_have() -> None:
    assert allot(8, 2, "acme", [Holding("acme", 40)], ACME) == 2


def test_who_has_no_bound_need_not_ask() -> None:
    assert Caps(customers={"acme": 4}).binds("acme")
    assert not Caps(customers={"acme": 4}).binds("other")
    assert Caps(host=1).binds("other")


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 12)), max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 12)), max_size=40),
    st.integers(1, 30),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 12)),
)
def test_sum_exceeds_a_bound_only_by_what_everybody_has_anyway(vassals, asks, host, customers):
    caps = Caps(host=host, customers=customers)
    held = [least for _, least, _ in vassals]
    for index, asked in asks:
        if index >= len(vassals):
            continue
        customer, least, _ = vassals[index]
        others = [
            Holding(vassals[other][0], workers)
            for other, workers in enumerate(held)
            if other != index
        ]
        held[index] = allot(max(least, asked), least, customer, others, caps)
        assert held[index] >= least
    assert sum(held) <= max(host, sum(least for _, least, _ in vassals))
    for customer, most in customers.items():
        own = [index for index, one in enumerate(vassals) if one[0] == customer]
        assert sum(held[index] for index in own) <= max(most, sum(vassals[i][1] for i in own))

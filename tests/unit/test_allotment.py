"""How many workers a vassal may have where emperor.toml bounds their sum."""

from hypothesis import given
from hypothesis import strategies as st

from emperor.core.allotment import PROMISE_S, Bound, Caps, Grant, Holding, Promise, allot, fit

MIB = 1 << 20
ACME = Caps(host=10, customers={"acme": 4})


def test_without_a_bound_everything_is_granted() -> None:
    assert allot(50, 1, "acme", [Holding("acme", 100)], Caps()) == Grant(50)


def test_customers_bound_counts_its_own_vassals_only() -> None:
    grant = allot(8, 1, "acme", [Holding("acme", 1), Holding("other", 5)], ACME)
    assert (grant.workers, "workers_max of customer acme" in grant.why) == (3, True)
    assert allot(8, 1, "other", [Holding("acme", 4)], ACME).workers == 6


def test_host_bound_counts_everybody() -> None:
    assert allot(3, 1, "acme", [Holding("other", 8)], ACME).workers == 2


def test_least_is_granted_whatever_the_others_have() -> None:
    assert allot(8, 2, "acme", [Holding("acme", 40)], ACME).workers == 2


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
        held[index] = allot(max(least, asked), least, customer, others, caps).workers
        assert held[index] >= least
    assert sum(held) <= max(host, sum(least for _, least, _ in vassals))
    for customer, most in customers.items():
        own = [index for index, one in enumerate(vassals) if one[0] == customer]
        assert sum(held[index] for index in own) <= max(most, sum(vassals[i][1] for i in own))


def test_worker_that_would_not_fit_below_a_shared_limit_is_not_granted_and_the_limit_is_named() -> (
    None
):
    acme = Bound("customer acme (memory_max)", 100 * MIB, 60 * MIB, "acme")
    assert fit(Grant(4), 2, 20 * MIB, [acme], []) == Grant(
        3, "another would not fit into the memory of customer acme (memory_max)"
    )
    host = Bound("the host (MemAvailable)", 1000 * MIB, 890 * MIB)
    assert fit(Grant(4), 2, 20 * MIB, [acme, host], []).workers == 2
    assert fit(Grant(4), 2, 20 * MIB, [], []) == Grant(4)


def test_what_was_promised_and_is_not_used_yet_counts_for_its_customer_and_the_host() -> None:
    acme = Bound("acme", 100 * MIB, 0, "acme")
    host = Bound("host", 200 * MIB, 0)
    promises = [Promise("acme", 60 * MIB), Promise("other", 60 * MIB)]
    assert fit(Grant(9), 1, 10 * MIB, [acme], promises).workers == 1 + 3
    assert fit(Grant(9), 1, 10 * MIB, [host], promises).workers == 1 + 6


def test_of_a_large_host_a_gigabyte_stays_free_and_not_a_tenth() -> None:
    host = Bound("host", 512 << 30, 500 << 30)
    assert fit(Grant(20), 1, 1 << 30, [host], []).workers == 1 + 11


class Shop:
    """A vassal in a simulation: its workers use their memory some seconds after their fork."""

    def __init__(self, one_bytes: int) -> None:
        self.one_bytes = one_bytes
        self.forked_at = [-100]

    def used(self, now: int, lag: int) -> int:
        grown = [max(0.1, min(1.0, (now - at) / lag)) for at in self.forked_at]
        return int(sum(grown) * self.one_bytes)


@given(
    st.lists(st.integers(5, 60), min_size=1, max_size=6),
    st.integers(100, 600),
    st.integers(1, 10),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8), st.integers(0, 4)), max_size=60),
)
def test_customers_vassals_that_all_grow_at_once_never_exceed_its_memory(sizes, limit, lag, asks):
    """Each asks by what its first worker uses; others ask while what it was granted is to come."""
    limit *= MIB
    shops = [Shop(size * MIB) for size in sizes]
    promised: dict[int, tuple[int, int]] = {}
    first = sum(shop.used(0, lag) for shop in shops)
    now = 0
    for index, more, pause in [*asks, (0, 0, 30)]:
        now += pause
        shop = shops[index % len(shops)]
        bound = Bound("acme", limit, sum(one.used(now, lag) for one in shops), "acme")
        promises = [
            Promise("acme", max(0, total - shops[number].used(now, lag)))
            for number, (total, until) in promised.items()
            if now < until
        ]
        held = len(shop.forked_at)
        # What it uses now per worker is less while some are young: that must not add up.
        one_bytes = shop.used(now, lag) // held
        granted = fit(Grant(held + more), held, one_bytes, [bound], promises).workers
        if more and min(now - at for at in shop.forked_at) >= lag and granted > held:
            shop.forked_at += [now] * (granted - held)
            total = shop.used(now, lag) + one_bytes * (granted - held)
            promised[index % len(shops)] = (total, now + PROMISE_S)
        assert sum(one.used(now, lag) for one in shops) <= max(limit, first)

"""How long a vassal that died waits."""

from hypothesis import given
from hypothesis import strategies as st

from emperor.core.restarts import RestartPolicy, delay_s, failures_after

POLICY = RestartPolicy()


def test_first_failure_waits_the_first_delay() -> None:
    assert delay_s(1, POLICY, 0.5) == 0.1


def test_delay_doubles_and_stops_at_the_cap() -> None:
    delays = [delay_s(n, POLICY, 0.5) for n in range(1, 15)]
    assert delays[1] == 0.2
    assert delays[-1] == 60.0


def test_vassal_that_was_ready_for_a_minute_is_forgiven() -> None:
    assert failures_after(7, 60.0, POLICY) == 1
    assert failures_after(7, 59.9, POLICY) == 8
    assert failures_after(7, None, POLICY) == 8


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_delay_is_positive_and_bounded(failures: int, chance: float) -> None:
    assert 0.0 < delay_s(failures, POLICY, chance) <= 60.0 * 1.25


@given(st.integers(1, 10**4), st.floats(0, 1, exclude_max=True))
def test_one_more_failure_never_shortens_the_wait_at_the_same_chance(
    failures: int, chance: float
) -> None:
    assert delay_s(failures + 1, POLICY, chance) >= delay_s(failures, POLICY, chance)

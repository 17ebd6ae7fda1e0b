"""Which attempts to serve have come to their end with another one."""

import pytest

from emperor.core.attempts import TO_COME, Attempts, attempt_of, is_over


@pytest.mark.parametrize(
    ("one", "ended", "over"),
    [
        ("a", "a", True),
        ("a/2", "a", True),
        ("a/2", "a/2", True),
        ("a/2", "a/3", True),
        ("a/10", "a/9", False),
        ("a/3", "a/2", False),
        ("a", "a/2", False),
        ("b/1", "a/2", False),
        ("b", "a", False),
    ],
)
def test_all_of_a_master_ends_with_it_and_what_a_later_generation_superseded(
    one: str, ended: str, over: bool
) -> None:
    assert is_over(one, ended) is over


def test_generation_of_a_master_is_named_after_both() -> None:
    assert attempt_of("a", 2) == "a/2"


def test_address_that_is_to_be_served_at_is_kept_until_the_next_attempt_there_is_over() -> None:
    attempts = Attempts(lambda kept: None)
    attempts.begin("blog", TO_COME, {"tcp:1"}, {"tcp:1"})
    assert attempts.only("blog", lambda one: not is_over(one, "a")) == set()
    attempts.begin("blog", "b", set(), {"tcp:1"})
    assert attempts.only("blog", lambda one: not is_over(one, "b")) == {"tcp:1"}


def test_what_has_begun_needs_its_address_also_if_nothing_more_is_to_come() -> None:
    attempts = Attempts(lambda kept: None)
    attempts.begin("blog", "a", {"tcp:1"}, {"tcp:1"})
    attempts.begin("blog", TO_COME, {"tcp:1", "tcp:2"}, {"tcp:1", "tcp:2"})
    assert attempts.without_next("blog", {"tcp:1", "tcp:2"}) == {"tcp:2"}
    assert attempts.needed("blog", "a") == ["tcp:1"]
    assert attempts.without_next("blog", {"tcp:1", "tcp:2"}) == set()

"""What the host said is asked for once a second at most."""

import pytest

from emperor.brain.lately import FRESH_S, Lately


def test_answer_is_remembered_by_its_key_for_a_moment() -> None:
    now = [100.0]
    lately = Lately(lambda: now[0])
    answers = iter(range(10))
    assert [lately.ask(key, lambda: next(answers)) for key in "abab"] == [0, 1, 0, 1]
    now[0] += FRESH_S
    assert lately.ask("a", lambda: next(answers)) == 2


def test_what_could_not_be_answered_is_asked_again() -> None:
    lately = Lately(lambda: 100.0)

    def fail() -> int:
        raise KeyError("nobody")

    with pytest.raises(KeyError):
        lately.ask("blog", fail)
    assert lately.ask("blog", lambda: 1) == 1

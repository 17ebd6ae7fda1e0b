"""How long a master may take to end whose file is gone."""

from types import SimpleNamespace
from typing import Any

from emperor.brain.memo import memo_of, terms_in_memo
from emperor.brain.roll import STOP_GRACE_S, UNKNOWN_TERMS, EndTerms, Roll
from emperor.brain.wishes import Wish
from emperor.core.reconcile import Desired
from emperor.core.registry import Vassal


def spec(stop_timeout: float, *exec_stop_post: str) -> Any:
    settings = SimpleNamespace(
        stop_timeout=stop_timeout,
        spawn_timeout=20.0,
        exec_stop_post=exec_stop_post,
        addresses=(),
    )
    identity = SimpleNamespace(uid=1000)
    return SimpleNamespace(settings=settings, identity=identity, path="/v/blog.toml")


def roll() -> Roll:
    return Roll(lambda *_: None, lambda _: None)


def patience_s(one: Roll) -> float:
    return one.stop_patience_s("blog")


def test_what_the_file_said_last_counts_until_nothing_of_the_vassal_runs() -> None:
    one = roll()
    one.wish("blog", Wish(spec=spec(120.0)))
    one.set(Vassal(name="blog"))
    one.wish("blog", Wish())  # its file has another owner, and cannot be used
    assert one.stop_timeout_s("blog") == 120.0
    one.wish("blog", Wish(spec=spec(7.0, "rm x")))
    one.wish("blog", None)
    assert one.stop_timeout_s("blog") == 7.0
    assert patience_s(one) == 7.0 + STOP_GRACE_S + 20.0
    one.drop("blog")
    assert patience_s(one) == sum(UNKNOWN_TERMS) + STOP_GRACE_S


def test_nothing_is_remembered_of_a_file_of_which_nothing_ran() -> None:
    one = roll()
    one.wish("blog", Wish(spec=spec(7.0)))
    one.wish("blog", None)
    assert patience_s(one) == sum(UNKNOWN_TERMS) + STOP_GRACE_S


def test_master_of_an_earlier_brain_tells_what_its_file_said_unless_that_is_there() -> None:
    one = roll()
    one.presume_terms("blog", EndTerms(3.0, 0.0))
    one.presume_terms("blog", EndTerms(2.0, 9.0))  # another master of the same
    assert patience_s(one) == 3.0 + STOP_GRACE_S + 9.0
    one.wish("blog", Wish(spec=spec(1.0)))
    one.presume_terms("blog", EndTerms(50.0, 50.0))
    assert patience_s(one) == 1.0 + STOP_GRACE_S


def test_new_name_of_a_file_that_cannot_be_used_changes_nothing_about_the_end() -> None:
    one = roll()
    one.wish("shop", Wish(spec=spec(120.0)))
    one.set(Vassal(name="shop"))
    one.wish("blog", Wish())  # the same file, with problems
    one.rename("shop", Vassal(name="blog"), ())
    assert one.stop_timeout_s("blog") == 120.0
    one.wish("forum", Wish(spec=spec(7.0)))
    one.rename("blog", Vassal(name="forum"), ())
    assert one.stop_timeout_s("forum") == 7.0  # what its own file says


def test_memo_says_what_the_file_says() -> None:
    desired = Desired(fingerprint="a:0")
    assert terms_in_memo(memo_of(desired, spec(7.5), "")) == EndTerms(7.5, 0.0)
    assert terms_in_memo(memo_of(desired, spec(7.5, "rm x"), "")) == EndTerms(7.5, 20.0)
    for memo in ("", "{}", '{"stop_s": "x", "clearing_s": -1}', '{"stop_s": 1e999}'):
        assert terms_in_memo(memo) == UNKNOWN_TERMS

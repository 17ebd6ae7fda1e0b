"""Who else runs as a uid, and how many files an owner has."""

from emperor.brain.neighbours import Neighbours
from emperor.config.policy import Holder


def test_rivals_have_the_uid_for_another_customer() -> None:
    known = Neighbours()
    known.enter(Holder("shop", 1000, "acme"), 0)
    known.enter(Holder("blog", 1000, "acme"), 0)
    known.enter(Holder("wiki", 1001, "beta"), 0)
    assert list(known.rivals(Holder("new", 1000, "acme"))) == []
    assert list(known.rivals(Holder("new", 1001, "beta"))) == []
    [rival] = known.rivals(Holder("new", 1000, "beta"))
    assert rival.vassal in ("shop", "blog")


def test_vassal_is_no_rival_of_itself() -> None:
    known = Neighbours()
    known.enter(Holder("blog", 1000, "acme"), 0)
    assert list(known.rivals(Holder("blog", 1000, "beta"))) == []


def test_owners_files_are_counted_without_the_one_that_is_read() -> None:
    known = Neighbours()
    for name in ("shop", "blog"):
        known.enter(Holder(name, 1000, None), 1000)
    assert (known.count_of(1000, "blog"), known.count_of(1000, "new")) == (1, 2)
    known.leave("shop")
    known.leave("unknown")
    assert known.count_of(1000, "new") == 1


def test_vassal_that_is_entered_again_is_where_it_is_now() -> None:
    known = Neighbours()
    known.enter(Holder("blog", 1000, "acme"), 1000)
    known.enter(Holder("blog", 1001, "acme"), 1001)
    assert list(known.rivals(Holder("new", 1000, "beta"))) == []
    assert known.count_of(1000, "new") == 0

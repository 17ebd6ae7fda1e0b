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


def owners(*names: str) -> Neighbours:
    """Return what is known of the files of one owner."""
    known = Neighbours()
    for name in names:
        known.enter(Holder(name, 1000, "acme"), 1000)
    return known


def test_new_name_of_one_that_is_gone_counts_whatever_its_file_says() -> None:
    known = owners("shop", "blog")
    known.make_room("shop")
    assert known.count_of(1000, "other") == 1
    assert known.take("new", of="shop")
    assert (known.has("new"), known.has("shop")) == (True, False)
    assert known.count_of(1000, "other") == 2
    assert [rival.vassal for rival in known.rivals(Holder("other", 1000, "beta"))] != []
    known.leave("shop")
    assert known.count_of(1000, "other") == 2
    known.leave("new")
    assert known.count_of(1000, "other") == 1


def test_place_into_which_somebody_has_come_is_nobody_elses() -> None:
    known = owners("shop")
    known.make_room("shop")
    known.enter(Holder("first", 1000, "acme"), 1000)
    known.make_room("shop")  # it is looked at twice
    assert not known.take("new", of="shop")
    assert not known.take("shop", of="shop")
    assert known.take("first", of="shop")  # that one counts already
    assert known.count_of(1000, "other") == 1


def test_one_that_is_back_has_the_place_that_nobody_has_taken() -> None:
    known = owners("shop", "blog")
    known.make_room("shop")
    known.leave("blog")
    known.enter(Holder("wiki", 1000, "acme"), 1000)
    assert known.take("shop", of="shop")
    assert known.count_of(1000, "other") == 2


def test_who_did_not_count_leaves_no_place() -> None:
    known = owners()
    known.make_room("shop")
    assert known.take("new", of="shop")  # nobody can have come into it
    assert not known.has("new")

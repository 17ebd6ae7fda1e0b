"""Whether new code is wanted that no emperor has decided about."""

from emperor.spawner.renewal import Renewal


def test_wish_lasts_until_an_emperor_has_read_it() -> None:
    renewal = Renewal()
    assert not renewal.is_wanted
    renewal.ask(3)
    renewal.answered(2)  # of an earlier ping: that says nothing of what came later
    assert renewal.is_wanted
    renewal.answered(3)
    assert not renewal.is_wanted


def test_second_wish_is_one_of_its_own() -> None:
    renewal = Renewal()
    renewal.ask(1)
    renewal.ask(2)
    renewal.answered(1)
    assert renewal.is_wanted
    renewal.decided()
    assert not renewal.is_wanted

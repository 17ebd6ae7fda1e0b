"""Which deaths of masters the next emperor is told of."""

from emperor.spawner.deaths import Deaths
from vassal.messages import MasterExited, MasterLost


def death(pid: int) -> MasterExited:
    return MasterExited(token=f"t{pid}", vassal="blog", pid=pid, signal=9)


def lost(pid: int) -> MasterLost:
    return MasterLost(token=f"t{pid}", vassal="blog", pid=pid, signal=9)


def test_death_that_an_emperor_has_heard_of_is_not_told_again() -> None:
    deaths = Deaths()
    assert deaths.begin() == ()
    deaths.answered()
    deaths.note(death(1))
    deaths.answered()
    assert deaths.begin() == ()


def test_answer_to_an_earlier_ping_says_nothing_of_a_later_death() -> None:
    deaths = Deaths()
    deaths.begin()
    deaths.pinged()
    deaths.note(death(1))
    deaths.answered()
    deaths.answered()
    assert deaths.begin() == (lost(1),)


def test_death_is_told_until_an_emperor_lives_long_enough_to_hear_of_it() -> None:
    deaths = Deaths()
    deaths.note(death(1))  # there was no emperor
    assert deaths.begin() == (lost(1),)
    deaths.note(death(2))
    assert deaths.begin() == (lost(1), lost(2))
    deaths.answered()
    assert deaths.begin() == ()


def test_death_that_nobody_has_heard_of_outlives_an_exec() -> None:
    before = Deaths()
    before.begin()
    before.note(death(1))
    after = Deaths(before.unheard)
    after.note(death(2))  # before its first emperor
    assert after.begin() == (lost(1), lost(2))
    after.answered()
    assert after.begin() == ()

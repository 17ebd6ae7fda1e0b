"""How often somebody has to ask until a spawner ends, and whom it still waits for."""

from emperor.spawner.ending import (
    DEATHS_MAX,
    FORCE_S,
    FORCED_STATUS,
    ONE_WISH_S,
    Ending,
    SpawnerState,
)


def test_first_wish_stops_gracefully_the_second_forces_and_the_third_waits_for_nothing() -> None:
    ending = Ending()
    states = [ending.asked(100.0 + count) for count in range(4)]
    assert states == [SpawnerState.STOPPING, SpawnerState.FORCED, SpawnerState.EXITING, None]


def test_what_comes_at_once_is_the_same_wish() -> None:
    ending = Ending()
    ending.asked(100.0)
    assert ending.asked(100.0 + ONE_WISH_S / 2) is None
    assert ending.state is SpawnerState.STOPPING
    # It begins no new time: who keeps asking is heard.
    assert ending.asked(100.0 + ONE_WISH_S + 0.01) is SpawnerState.FORCED


def test_what_the_emperor_was_told_by_others_is_no_signal_yet() -> None:
    ending = Ending()
    ending.told()
    assert (ending.is_wanted, ending.status) == (True, 0)
    # Whoever stops a unit writes into the fifo, and lets systemd send its signal right behind.
    assert ending.asked(100.0) is SpawnerState.STOPPING
    ending.told()
    assert ending.asked(101.0) is SpawnerState.FORCED


def test_who_is_to_hurry_has_a_bounded_time() -> None:
    ending = Ending()
    ending.asked(100.0)
    ending.asked(110.0)
    assert ending.look_at == 110.0 + FORCE_S
    ending.look(110.0 + FORCE_S - 0.1)
    assert ending.state is SpawnerState.FORCED
    ending.look(110.0 + FORCE_S)
    assert ending.state is SpawnerState.EXITING
    assert ending.status == FORCED_STATUS


def test_graceful_stop_has_no_time_of_the_spawners() -> None:
    ending = Ending()
    ending.asked(100.0)
    ending.look(1e9)
    assert ending.look_at is None
    assert ending.state is SpawnerState.STOPPING


def test_status_says_whether_requests_were_cut_and_else_what_the_emperor_says() -> None:
    graceful, forced, refused = Ending(), Ending(), Ending()
    graceful.asked(100.0)
    graceful.done(0)
    forced.asked(100.0)
    forced.asked(101.0)
    forced.done(0)
    refused.done(78)
    assert [one.status for one in (graceful, forced, refused)] == [0, FORCED_STATUS, 78]


def test_emperor_is_told_to_stop_everything_until_that_is_done() -> None:
    ending = Ending()
    wanted = [ending.is_wanted]
    for count in range(3):
        ending.asked(100.0 + count)
        wanted.append(ending.is_wanted)
    assert wanted == [False, True, True, False]


def test_emperors_that_die_one_after_the_other_do_not_keep_it_from_ending() -> None:
    ending = Ending()
    assert not any(ending.emperor_died() for _ in range(10))
    ending.asked(100.0)
    assert [ending.emperor_died() for _ in range(DEATHS_MAX)] == [False] * (DEATHS_MAX - 1) + [True]
    assert (ending.state, ending.status) == (SpawnerState.EXITING, FORCED_STATUS)

"""How `reload --wait` and its like know that it is over."""

from msgspec.structs import replace

from emperor.cli.verdict import verdict
from emperor.status import VassalState, VassalStatus
from vassal.failure import Failure

S = VassalState
BEGAN = 1000.0
READY = VassalStatus(name="blog", state=S.READY, config="", user="", generation=3, pid=7)
BROKEN = Failure(kind="load", message="boom", at=BEGAN + 1, traceback="Traceback: boom\n")


def test_nothing_is_said_while_it_is_under_way() -> None:
    assert verdict("reload", READY, READY, BEGAN) is None
    assert verdict("reload", READY, replace(READY, state=S.RELOADING), BEGAN) is None


def test_reload_is_good_when_a_later_generation_serves() -> None:
    found = verdict("reload", READY, replace(READY, generation=4), BEGAN)
    assert found == (True, "blog: generation 4 serves")


def test_reload_that_failed_says_why_and_that_the_old_version_serves() -> None:
    found = verdict("reload", READY, replace(READY, last_failure=BROKEN), BEGAN)
    assert found is not None
    assert not found.good
    assert "boom; the old version serves on" in found.text
    assert "Traceback" in found.text


def test_failure_from_before_is_not_this_one_s() -> None:
    old = replace(BROKEN, at=BEGAN - 1)
    assert verdict("reload", READY, replace(READY, last_failure=old), BEGAN) is None
    later = replace(READY, last_failure=BROKEN, generation=4)
    assert verdict("reload", READY, later, BEGAN) == (True, "blog: generation 4 serves")


def test_start_that_ends_in_backoff_or_parked_is_bad() -> None:
    stopped = replace(READY, state=S.STOPPED, pid=0)
    for state in (S.BACKOFF, S.PARKED):
        found = verdict("start", stopped, replace(stopped, state=state, last_failure=BROKEN), BEGAN)
        assert found is not None
        assert not found.good
    assert verdict("start", stopped, READY, BEGAN) == (True, "blog: generation 3 serves")


def test_restart_waits_for_another_master() -> None:
    assert verdict("restart", READY, READY, BEGAN) is None
    assert verdict("restart", READY, replace(READY, pid=8), BEGAN) is not None


def test_restart_of_one_that_starts_waits_for_another_master_too() -> None:
    starting = replace(READY, state=S.STARTING)
    assert verdict("restart", starting, READY, BEGAN) is None, "that was not asked to go yet"
    assert verdict("restart", starting, replace(READY, pid=8), BEGAN) is not None


def test_what_sleeps_then_has_nothing_of_what_was_before() -> None:
    asleep = replace(READY, state=S.DORMANT, pid=0)
    sleeps = (True, "blog sleeps: this is what the first connection starts")
    stopped = replace(READY, state=S.STOPPED, pid=0)
    for action in ("reload", "rollback", "restart", "renew"):
        for before in (READY, asleep):
            assert verdict(action, before, asleep, BEGAN) == sleeps
    assert verdict("start", stopped, asleep, BEGAN) == sleeps
    assert verdict("stop", READY, asleep, BEGAN) is None


def test_start_of_one_that_sleeps_waits_until_it_serves_or_sleeps_again_because_it_cannot() -> None:
    asleep = replace(READY, state=S.DORMANT, pid=0)
    assert verdict("start", asleep, asleep, BEGAN) is None
    assert verdict("start", asleep, READY, BEGAN) == (True, "blog: generation 3 serves")
    failed = verdict("start", asleep, replace(asleep, last_failure=BROKEN), BEGAN)
    assert failed is not None
    assert not failed.good


def test_rollback_of_one_that_is_stopped_does_not_say_that_it_serves() -> None:
    stopped = replace(READY, state=S.STOPPED, pid=0)
    found = verdict("rollback", stopped, stopped, BEGAN)
    assert found == (True, "blog is stopped: this is what starts next")


def test_stop_waits_until_it_is_stopped() -> None:
    assert verdict("stop", READY, replace(READY, state=S.STOPPING), BEGAN) is None
    assert verdict("stop", READY, replace(READY, state=S.STOPPED, pid=0), BEGAN) == (
        True,
        "blog is stopped",
    )


def test_who_is_stopped_meanwhile_is_not_waited_for() -> None:
    stopped = replace(READY, state=S.STOPPED, pid=0, held="somebody said stop")
    for action in ("reload", "restart", "rollback"):
        found = verdict(action, READY, stopped, BEGAN)
        assert found == (False, f"blog: {action} was cut short: somebody said stop")
    # Between the two halves of a restart nobody holds it.
    assert verdict("restart", READY, replace(stopped, held=""), BEGAN) is None
    assert verdict("start", stopped, stopped, BEGAN) is None

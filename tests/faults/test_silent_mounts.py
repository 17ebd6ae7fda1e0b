"""What vassals name may lie on a file system that does not answer: that costs only them."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.emperor import Emperor, get
from tests.support.fuse import FallingSilent, HangingFilesystem
from tests.support.need import need_root
from tests.support.wait import wait_until


@pytest.fixture
def remote() -> Iterator[FallingSilent]:
    need_root()
    with FallingSilent() as one:
        yield one


def says_silent(emperor: Emperor, name: str) -> bool:
    failure = emperor.vassal(name).get("last_failure") or {}
    return "does not answer" in failure.get("message", "")


def test_vassal_whose_folder_stops_answering_is_told_of_and_costs_nobody_else_anything(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    far_port = emperor.drop("far", directory=str(remote.path), pythonpath=[str(emperor.apps)])
    near_port = emperor.drop("near")
    emperor.start()
    far, near = emperor.wait_state("far", "ready"), emperor.wait_state("near", "ready")
    brain = emperor.brain_pid

    remote.fall_silent()
    keys = {"directory": str(remote.path), "pythonpath": [str(emperor.apps)], "workers": 2}
    emperor.drop("far", port=far_port, **keys)
    more_port = emperor.drop("more")
    emperor.wait_state("more", "ready")
    wait_until(lambda: says_silent(emperor, "far"), 20, "it says why")
    assert str(remote.path) in emperor.vassal("far")["last_failure"]["message"]
    assert [get(port)[0] for port in (far_port, near_port, more_port)] == [200] * 3
    assert emperor.brain_pid == brain

    emperor.wait_new_brain(emperor.kill_brain(), 30)
    late_port = emperor.drop("late")
    emperor.wait_state("late", "ready", 30)
    assert emperor.vassal("far")["pid"] == far["pid"]
    assert emperor.vassal("near")["pid"] == near["pid"]
    assert get(far_port)[0] == get(late_port)[0] == 200

    remote.answer_again()
    wait_until(lambda: len(emperor.vassal("far")["workers"]) == 2, 60, "the change is applied")
    assert "event=emperor_hung" not in emperor.log()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGHUP])
def test_brain_whose_look_cannot_even_be_killed_is_replaced(
    emperor: Emperor, signum: signal.Signals
) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("near")
    with HangingFilesystem() as dead:
        emperor.drop("far", python=f"{dead.path}/venv")
        emperor.start()
        near = emperor.wait_state("near", "ready", 30)
        wait_until(lambda: says_silent(emperor, "far"), 20, "it says why")
        old = emperor.brain_pid
        os.kill(old if signum == signal.SIGKILL else emperor.pid, signum)
        emperor.wait_new_brain(old, 90)
        assert "event=emperor_not_reaped" in emperor.log()
        late_port = emperor.drop("late")
        emperor.wait_state("late", "ready", 30)
        assert emperor.vassal("near")["pid"] == near["pid"]
        assert get(port)[0] == get(late_port)[0] == 200
        assert emperor.stop(60) == 0

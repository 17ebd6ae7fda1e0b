"""Who asks twice does not wait for requests, and nothing is left all the same."""

import os
import signal
import time
from pathlib import Path

import pytest

from emperor.spawner.ending import ONE_WISH_S
from tests.support import leftovers
from tests.support.emperor import Emperor
from tests.support.processes import alive
from tests.support.slow import Slow, serve
from tests.support.wait import wait_until

LONG_S = 60.0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_second_signal_cuts_requests_and_leaves_nothing_behind(
    emperor: Emperor, signum: int
) -> None:
    slow, sockets = being_served(emperor)
    asked_to_stop(emperor, signum)
    began = time.monotonic()
    os.kill(emperor.pid, signum)
    assert emperor.process is not None
    assert emperor.process.wait(20) == 1
    assert time.monotonic() - began < 5, emperor.log()
    assert slow.all_answers() == [0, 0]
    assert not [path for path in sockets if path.exists()]
    assert leftovers.of(emperor) == []
    assert "event=stop_forced" in emperor.log()
    assert "event=emperor_stopped" in emperor.log()
    assert "level=error" not in emperor.log()


def test_second_signal_does_not_wait_for_a_brain_that_hangs(emperor: Emperor) -> None:
    slow, _ = being_served(emperor)
    asked_to_stop(emperor, signal.SIGTERM)
    brain = emperor.brain_pid
    os.kill(brain, signal.SIGSTOP)
    began = time.monotonic()
    os.kill(emperor.pid, signal.SIGTERM)
    assert emperor.process is not None
    assert emperor.process.wait(20) == 1
    assert time.monotonic() - began < 12, emperor.log()
    assert slow.all_answers() == [0, 0]
    assert not alive(brain)


def test_third_signal_waits_for_nothing(emperor: Emperor) -> None:
    slow, _ = being_served(emperor)
    asked_to_stop(emperor, signal.SIGTERM)
    os.kill(emperor.brain_pid, signal.SIGSTOP)
    os.kill(emperor.pid, signal.SIGTERM)
    wait_until(lambda: "event=stop_forced" in emperor.log(), what="it was asked twice")
    another_wish()
    began = time.monotonic()
    os.kill(emperor.pid, signal.SIGTERM)
    assert emperor.process is not None
    assert emperor.process.wait(20) == 1
    assert time.monotonic() - began < 3
    assert slow.all_answers() == [0, 0]


def test_signal_to_a_process_and_to_its_group_is_one(emperor: Emperor) -> None:
    slow, _ = being_served(emperor, seconds=1)
    os.kill(emperor.pid, signal.SIGTERM)
    os.kill(emperor.pid, signal.SIGINT)  # another one, as the kernel keeps only one of each
    assert emperor.process is not None
    assert emperor.process.wait(20) == 0
    assert slow.all_answers() == [200, 200]
    assert leftovers.of(emperor) == []


def being_served(emperor: Emperor, seconds: float = LONG_S) -> tuple[Slow, list[Path]]:
    """Start two vassals with a request each under way; return these, and the sockets' files."""
    emperor.app("hello")
    runtime = emperor.runtime_dir
    sockets = [
        runtime / "control.sock",
        runtime / "sockets/u.sock",
        runtime / "hosts/u.example.sock",
    ]
    emperor.drop("unix", listen=[f"uwsgi+unix://{sockets[1]}"], hosts=["u.example"])
    ports = {name: emperor.drop(name, stop_timeout=LONG_S) for name in ("blog", "shop")}
    serve(emperor, "idle")
    for name in (*ports, "unix"):
        emperor.wait_state(name, "ready")
    wait_until(lambda: all(path.exists() for path in sockets), what="all sockets")
    return Slow(emperor, ports, seconds), sockets


def asked_to_stop(emperor: Emperor, signum: int) -> None:
    """Return when an emperor that was asked to stop waits for requests only."""
    os.kill(emperor.pid, signum)
    wait_until(lambda: emperor.state_of("idle") == "stopped", what="the idle one is stopped")
    another_wish()


def another_wish() -> None:
    """What comes at once counts as sent by the same hand."""
    time.sleep(ONE_WISH_S * 1.5)

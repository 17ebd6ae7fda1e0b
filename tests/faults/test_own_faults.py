"""What nobody thought of, and one vassal brings out, is that vassal's trouble and no other's."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import leftovers
from tests.support.code import change, installed
from tests.support.emperor import Emperor, emperor_over, get
from tests.support.wait import wait_until


@pytest.fixture
def code(nothing_left_behind: None) -> Iterator[tuple[Emperor, Path]]:
    """Yield an emperor of a copy of the code, and where that is. What it logs is not looked at."""
    with emperor_over() as one:
        where, python = installed(one.base)
        one.program = [python, "-m", "emperor"]
        one.app("hello")
        yield one, where
        assert one.stop() == 0, one.log()
        found = leftovers.of(one)
        assert not found, found


def others_serve(emperor: Emperor, port: int) -> None:
    """Check that another vassal is served, and deployed as if nothing was."""
    assert get(port)[0] == 200
    emperor.drop("blog", port=port, workers=2)
    wait_until(lambda: len(emperor.wait_state("blog", "ready")["workers"]) == 2, 10, "its change")
    assert get(port)[0] == 200


def test_fault_in_reading_a_file(code: tuple[Emperor, Path]) -> None:
    emperor, where = code
    change(
        where / "emperor/brain/specs.py",
        "        policy = self._settings.policy\n",
        "        policy = self._settings.policy\n"
        "        if settings.name == 'cursed' and settings.stop_timeout == 7:\n"
        "            raise KeyError('nobody')\n",
    )
    emperor.drop("cursed", stop_timeout=7)
    port = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    failure = emperor.wait_state("cursed", "parked")["last_failure"]
    assert "cursed.toml: KeyError('nobody'); this is a fault of emperord" in failure["message"]
    assert "vassal=cursed event=fault" in emperor.log()
    assert "specs.py" in emperor.log()
    others_serve(emperor, port)
    cursed = emperor.drop("cursed", stop_timeout=6)
    emperor.wait_state("cursed", "ready")
    emperor.drop("cursed", port=cursed, stop_timeout=7)
    wait_until(lambda: emperor.vassal("cursed")["last_failure"], 10, "the fault is told of")
    assert (emperor.state_of("cursed"), get(cursed)[0]) == ("ready", 200)
    assert emperor.log().count("event=fault level=error") == 1, "it is told once"


def test_fault_in_what_is_done_for_a_vassal(code: tuple[Emperor, Path]) -> None:
    emperor, where = code
    change(
        where / "emperor/brain/deeds.py",
        "        token = uuid.uuid4().hex\n",
        "        if vassal.name == 'cursed':\n"
        "            raise KeyError('nobody')\n"
        "        token = uuid.uuid4().hex\n",
    )
    emperor.drop("cursed")
    port = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    wait_until(lambda: "vassal=cursed event=fault" in emperor.log(), 5, "the fault is told of")
    others_serve(emperor, port)
    emperor.do("restart", "cursed")  # it is not looked at each time that something is heard of it
    wait_until(lambda: emperor.log().count("event=fault") == 2, 10, "it is tried once more")
    time.sleep(1)
    assert emperor.log().count("event=fault") == 2


def test_master_that_nobody_has_ever_started(code: tuple[Emperor, Path]) -> None:
    emperor, where = code
    change(
        where / "emperor/brain/spawning.py",
        "        self._limits.born(spec)\n",
        "        self._limits.born(spec)\n"
        "        if spec.settings.stop_timeout == 7:\n"
        "            return packets.close_all(fds)\n",
    )
    change(where / "emperor/brain/spawning.py", "START_GRACE_S = 10.0", "START_GRACE_S = 1.0")
    port = emperor.drop("blog", stop_timeout=7, spawn_timeout=1)
    emperor.start()
    wait_until(lambda: emperor.state_of("blog") == "backoff", 10, "it is given up")
    emperor.drop("blog", port=port, stop_timeout=6)
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200


def test_fault_in_taking_in_what_a_master_says(code: tuple[Emperor, Path]) -> None:
    emperor, where = code
    change(
        where / "emperor/brain/facts.py",
        "            case LimitsChanged(failed=failed):\n",
        "            case LimitsChanged(failed=failed):\n"
        "                raise KeyError('nobody')\n",
    )
    port = emperor.drop("blog", text="[limits]\nlimit_nofile = 100\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.drop("blog", port=port, text="[limits]\nlimit_nofile = 101\n")
    wait_until(lambda: "event=fault" in emperor.log(), 10, "the fault is told of")
    assert "KeyError('nobody')" in emperor.log()
    others_serve(emperor, port)


def test_emperor_that_cannot_run_can_be_stopped(nothing_left_behind: None) -> None:
    with emperor_over() as emperor:
        where, python = installed(emperor.base)
        emperor.program = [python, "-m", "emperor"]
        port = emperor.serve()
        change(
            where / "emperor/brain/brain.py",
            "    async def run(self) -> None:\n",
            "    async def run(self) -> None:\n        raise KeyError('nobody')\n",
        )
        emperor.kill_brain()
        wait_until(lambda: emperor.log().count("event=emperor_died") > 2, 20, "none of them lives")
        assert get(port)[0] == 200
        assert emperor.stop() == 1
        assert "no emperor lives long enough" in emperor.log()

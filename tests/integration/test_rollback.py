"""The way back: to the last version of a vassal file that served."""

import subprocess
from pathlib import Path

import pytest

from tests.support.control import emperor as command
from tests.support.emperor import Emperor, get
from tests.support.wait import wait_until

ECHO = """
import os

def application(environ, start_response):
    start_response("200 OK", [])
    return [os.environ["VERSION"].encode()]
"""


def drop(one: Emperor, version: str, port: int | None = None, app: str = "echo:application") -> int:
    more = {} if port is None else {"port": port}
    return one.drop("blog", app=app, text=f'[env]\nVERSION = "{version}"\n', **more)


@pytest.fixture
def where(emperor: Emperor) -> dict[str, str]:
    return {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}


@pytest.fixture
def port(emperor: Emperor) -> int:
    """Serve version one and then two."""
    emperor.app("echo", ECHO)
    port = drop(emperor, "one")
    emperor.start()
    emperor.wait_state("blog", "ready")
    drop(emperor, "two", port)
    wait_until(lambda: get(port)[1] == b"two")
    emperor.wait_state("blog", "ready")
    return port


def roll_back(where: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return command("rollback", "--wait", "blog", environ=where)


def test_good_version_goes_back_to_the_one_before_and_forth_again(
    emperor: Emperor, port: int, where: dict[str, str]
) -> None:
    done = roll_back(where)
    assert done.returncode == 0, done.stderr
    assert "back to the version that served first at" in done.stdout
    assert get(port)[1] == b"one"
    assert "rolled back" in command("status", "blog", environ=where).stdout
    done = roll_back(where)
    assert "back to what its file says" in done.stdout
    assert get(port)[1] == b"two"
    assert emperor.vassal("blog")["rolled_back_to"] is None


def test_changed_file_counts_again(emperor: Emperor, port: int, where: dict[str, str]) -> None:
    roll_back(where)
    drop(emperor, "three", port)
    wait_until(lambda: get(port)[1] == b"three")
    assert emperor.vassal("blog")["rolled_back_to"] is None
    roll_back(where)
    assert get(port)[1] == b"one"  # what served before three


def test_it_holds_through_a_reload_a_new_brain_and_a_new_emperor(
    emperor: Emperor, port: int, where: dict[str, str]
) -> None:
    roll_back(where)
    assert command("reload", "--wait", "blog", environ=where).returncode == 0
    assert get(port)[1] == b"one"
    emperor.wait_new_brain(emperor.kill_brain())
    emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"one"
    emperor.stop()
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"one"


def test_version_that_never_served_is_left_for_the_last_that_did(
    emperor: Emperor, port: int, where: dict[str, str]
) -> None:
    drop(emperor, "three", port, app="nothing_there:application")
    wait_until(lambda: "event=reload_failed" in emperor.log())
    assert roll_back(where).returncode == 0
    assert get(port)[1] == b"two"
    emperor.do("restart", "blog")
    wait_until(lambda: emperor.vassal("blog")["state"] == "ready" and get(port)[1] == b"two")


def test_without_a_version_to_go_back_to_it_says_so(
    emperor: Emperor, where: dict[str, str]
) -> None:
    emperor.app("echo", ECHO)
    drop(emperor, "one")
    emperor.start()
    emperor.wait_state("blog", "ready")
    done = roll_back(where)
    assert done.returncode == 1
    assert "no other version of blog has served" in done.stderr


def test_file_that_was_broken_while_nobody_looked_does_not_keep_the_site_down(
    emperor: Emperor, port: int
) -> None:
    emperor.stop()
    (emperor.vassals / "blog.toml").write_text("app = \n")
    emperor.start()
    vassal = emperor.wait_state("blog", "ready")
    assert get(port)[1] == b"two"
    assert "blog.toml:1: syntax" in vassal["last_failure"]["message"]
    assert "event=last_good_used" in emperor.log()


def test_removed_file_takes_its_versions_along(emperor: Emperor, port: int) -> None:
    state = emperor.runtime_dir / "state"
    assert list(state.iterdir())
    emperor.remove("blog")
    wait_until(lambda: not list(state.iterdir()), what="nothing of it is left")


def test_nobody_but_the_emperor_reads_the_versions(emperor: Emperor, port: int) -> None:
    state: Path = emperor.runtime_dir / "state"
    assert state.stat().st_mode & 0o777 == 0o700

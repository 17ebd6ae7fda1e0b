"""`emperor reload --wait`: what a deploy script relies on."""

import pytest

from tests.support.control import emperor as command
from tests.support.emperor import HELLO, Emperor, get
from tests.support.wait import wait_until


@pytest.fixture
def where(emperor: Emperor) -> dict[str, str]:
    return {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}


def test_good_deploy_is_status_0_once_the_new_code_serves(
    emperor: Emperor, where: dict[str, str]
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.app("hello", HELLO.replace("one", "second"))
    done = command("reload", "blog", "--wait", environ=where)
    assert done.returncode == 0, done
    assert "blog: generation 2 serves" in done.stdout
    assert get(port)[1].startswith(b"second")


def test_broken_deploy_is_status_1_with_the_traceback_and_the_old_code_serves(
    emperor: Emperor, where: dict[str, str]
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.app("hello", "raise RuntimeError('half a deploy')\n")
    done = command("reload", "blog", "--wait", environ=where)
    assert done.returncode == 1, done
    assert "the old version serves on" in done.stdout
    assert "RuntimeError: half a deploy" in done.stdout
    assert get(port)[1].startswith(b"one")


def test_stop_start_and_restart_wait_too(emperor: Emperor, where: dict[str, str]) -> None:
    emperor.app("hello")
    emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    assert command("restart", "blog", "--wait", environ=where).returncode == 0
    assert emperor.vassal("blog")["pid"] != before["pid"]
    assert command("stop", "blog", "--wait", environ=where).returncode == 0
    assert emperor.vassal("blog")["state"] == "stopped"
    assert command("start", "blog", "--wait", environ=where).returncode == 0
    assert emperor.vassal("blog")["state"] == "ready"


def test_no_verdict_in_time_is_status_1(emperor: Emperor, where: dict[str, str]) -> None:
    emperor.app("hello")
    emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.app("hello", "import time\ntime.sleep(5)\n" + HELLO)
    done = command("reload", "blog", "--wait", "--timeout", "0.3", environ=where)
    assert done.returncode == 1
    assert "no verdict within 0.3 s" in done.stderr
    wait_until(lambda: emperor.vassal("blog")["state"] == "reloading", what="it goes on")

"""`emperor reload --wait`: what a deploy script relies on."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.control import REPOSITORY, emperor_command
from tests.support.control import emperor as command
from tests.support.emperor import HELLO, UNCONFINED, Emperor, get
from tests.support.processes import children, cmdline
from tests.support.wait import wait_until


@pytest.fixture
def where(emperor: Emperor) -> dict[str, str]:
    return {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}


def test_good_deploy_is_status_0_once_the_new_code_serves(
    emperor: Emperor, where: dict[str, str]
) -> None:
    port = emperor.serve()
    emperor.app("hello", HELLO.replace("one", "second"))
    done = command("reload", "blog", "--wait", environ=where)
    assert done.returncode == 0, done
    assert "blog: generation 2 serves" in done.stdout
    assert get(port)[1].startswith(b"second")


def test_broken_deploy_is_status_1_with_the_traceback_and_the_old_code_serves(
    emperor: Emperor, where: dict[str, str]
) -> None:
    port = emperor.serve()
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
    emperor.serve()
    emperor.app("hello", "import time\ntime.sleep(5)\n" + HELLO)
    done = command("reload", "blog", "--wait", "--timeout", "0.3", environ=where)
    assert done.returncode == 1
    assert "no verdict within 0.3 s" in done.stderr
    wait_until(lambda: emperor.vassal("blog")["state"] == "reloading", what="it goes on")


SLOW = "import time\ntime.sleep(3)\n" + HELLO.replace("one", "second")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wrokers = 3\n", "did you mean workers"),
        ("workers = [\n", "blog.toml:"),
        ('user = "root"\n', "root"),
    ],
    ids=["unknown key", "syntax error", "refused policy"],
)
def test_file_that_cannot_be_used_is_status_1_and_the_old_version_serves(
    emperor: Emperor, where: dict[str, str], text: str, told: str
) -> None:
    port = emperor.serve()
    emperor.drop("blog", port=port, text=text)
    wait_until(lambda: emperor.vassal("blog")["last_failure"], what="the file is read")
    done = command("reload", "blog", "--wait", "--timeout", "20", environ=where)
    assert done.returncode == 1, done
    assert told in done.stdout + done.stderr
    assert get(port)[1].startswith(b"one")


def test_new_code_that_does_not_load_in_time_is_status_1_and_its_stack_is_in_the_log(
    emperor: Emperor, where: dict[str, str]
) -> None:
    port = emperor.serve(spawn_timeout=2)
    emperor.app("hello", "import time\ntime.sleep(1000)  # the database\n")
    done = command("reload", "blog", "--wait", environ=where)
    assert done.returncode == 1, done
    assert "spawn_timeout" in done.stdout
    assert 'hello.py", line 2' in emperor.vassal_log("blog")
    assert get(port)[1].startswith(b"one")


def test_canary_that_exits_as_it_is_forked_is_status_1_and_the_old_workers_stay(
    emperor: Emperor, where: dict[str, str]
) -> None:
    port = emperor.serve(workers=3)
    before = {row["pid"] for row in emperor.vassal("blog")["workers"]}
    dies = "import os\nos.register_at_fork(after_in_child=lambda: os._exit(7))\n"
    emperor.app("hello", dies + HELLO)
    done = command("reload", "blog", "--wait", environ=where)
    assert done.returncode == 1, done
    assert "died (right behind its fork)" in done.stdout
    assert {row["pid"] for row in emperor.vassal("blog")["workers"]} == before
    assert get(port)[1].startswith(b"one")


@contextmanager
def reload_under_way(emperor: Emperor, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Begin `reload --wait`, and go on as soon as the new generation is being built."""
    with subprocess.Popen(
        emperor_command("reload", "blog", "--wait", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env={"PATH": os.defpath, "EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)},
    ) as deploy:
        wait_until(lambda: emperor.vassal("blog")["state"] == "reloading", what="it is built")
        yield deploy


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_verdict_comes_though_the_brain_is_lost_meanwhile(emperor: Emperor, signum: int) -> None:
    port = emperor.serve()
    emperor.app("hello", SLOW)
    with reload_under_way(emperor) as deploy:
        emperor.wait_new_brain(emperor.kill_brain(signum), 30)
        told = deploy.communicate(timeout=60)[0]
    assert deploy.returncode == 0, told
    assert "blog: generation 2 serves" in told
    assert get(port)[1].startswith(b"second")


def test_failure_is_told_though_the_brain_is_lost_meanwhile(emperor: Emperor) -> None:
    port = emperor.serve()
    emperor.app("hello", SLOW + "raise RuntimeError('half a deploy')\n")
    with reload_under_way(emperor) as deploy:
        emperor.wait_new_brain(emperor.kill_brain(), 30)
        told = deploy.communicate(timeout=60)[0]
    assert deploy.returncode == 1, told
    assert "RuntimeError: half a deploy" in told
    assert get(port)[1].startswith(b"one")


def test_emperor_that_ends_meanwhile_is_no_success(emperor: Emperor) -> None:
    emperor.serve()
    emperor.app("hello", SLOW)
    with reload_under_way(emperor, "--timeout", "5") as deploy:
        assert emperor.stop() == 0
        told = deploy.communicate(timeout=60)[0]
    assert deploy.returncode != 0, told
    # It hears the last event, or finds nobody any more.
    assert "no emperor" in told or "the emperor stops" in told


def test_refused_address_is_a_verdict_at_once(emperor: Emperor, where: dict[str, str]) -> None:
    emperor.app("hello")
    taken = emperor.drop("shop")
    own = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("shop", "ready")
    emperor.wait_state("blog", "ready")
    both = [f"http://127.0.0.1:{own}", f"http://127.0.0.1:{taken}"]
    emperor.drop("blog", listen=both)
    done = command("reload", "blog", "--wait", "--timeout", "10", environ=where)
    assert done.returncode == 1, done
    assert "listens there already; the old version serves on" in done.stdout


def test_successor_that_dies_is_a_verdict_at_once(emperor: Emperor, where: dict[str, str]) -> None:
    emperor.app("hello")
    emperor.app("slow", "import time\ntime.sleep(30)\n")
    port = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.drop("blog", "slow:application", port=port, text=UNCONFINED)
    wait_until(lambda: len(_masters(emperor)) == 2, what="a second master")
    earlier = set(_masters(emperor))
    asked = emperor_command("reload", "blog", "--wait", "--timeout", "15")
    with subprocess.Popen(
        asked, env={**os.environ, **where}, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as waiting:
        wait_until(lambda: emperor.log().count("event=successor_starting") == 2, what="another")
        # The one before it may not have ended yet.
        another = wait_until(lambda: set(_masters(emperor)) - earlier, what="it is there")
        os.kill(another.pop(), signal.SIGKILL)
        assert waiting.wait(20) == 1
        assert waiting.stdout is not None
        assert "the new master died" in waiting.stdout.read()
    assert get(port)[0] == 200


def _masters(emperor: Emperor) -> list[int]:
    return [pid for pid in children(emperor.pid) if "master of" in cmdline(pid)]

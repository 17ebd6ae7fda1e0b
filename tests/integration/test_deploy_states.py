"""`--wait` of commands for vassals that are not just ready: status and words of each verdict."""

import subprocess
import threading

import pytest

from tests.support.control import emperor as command
from tests.support.emperor import Emperor, get
from tests.support.wait import wait_until

SLOW = "import time\ntime.sleep(2)\nfrom hello import application\n"


@pytest.fixture
def ask(emperor: Emperor):
    """Ask for something with --wait; return the exit status and all that was said."""

    def asked(*words: str) -> tuple[int, str]:
        environ = {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}
        done: subprocess.CompletedProcess[str] = command(*words, "--wait", environ=environ)
        return done.returncode, done.stdout + done.stderr

    return asked


def test_one_that_sleeps_has_nothing_to_wait_for(emperor: Emperor, ask) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", on_demand=True)
    emperor.start()
    emperor.wait_state("blog", "dormant")
    for action in ("reload", "restart"):
        status, said = ask(action, "blog", "--timeout", "20")
        assert (status, "the first connection starts" in said) == (0, True), said
        assert emperor.state_of("blog") == "dormant"

    status, said = ask("start", "blog")
    assert (status, "generation 1 serves" in said) == (0, True), said
    pid = emperor.wait_state("blog", "ready")["pid"]
    status, said = ask("start", "blog")
    assert status == 1
    assert "blog is ready already. To load it anew, run: emperor reload blog\n" in said
    status, said = ask("restart", "blog", "--timeout", "20")
    assert (status, "the first connection starts" in said) == (0, True), said
    assert get(port)[1] != b"one %d" % pid

    assert ask("stop", "blog")[0] == 0
    status, said = ask("reload", "blog")
    assert (status, "is stopped, not running. Run: emperor start blog" in said) == (1, True), said
    status, said = ask("start", "blog", "--timeout", "20")
    assert (status, "asleep until the first connection" in said) == (0, True), said
    assert get(port)[0] == 200


def test_refusal_of_a_file_with_many_problems_has_a_line_for_each(emperor: Emperor, ask) -> None:
    emperor.drop("blog", wrokers=3, treads=2)
    emperor.start()
    emperor.wait_state("blog", "parked")
    status, said = ask("reload", "blog")
    first, second = said.splitlines()
    assert status == 1
    assert first.startswith("emperor: ")
    assert first.endswith(": wrokers: unknown key; did you mean workers?")
    assert second.endswith("did you mean threads?. Run: emperor explain blog")


def test_one_that_sleeps_and_cannot_start_is_told(emperor: Emperor, ask) -> None:
    emperor.app("hello", "1 / 0\n")
    emperor.drop("blog", on_demand=True)
    emperor.start()
    emperor.wait_state("blog", "dormant")
    status, said = ask("start", "blog", "--timeout", "20")
    assert (status, "ZeroDivisionError" in said) == (1, True), said


@pytest.mark.parametrize("state", ["parked", "backoff"])
def test_one_that_does_not_come_up_is_told_of_each_time(emperor: Emperor, ask, state: str) -> None:
    emperor.app("hello", {"parked": "1 / 0\n", "backoff": "import os\nos._exit(3)\n"}[state])
    emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", state)
    status, said = ask("reload", "blog")
    assert status == 1, said
    if state == "parked":  # the other one may be trying again just now
        assert "blog is parked, not running. Run: emperor start blog" in said
    for action in ("start", "restart"):
        emperor.wait_state("blog", state)
        status, said = ask(action, "blog", "--timeout", "20")
        if "is starting already" in said:  # it was tried again just then
            emperor.wait_state("blog", state)
            status, said = ask(action, "blog", "--timeout", "20")
        assert (status, f"it is {state} now" in said) == (1, True), said


def test_restart_of_one_that_starts_waits_for_the_one_that_comes_after(
    emperor: Emperor, ask
) -> None:
    emperor.app("hello")
    emperor.app("slow", SLOW)
    port = emperor.drop("blog", "slow:application")
    emperor.start()
    first = wait_until(lambda: emperor.vassal("blog").get("pid"), 10, "the first master")
    status, said = ask("restart", "blog")
    assert (status, "serves" in said) == (0, True), said
    assert emperor.vassal("blog")["pid"] != first
    assert get(port)[0] == 200


def test_two_reloads_at_once_both_wait_for_the_later_one(emperor: Emperor, ask) -> None:
    emperor.serve()
    emperor.app("hello", "import time\ntime.sleep(2)\n" + SLOW.partition("\n")[0] + "\n1 / 0\n")
    found: list[tuple[int, str]] = []
    first = threading.Thread(target=lambda: found.append(ask("reload", "blog")))
    first.start()
    wait_until(lambda: emperor.log().count("event=generation_started") == 2, 10, "the first one")
    found.append(ask("reload", "blog"))
    first.join(30)
    assert [status for status, _ in found] == [1, 1], found
    assert all("ZeroDivisionError" in said for _, said in found), found


def test_verdict_that_does_not_come_says_what_it_is_doing(emperor: Emperor, ask) -> None:
    emperor.serve()
    emperor.app("hello", "import time\ntime.sleep(30)\n")
    status, said = ask("reload", "blog", "--timeout", "1")
    assert (status, "no verdict within 1 s: it is reloading" in said) == (1, True), said

"""Who hangs is noticed and replaced: a master with its requests, and the brain.

EMPEROR_TEST_STOPPED_S=60 in the environment stops both for longer.
"""

import os
import signal
import threading
import time

import pytest

from emperor.brain.heartbeat import ANSWER_S, EVERY_S, TIMES
from emperor.spawner import pulse
from tests.support.emperor import UNCONFINED, Emperor, asked_all_the_time, get
from tests.support.load import check
from tests.support.need import need_root
from tests.support.processes import alive, children
from tests.support.site import WORKERS, Site
from tests.support.traced import hanging
from tests.support.wait import wait_until
from vassal.master.crew import STOPPED_MAX_S

STOPPED_S = float(os.environ.get("EMPEROR_TEST_STOPPED_S", "6"))


def test_master_that_is_stopped_is_replaced_and_its_workers_requests_finish(
    emperor: Emperor,
) -> None:
    port = emperor.serve(workers=2)
    old = emperor.vassal("blog")["pid"]
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(get(port, "/sleep/14", 30)[0]))
    client.start()
    time.sleep(0.3)
    os.kill(old, signal.SIGSTOP)
    # Its workers serve on meanwhile.
    wait_until(lambda: get(port)[0] == 200 and emperor.vassal("blog")["pid"] != old, 30, "relief")
    assert "event=master_hung" in emperor.log()
    assert get(port)[0] == 200
    client.join(30)
    assert answers == [200]
    assert alive(old)
    os.kill(old, signal.SIGCONT)
    wait_until(lambda: not alive(old), 20, "the old master to go")
    assert emperor.vassal("blog")["state"] == "ready"


def test_new_brain_does_not_kill_a_master_for_the_silence_of_another(emperor: Emperor) -> None:
    """What serves has answered it; the one that stands by is stopped, and cannot."""
    port = emperor.serve(text="health.settle = 3600\n")
    old = emperor.vassal("blog")["pid"]
    text = f"health.settle = 3600\n{UNCONFINED}"
    emperor.drop("blog", port=port, text=text)
    wait_until(lambda: emperor.vassal("blog")["pid"] != old, 20, "another master serves")
    new = emperor.vassal("blog")["pid"]
    brain = emperor.kill_brain()
    os.kill(old, signal.SIGSTOP)
    emperor.wait_new_brain(brain)
    with asked_all_the_time(port) as answers:
        wait_until(lambda: not alive(old), 40, "the one that gives no answer is killed")
        wait_until(lambda: emperor.vassal("blog")["pid"] == new, 10, "the other one is adopted")
    assert {status for status, _ in answers} == {200}
    assert alive(new)


def test_new_brain_stops_no_master_that_has_not_answered_yet(emperor: Emperor) -> None:
    port = emperor.serve()
    old = emperor.vassal("blog")["pid"]
    brain = emperor.kill_brain()
    os.kill(old, signal.SIGSTOP)
    emperor.drop("blog", port=port, text=UNCONFINED)  # this needs a new master
    emperor.wait_new_brain(brain)
    wait_until(lambda: "event=emperor_started" in emperor.log().partition("emperor_died")[2])
    wait_until(lambda: emperor.state_of("blog") == "starting", what="it acts without the answer")
    time.sleep(0.5)
    os.kill(old, signal.SIGCONT)
    wait_until(lambda: not alive(old), 20, "the old master to go")
    assert emperor.wait_state("blog", "ready")["pid"] != old
    assert get(port)[0] == 200
    assert "event=successor_serves" in emperor.log()
    assert "event=vassal_stopping" not in emperor.log()


@pytest.mark.parametrize("who_removes", ["a brain that knows the file", "nobody"])
def test_master_that_is_stopped_ends_soon_when_its_file_is_gone(
    emperor: Emperor, who_removes: str
) -> None:
    """As soon as its stop_timeout has passed: that of the file, which is not there any more."""
    port = emperor.serve(stop_timeout=8)
    master = emperor.vassal("blog")["pid"]
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(get(port, "/sleep/7", 30)[0]))
    client.start()
    wait_until(lambda: emperor.vassal("blog")["workers"][0]["state"] == "busy", what="it is at it")
    os.kill(master, signal.SIGSTOP)
    began = time.monotonic()
    if who_removes == "nobody":
        brain = emperor.kill_brain()
        emperor.remove("blog")
        emperor.wait_new_brain(brain)
    else:
        emperor.remove("blog")
    # A minute less than where no file has ever said anything.
    wait_until(lambda: not alive(master), 35, "the master to go")
    assert time.monotonic() - began > 8
    client.join(30)
    assert answers == [200]
    assert "event=master_killed" in emperor.log()


def test_workers_of_a_master_that_hangs_accept_no_more_when_the_vassal_is_stopped(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", stop_timeout=300)
    emperor.start()
    status = emperor.wait_state("blog", "ready")
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(get(port, "/sleep/14", 30)[0]))
    client.start()
    wait_until(lambda: emperor.vassal("blog")["workers"][0]["state"] == "busy", what="it is at it")
    os.kill(status["pid"], signal.SIGSTOP)
    emperor.do("stop", "blog")
    wait_until(lambda: not alive(status["workers"][0]["pid"]), 40, "the worker to go")
    client.join(30)
    assert answers == [200]
    os.kill(status["pid"], signal.SIGCONT)
    emperor.wait_state("blog", "stopped", 30)


def test_master_that_was_stopped_for_a_moment_stays(emperor: Emperor) -> None:
    port = emperor.serve()
    pid = emperor.vassal("blog")["pid"]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(6)  # one silence
    os.kill(pid, signal.SIGCONT)
    time.sleep(6)
    assert "event=master_hung" not in emperor.log()
    assert emperor.vassal("blog")["pid"] == pid
    assert get(port)[0] == 200


def test_master_whose_relief_fails_keeps_its_place_and_says_why(emperor: Emperor) -> None:
    emperor.app("changing", "def application(e, s):\n    s('200 OK', [])\n    return [b'old']\n")
    port = emperor.drop("blog", app="changing:application")
    emperor.start()
    old = emperor.wait_state("blog", "ready")["pid"]
    emperor.app("changing", "raise RuntimeError('no database')\n")
    os.kill(old, signal.SIGSTOP)
    wait_until(lambda: "event=reload_failed" in emperor.log(), 30, "the relief to fail")
    vassal = emperor.vassal("blog")
    assert (vassal["pid"], vassal["state"]) == (old, "ready")
    assert "no database" in vassal["last_failure"]["traceback"]
    assert get(port) == (200, b"old")
    os.kill(old, signal.SIGCONT)
    wait_until(lambda: "event=master_answers" in emperor.log(), 90, "it is believed again")


@pytest.mark.timeout(2 * EVERY_S + 180)
def test_master_that_hangs_by_a_bug_is_replaced_and_its_workers_serve_on(emperor: Emperor) -> None:
    need_root()  # others may not trace a master
    port = emperor.serve(workers=2)
    old = emperor.vassal("blog")["pid"]
    # In the first round nobody is asked who was not there before.
    give_up_at = time.monotonic() + 2 * EVERY_S + TIMES * ANSWER_S + 60
    with hanging(old):
        while "event=master_hung" not in emperor.log():
            assert get(port)[0] == 200
            assert time.monotonic() < give_up_at, emperor.log()
            time.sleep(0.5)
        wait_until(lambda: emperor.log().count("event=vassal_ready") == 2, 20, "relief")
        assert get(port)[0] == 200
    # strace holds on to what is killed: only now it can end.
    wait_until(lambda: not alive(old), 60, "the old master to go")
    master = emperor.wait_state("blog", "ready")["pid"]
    wait_until(lambda: len(children(master)) == 3, what="one mold and its workers")


@pytest.mark.timeout(240)
def test_brain_that_hangs_by_a_bug_is_replaced(site: Site) -> None:
    brain, master = site.emperor.brain_pid, site.status["pid"]
    with site.asked() as asked, hanging(brain):
        patience_s = pulse.EVERY_S + pulse.TIMES * pulse.ANSWER_S + 30
        site.emperor.wait_new_brain(brain, patience_s)
    check(asked.outcomes, site.served)
    assert "event=emperor_hung" in site.emperor.log()
    assert site.status["pid"] == master


def test_brain_that_is_stopped_is_replaced_within_a_second(emperor: Emperor) -> None:
    port = emperor.serve()
    old = emperor.status()["emperor"]["pid"]
    began = time.monotonic()
    os.kill(old, signal.SIGSTOP)
    emperor.wait_new_brain(old)
    took_s = time.monotonic() - began
    assert get(port)[0] == 200
    assert not alive(old)
    assert "event=emperor_hung" in emperor.log()
    print(f"steering again after {took_s:.2f} s")


def test_brain_that_is_stopped_for_a_blink_stays(emperor: Emperor) -> None:
    emperor.serve()
    brain = emperor.status()["emperor"]["pid"]
    os.kill(brain, signal.SIGSTOP)
    os.kill(brain, signal.SIGCONT)
    time.sleep(1)
    assert emperor.status()["emperor"]["pid"] == brain


def test_only_worker_that_is_stopped_while_idle_is_replaced_and_who_waits_is_served(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    [worker] = emperor.wait_state("blog", "ready")["workers"]
    os.kill(worker["pid"], signal.SIGSTOP)
    assert get(port, timeout=60)[0] == 200
    status = emperor.vassal("blog")
    assert status["workers"][0]["pid"] != worker["pid"]
    assert "a signal had stopped it" in status["last_failure"]["message"]
    assert "reason=stopped" in emperor.vassal_log("blog")


def test_worker_that_was_stopped_for_a_moment_stays(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    [worker] = emperor.wait_state("blog", "ready")["workers"]
    for _ in range(3):
        os.kill(worker["pid"], signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(worker["pid"], signal.SIGCONT)
    time.sleep(STOPPED_MAX_S + 1)
    assert get(port)[0] == 200
    assert emperor.vassal("blog")["workers"][0]["pid"] == worker["pid"]


def test_request_of_a_worker_that_is_stopped_goes_on_with_it(emperor: Emperor) -> None:
    emperor.app("hello")
    port = emperor.drop("blog", harakiri=0)
    emperor.start()
    [worker] = emperor.wait_state("blog", "ready")["workers"]
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(get(port, "/sleep/1", 60)[0]))
    client.start()
    wait_until(lambda: emperor.vassal("blog")["workers"][0]["state"] == "busy", what="it is at it")
    os.kill(worker["pid"], signal.SIGSTOP)
    time.sleep(STOPPED_MAX_S + 1)
    os.kill(worker["pid"], signal.SIGCONT)
    client.join(60)
    assert answers == [200]


@pytest.mark.timeout(120 + 2 * STOPPED_S)
def test_brain_and_then_master_stopped_under_load_cost_nothing_and_leave_one_of_each(
    site: Site,
) -> None:
    emperor, old = site.emperor, site.status["pid"]
    with site.asked() as asked:
        brain = emperor.kill_brain(signal.SIGSTOP)
        emperor.wait_new_brain(brain)
        time.sleep(STOPPED_S)
        assert site.status["pid"] == old, "a brain that hangs costs no master"

        os.kill(old, signal.SIGSTOP)
        continue_at = time.monotonic() + STOPPED_S
        wait_until(lambda: site.status["pid"] != old, 60, "another master")
        time.sleep(max(0.0, continue_at - time.monotonic()))
        os.kill(old, signal.SIGCONT)
        wait_until(lambda: not alive(old), 30, "the old master to go")
    check(asked.outcomes, site.served)
    master = emperor.wait_state("blog", "ready")["pid"]
    wait_until(lambda: len(children(master)) == WORKERS + 1, what="one mold and its workers")
    assert set(children(emperor.pid)) == {emperor.brain_pid, master}

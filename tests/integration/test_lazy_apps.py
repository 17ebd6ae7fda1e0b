"""Workers that load the application themselves."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.emperor import HELLO, Emperor, get
from tests.support.wait import wait_until

WHO = """
import os, threading, time
time.sleep(PAUSE)
LOADED_BY = os.getpid()
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/meet":
        time.sleep(1)
    return [b"%d %d %d" % (LOADED_BY, os.getpid(), threading.active_count())]
"""


def test_each_worker_has_loaded_the_application_itself(emperor: Emperor) -> None:
    emperor.app("who", WHO, PAUSE="0")
    table = '[static]\n"/static" = "static"\n'
    port = emperor.drop("blog", "who.py", table, workers=2, lazy_apps=True)
    emperor.start()
    emperor.wait_state("blog", "ready")
    with ThreadPoolExecutor(2) as pool:
        answers = [answer.split() for _, answer in pool.map(get, [port] * 2, ["/meet"] * 2)]
    assert len({pid for _, pid, _ in answers}) == 2
    for loaded_by, pid, threads in answers:
        assert (loaded_by, threads) == (pid, b"2"), "threads of the import live on"


def test_threads_that_no_worker_has_are_named_once_for_each_generation(emperor: Emperor) -> None:
    emperor.app("who", WHO.replace("daemon=True", "daemon=True, name='re\\nporter'"), PAUSE="0")
    port = emperor.drop("blog", "who.py", workers=2)
    emperor.app("hello")
    emperor.drop("without", lazy_apps=True)
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.wait_state("without", "ready")

    def warnings(name: str = "blog") -> list[str]:
        return [line for line in emperor.vassal_log(name).splitlines() if "threads_lost" in line]

    (line,) = warnings()
    assert "event=threads_lost generation=1 threads='re\\nporter'" in line
    assert "lazy_apps = true" in line
    assert get(port)[1].split()[2] == b"1"
    emperor.do("reload", "blog")
    wait_until(lambda: len(warnings()) == 2, what="another generation")
    assert warnings("without") == []


def test_failing_import_parks_and_a_failing_reload_leaves_the_old_code(emperor: Emperor) -> None:
    emperor.app("hello")
    emperor.app("fails", "raise RuntimeError('no database')\n")
    port = emperor.drop("blog", lazy_apps=True)
    emperor.drop("broken", "fails:application", lazy_apps=True)
    emperor.start()
    failure = emperor.wait_state("broken", "parked")["last_failure"]
    assert failure["kind"] == "load"
    assert failure["message"] == "fails:application: RuntimeError: no database"
    assert "fails.py" in failure["traceback"]
    assert "emperord" not in failure["traceback"]
    emperor.wait_state("blog", "ready")
    emperor.app("hello", "raise RuntimeError('no database')\n")
    emperor.do("reload", "blog")
    wait_until(
        lambda: (emperor.vassal("blog").get("last_failure") or {}).get("kind") == "load",
        what="the failed reload",
    )
    assert get(port)[1].startswith(b"one ")


def test_import_that_fails_when_a_worker_is_replaced_is_told_and_tried_again(
    emperor: Emperor,
) -> None:
    port = emperor.serve(lazy_apps=True, max_unavailable=1)
    emperor.app("hello", "raise RuntimeError('no database')\n")
    with pytest.raises(OSError):
        get(port, "/exit")
    wait_until(
        lambda: "no database" in str(emperor.vassal("blog").get("last_failure")), what="the reason"
    )
    emperor.app("hello", HELLO.replace("one", "two"))
    assert get(port)[1].startswith(b"two ")


def test_spawn_timeout_and_the_canary_count_the_loading(emperor: Emperor) -> None:
    emperor.app("slow", WHO, PAUSE="60")
    emperor.app("who", WHO, PAUSE="0.8")
    emperor.drop("slow", "slow:application", lazy_apps=True, spawn_timeout=0.5)
    health = '[health]\npath = "/"\ntimeout = 0.5\n'
    port = emperor.drop("blog", "who:application", health, lazy_apps=True)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port)[0] == 200
    wait_until(
        lambda: (emperor.vassal("slow").get("last_failure") or {}).get("kind") == "spawn-timeout",
        what="the loading to take too long",
    )

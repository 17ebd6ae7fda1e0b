"""New code must prove itself before the old code goes, and for a while after."""

import json
import select
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.support.control import emperor as command
from tests.support.control import emperor_command
from tests.support.emperor import HELLO, Emperor, get
from tests.support.wait import wait_until

HEALTH = '[health]\npath = "/healthz?full=1"\ntimeout = 2\nexpect = ["200-299"]\n'
PROBED = """
import os, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/healthz":
        HEALTHZ
    if path == "/die":
        DIE
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"VERSION"]
"""


@pytest.fixture
def where(emperor: Emperor) -> dict[str, str]:
    return {"EMPEROR_RUNTIME_DIR": str(emperor.runtime_dir)}


def version(one: Emperor, name: str, healthz: str = "pass", die: str = "pass") -> None:
    one.app("probed", PROBED, VERSION=name, HEALTHZ=healthz, DIE=die)


def serve_first(one: Emperor, text: str = HEALTH, **keys: Any) -> int:
    version(one, "one")
    port = one.drop("blog", app="probed:application", text=text, **keys)
    one.start()
    one.wait_state("blog", "ready")
    return port


def workers(one: Emperor) -> dict[int, int]:
    """Return pid and generation of every worker."""
    return {row["pid"]: row["generation"] for row in one.vassal("blog")["workers"]}


def answer(port: int, path: str = "/") -> bytes:
    """Return the body; empty when the connection was cut."""
    try:
        return get(port, path)[1]
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("healthz", "said"),
    [
        (
            'start_response("503 No Database", []); return []',
            "GET /healthz?full=1 was answered '503 No Database', expected 200-299",
        ),
        ("raise RuntimeError('no database')", "was answered '500 Internal Server Error'"),
        ("time.sleep(30)", "was not answered within health.timeout = 2 s"),
        ("os._exit(4)", "died (exit status 4) in GET /healthz?full=1"),
    ],
    ids=["refuses", "raises", "hangs", "dies"],
)
def test_code_that_fails_its_probe_never_serves_and_the_old_code_keeps_its_workers(
    emperor: Emperor, where: dict[str, str], healthz: str, said: str
) -> None:
    port = serve_first(emperor, workers=3)
    before = workers(emperor)
    version(emperor, "second", healthz)
    done = command("reload", "blog", "--wait", environ=where)
    assert done.returncode == 1, done
    assert said in done.stdout, done.stdout
    wait_until(lambda: workers(emperor) == before, 5, "the canary is gone")
    assert {answer(port) for _ in range(20)} == {b"one"}
    status = emperor.vassal("blog")
    assert status["state"] == "ready"
    assert status["last_failure"]["kind"] == "health"


def test_nothing_is_served_by_new_code_before_its_probe_is_answered(emperor: Emperor) -> None:
    port = serve_first(emperor)
    version(emperor, "second", "time.sleep(1)")
    began = time.monotonic()
    emperor.do("reload", "blog")
    while time.monotonic() - began < 0.9:
        assert answer(port) == b"one"
    wait_until(lambda: answer(port) == b"second", 5, "the new code serves")


def test_probe_names_the_first_of_the_hosts(emperor: Emperor) -> None:
    refuse = 'if environ["HTTP_HOST"] != "blog.example": raise SystemExit(environ["HTTP_HOST"])'
    version(emperor, "one", refuse)
    socket = emperor.base / "blog.sock"
    emperor.drop(
        "blog",
        app="probed:application",
        listen=[f"uwsgi+unix://{socket}"],
        hosts=["blog.example", "www.blog.example"],
        text=HEALTH,
    )
    emperor.start()
    emperor.wait_state("blog", "ready")


def test_first_start_that_fails_its_probe_is_tried_again_later(emperor: Emperor) -> None:
    version(emperor, "one", "raise RuntimeError('no database')")
    port = emperor.drop("blog", app="probed:application", text=HEALTH)
    emperor.start()
    emperor.wait_state("blog", "backoff")
    version(emperor, "second")
    emperor.wait_state("blog", "ready")
    assert answer(port) == b"second"


def crash_twice(port: int) -> None:
    for _ in range(2):
        assert answer(port, "/die") == b""


def test_code_whose_workers_crash_before_it_has_settled_goes_and_the_old_code_returns(
    emperor: Emperor, where: dict[str, str]
) -> None:
    port = serve_first(emperor, text="[health]\nsettle = 20\n", workers=2)
    version(emperor, "second", die="os._exit(5)")
    deploy = subprocess.Popen(
        [sys.executable, "-m", "emperor", "reload", "blog", "--wait"],
        env={**where, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: answer(port) == b"second", 10, "the new code serves")
    crash_twice(port)
    assert deploy.communicate(timeout=10)[0].count("exit status 5")
    assert deploy.returncode == 1
    assert answer(port) == b"one"
    wait_until(lambda: len(workers(emperor)) == 2, 5, "its workers are all there")
    assert set(workers(emperor).values()) == {1}
    assert emperor.vassal("blog")["state"] == "ready"


def test_crash_of_settled_code_is_not_held_against_it(emperor: Emperor) -> None:
    port = serve_first(emperor, text="[health]\nsettle = 0\n")
    version(emperor, "second", die="os._exit(5)")
    emperor.do("reload", "blog")
    wait_until(lambda: answer(port) == b"second", 10, "the new code serves")
    wait_until(lambda: set(workers(emperor).values()) == {2}, 5, "the old code is gone")
    crash_twice(port)
    assert answer(port) == b"second"


def test_old_code_returns_though_the_brain_died_while_the_new_one_settled(
    emperor: Emperor,
) -> None:
    port = serve_first(emperor, text="[health]\nsettle = 20\n")
    version(emperor, "second", die="os._exit(5)")
    emperor.do("reload", "blog")
    wait_until(lambda: answer(port) == b"second", 10, "the new code serves")
    emperor.wait_new_brain(emperor.kill_brain())
    crash_twice(port)
    wait_until(lambda: answer(port) == b"one", 5, "the old code serves")
    wait_until(lambda: emperor.vassal("blog")["last_failure"], 5, "it is told")
    assert emperor.vassal("blog")["last_failure"]["exit_status"] == 5


def test_reload_in_many_steps_is_never_short_of_workers_and_loses_nothing(
    emperor: Emperor,
) -> None:
    emperor.app("hello", HELLO)
    port = emperor.drop("blog", workers=6, text="[health]\nsettle = 0\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    stop = threading.Event()
    lost: list[Exception] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                assert get(port, "/sleep/0.02")[0] == 200
            except Exception as error:
                lost.append(error)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for generation in range(2, 6):
            emperor.do("reload", "blog")
            everybody = {generation}
            wait_until(
                lambda wanted=everybody: set(workers(emperor).values()) == wanted, 10, "all new"
            )
    finally:
        stop.set()
        for client in clients:
            client.join(10)
    assert lost == []


@pytest.mark.parametrize("unavailable", [0, 2])
def test_no_more_workers_are_missing_in_a_reload_than_may_be(
    emperor: Emperor, unavailable: int
) -> None:
    emperor.app("hello", "import time\ntime.sleep(0.3)\n" + HELLO)
    emperor.drop("blog", workers=4, max_unavailable=unavailable, text="[health]\nsettle = 0\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.do("reload", "blog")
    serving = []

    def all_new() -> bool:
        rows = emperor.vassal("blog")["workers"]
        serving.append(sum(row["state"] in ("idle", "busy", "retiring") for row in rows))
        return len(rows) == 4 and {row["generation"] for row in rows} == {2}

    wait_until(all_new, 30, "all are new")
    assert min(serving) >= 4 - unavailable, serving


def test_failed_reload_is_an_event_and_its_traceback_is_in_the_log(emperor: Emperor) -> None:
    emperor.serve()
    with subprocess.Popen(
        [*emperor_command("events", "--json"), "--runtime-dir", str(emperor.runtime_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as events:
        assert events.stdout is not None
        emperor.app("hello", "raise RuntimeError('half a deploy')\n")
        # Nothing tells when the stream has begun: asked for again until something comes.
        for _ in range(20):
            emperor.do("reload", "blog")
            if select.select([events.stdout], [], [], 2)[0]:
                break
        lines = iter(events.stdout.readline, b"")
        failed = next(line for line in map(json.loads, lines) if line["event"] == "reload_failed")
        events.terminate()
    assert failed["vassal"] == "blog"
    assert failed["fields"]["reason"] == "load"
    assert "half a deploy" in failed["fields"]["message"]
    assert "RuntimeError: half a deploy" in emperor.vassal_log("blog")
    assert "RuntimeError: half a deploy" in emperor.vassal("blog")["last_failure"]["traceback"]

"""A request that runs too long is killed on time, whatever it does against it."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.emperor import UNCONFINED, Emperor, get
from tests.support.fuse import HangingFilesystem
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.wait import wait_until
from tests.support.wires import ask_fastcgi, ask_scgi, ask_uwsgi

HANGS = r'''
import ctypes, errno, itertools, os, re, signal, subprocess, sys, threading, time


def application(environ, start_response):
    name, _, argument = environ["PATH_INFO"].strip("/").partition("/")
    body = globals()["do_" + (name or "nothing")](environ, argument) or "done"
    start_response("200 OK", [("Content-Type", "text/plain")])
    if name == "stream":
        return body
    return [str(body).encode()]


def do_nothing(environ, argument):
    pass


def do_sleep(environ, argument):
    time.sleep(float(argument))


def do_stream(environ, argument):
    yield b"some "
    time.sleep(60)


def do_spin(environ, argument):
    while True:
        pass


def do_deadlock(environ, argument):
    libc = ctypes.PyDLL(None)  # PyDLL keeps the GIL
    mutex = ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


def do_csum(environ, argument):
    sum(itertools.repeat(0))  # never leaves C


def do_regex(environ, argument):
    re.match(r"(a+)+$", "a" * 60 + "b")


def do_mask(environ, argument):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(1)


def do_ignore(environ, argument):
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    while True:
        time.sleep(1)


def do_swallow(environ, argument):
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass


def do_stop(environ, argument):
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def do_future(environ, argument):
    """Writes a deadline of its own choice, and then hangs."""
    slot = environ["emperor.set_harakiri"].__self__._slot
    slot.set_deadline(2**63)
    time.sleep(60)


def do_fields(environ, argument):
    """Fills every field of the slot with ones, but for its state."""
    slot = environ["emperor.set_harakiri"].__self__._slot
    scoreboard = sys.modules["_emperord.scoreboard"]
    state_at = slot._at + scoreboard.STATE_AT
    slot._memory[slot._at : state_at] = b"\xff" * scoreboard.STATE_AT
    slot._memory[state_at + 4 : state_at + 44] = b"\xff" * 40
    time.sleep(60)


def do_forge(environ, argument):
    """Writes what would be lines of the log into the method and the URI."""
    slot = environ["emperor.set_harakiri"].__self__._slot
    scoreboard = sys.modules["_emperord.scoreboard"]
    at = slot._at + scoreboard._offset_of("method")
    slot._memory[at : at + 14] = b"A\nevent=forge\x1b"
    at = slot._at + scoreboard._offset_of("uri")
    slot._memory[at : at + 14] = b"B\nevent=forge\x1b"
    time.sleep(60)


def do_truncate(environ, argument):
    """Tries to cut the scoreboard in every way there is; returns what came of it."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        path = "/proc/self/fd/" + fd
        try:
            if "scoreboard" not in os.readlink(path):
                continue
        except OSError:
            continue
        for cut in (lambda: os.ftruncate(int(fd), 0), lambda: os.truncate(path, 0)):
            try:
                cut()
                found.append("cut")
            except OSError as error:
                found.append(errno.errorcode[error.errno])
    return " ".join(found)


def do_limit(environ, argument):
    """limit/WANTED/SLEEP"""
    wanted, _, sleep = argument.partition("/")
    granted = environ["emperor.set_harakiri"](float(wanted))
    time.sleep(float(sleep))
    return "%.1f" % granted


def do_stat(environ, argument):
    os.stat("/" + argument)


def do_child(environ, argument):
    subprocess.run(["sleep", "60"])
'''

LIMIT_S = 0.5


def hangs(emperor: Emperor, **keys: Any) -> int:
    """Start an emperor with one vassal of the application above; return its port."""
    emperor.app("hangs", HANGS)
    port = emperor.drop("blog", app="hangs:application", **{"harakiri": LIMIT_S, **keys})
    emperor.start()
    emperor.wait_state("blog", "ready")
    return port


def timed(ask: Callable[[], object]) -> tuple[object, float]:
    """Return what `ask` returned and how long it took."""
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began


def all_idle(emperor: Emperor, count: int = 1) -> Callable[[], bool]:
    def idle() -> bool:
        workers = emperor.vassal("blog")["workers"]
        return [worker["state"] for worker in workers] == ["idle"] * count

    return idle


def harakiris(emperor: Emperor) -> int:
    return int(emperor.vassal("blog")["totals"]["harakiris"])


def test_kills_are_never_early_and_never_much_late(emperor: Emperor) -> None:
    port = hangs(emperor, workers=2, harakiri=0.3)
    late = []
    for _ in range(12):
        answer, took = timed(lambda: get(port, "/spin?a=b"))
        assert answer == (504, b"504 Gateway Timeout\n")
        late.append(took - 0.3)
    assert min(late) >= 0, late
    assert sorted(late)[-2] < 0.5, late
    assert max(late) < 1.0, late
    status = emperor.vassal("blog")
    assert status["totals"]["harakiris"] == 12
    assert status["totals"]["worker_deaths"] == 0
    assert sum(worker["harakiris"] for worker in status["workers"]) == 12
    assert status["last_failure"]["kind"] == "harakiri"
    assert "do_spin" in status["last_failure"]["traceback"]


def test_request_shorter_than_the_limit_is_never_killed(emperor: Emperor) -> None:
    port = hangs(emperor, workers=2, harakiri=0.6)
    assert [get(port, "/sleep/0.4")[0] for _ in range(10)] == [200] * 10
    assert harakiris(emperor) == 0


def test_kill_is_logged_with_stacks_request_and_times(emperor: Emperor) -> None:
    port = hangs(emperor)
    assert get(port, "/sleep/60?page=2")[0] == 504
    log = wait_until(lambda: emperor.vassal_log("blog"), what="the log")
    line = next(line for line in log.splitlines() if "reason=harakiri" in line)
    for word in ("event=worker_killed", "slot=1", "pid=", "limit_s=0.5", "method=GET"):
        assert word in line
    assert "/sleep/60?page=2" in line
    assert "answered=504" in line
    ran_s = float(line.partition("ran_s=")[2].split()[0])
    assert LIMIT_S <= ran_s < 1.5
    assert "in do_sleep" in log
    assert "hangs.py" in log
    assert "<emperord>" not in log
    wait_until(lambda: "event=worker_died" in emperor.log(), what="the emperor's log")


@pytest.mark.parametrize(
    "path", ["deadlock", "csum", "regex", "mask", "ignore", "stop", "swallow", "child"]
)
def test_whatever_the_application_does_it_is_killed_on_time(emperor: Emperor, path: str) -> None:
    port = hangs(emperor)
    answer, took = timed(lambda: get(port, "/" + path))
    assert answer == (504, b"504 Gateway Timeout\n")
    assert LIMIT_S <= took < LIMIT_S + 1.0
    wait_until(all_idle(emperor), what="a new worker")
    assert get(port)[0] == 200
    assert harakiris(emperor) == 1


def test_stopped_worker_is_killed(emperor: Emperor) -> None:
    port = hangs(emperor)
    pid = emperor.vassal("blog")["workers"][0]["pid"]
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(get(port, "/sleep/0.2")[0]))
    client.start()
    wait_until(lambda: not all_idle(emperor)(), what="a busy worker")
    os.kill(pid, signal.SIGSTOP)
    client.join(10)
    assert answers == [504]
    wait_until(all_idle(emperor), what="a new worker")
    assert emperor.vassal("blog")["workers"][0]["pid"] != pid


def test_master_that_was_stopped_kills_what_is_still_overdue_but_not_at_once(
    emperor: Emperor,
) -> None:
    port = hangs(emperor, workers=2)
    master = emperor.vassal("blog")["pid"]
    answers: dict[str, object] = {}

    def ask(path: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.update({path: get(port, path)[0]}))
        thread.start()
        return thread

    clients = [ask("/sleep/2.2"), ask("/sleep/60")]
    time.sleep(0.1)
    os.kill(master, signal.SIGSTOP)
    time.sleep(1.9)
    os.kill(master, signal.SIGCONT)
    resumed = time.monotonic()
    for client in clients:
        client.join(10)
    assert answers == {"/sleep/2.2": 200, "/sleep/60": 504}
    assert time.monotonic() - resumed < 2.5
    assert harakiris(emperor) == 1


def test_import_that_hangs_is_given_up_with_its_stack_and_tried_again_later(
    emperor: Emperor,
) -> None:
    emperor.app(
        "slow",
        "import time\nprint('loading')\n"
        "def load_for_ever():\n    time.sleep(60)\nload_for_ever()\n",
    )
    emperor.drop("blog", app="slow:application", spawn_timeout=0.5)
    began = time.monotonic()
    emperor.start()
    status = emperor.wait_state("blog", "backoff")
    assert time.monotonic() - began < 10
    failure = status["last_failure"]
    assert failure["kind"] == "spawn-timeout"
    assert "spawn_timeout = 0.5 s" in failure["message"]
    assert "loading" in failure["output"]
    assert "in load_for_ever" in failure["output"]
    assert status["next_retry_s"] is not None
    wait_until(lambda: emperor.vassal("blog")["restarts"] >= 2, what="it is tried again")


def test_reload_whose_import_hangs_leaves_the_old_generation_serving(emperor: Emperor) -> None:
    port = hangs(emperor, spawn_timeout=2)
    emperor.app("hangs", "import time\ntime.sleep(60)\n")
    emperor.do("reload", "blog")
    failure = wait_until(lambda: emperor.vassal("blog")["last_failure"], what="the failure")
    assert failure["kind"] == "spawn-timeout"
    assert get(port)[0] == 200
    assert emperor.vassal("blog")["state"] == "ready"


@pytest.mark.parametrize("path", ["future", "fields"])
def test_deadline_written_by_the_tenant_is_clamped(emperor: Emperor, path: str) -> None:
    port = hangs(emperor)
    began = time.monotonic()
    try:
        answer = get(port, "/" + path)[0]
    except OSError:
        answer = None  # the slot named no descriptor to answer on
    assert answer == (504 if path == "future" else None)
    assert LIMIT_S <= time.monotonic() - began < LIMIT_S + 1.5
    assert get(port)[0] == 200
    assert harakiris(emperor) == 1


def test_request_forged_by_the_tenant_makes_no_line_in_any_log(emperor: Emperor) -> None:
    port = hangs(emperor)
    assert get(port, "/forge")[0] == 504
    wait_until(lambda: "event=worker_died" in emperor.log(), what="the emperor's log")
    for log in (emperor.log(), emperor.vassal_log("blog")):
        assert "event=forge" in log
        assert not [line for line in log.splitlines() if line.startswith("event=forge")]
        assert "\x1b" not in log
    kill = next(line for line in emperor.vassal_log("blog").splitlines() if "harakiri" in line)
    assert "limit_s=" in kill


def test_tenant_cannot_truncate_the_scoreboard(emperor: Emperor) -> None:
    port = hangs(emperor)
    master = emperor.vassal("blog")["pid"]
    status, body = get(port, "/truncate")
    assert status == 200
    assert set(body.split()) == {b"EPERM"}
    assert get(port, "/spin")[0] == 504
    assert emperor.vassal("blog")["pid"] == master


def test_thread_that_finishes_does_not_clear_the_deadline_of_another(emperor: Emperor) -> None:
    port = hangs(emperor, threads=3, harakiri=1)
    hung: list[tuple[object, float]] = []
    client = threading.Thread(target=lambda: hung.append(timed(lambda: get(port, "/sleep/60"))))
    client.start()
    served = 0
    # A worker's death ends the requests of its other threads, so stop before.
    deadline = time.monotonic() + 0.8
    while time.monotonic() < deadline:
        assert get(port)[0] == 200
        served += 1
    client.join(10)
    assert served > 10
    ((answer, took),) = hung
    assert answer == (504, b"504 Gateway Timeout\n")
    assert 1.0 <= took < 2.0


def test_all_overdue_threads_of_a_worker_are_answered_before_the_kill(emperor: Emperor) -> None:
    port = hangs(emperor, threads=3, harakiri=1)
    answers: list[object] = []
    barrier = threading.Barrier(3)

    def ask() -> None:
        barrier.wait()
        try:
            answers.append(get(port, "/sleep/60"))
        except OSError as error:
            answers.append(error)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(10)
    wait_until(lambda: harakiris(emperor) == 1, what="it is counted, once")
    answered = {(504, b"504 Gateway Timeout\n"), (503, b"503 Service Unavailable\n")}
    assert set(answers) <= answered, answers
    assert answers.count((504, b"504 Gateway Timeout\n")) >= 2, answers  # of one look
    assert "event=worker_unkillable" not in emperor.vassal_log("blog")


def test_other_requests_of_a_killed_worker_are_answered_503(emperor: Emperor) -> None:
    sock = str(emperor.base / "blog.sock")
    listen = [f"http://127.0.0.1:{(port := free_port())}", f"uwsgi+unix://{sock}"]
    hangs(emperor, threads=4, harakiri=1, listen=listen)
    answers: dict[str, object] = {}

    def ask(name: str, how: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                answers[name] = how()
            except (OSError, http.client.HTTPException) as error:
                answers[name] = type(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    clients = [ask("late", lambda: get(port, "/sleep/60"))]
    time.sleep(0.5)
    clients.append(ask("http", lambda: get(port, "/sleep/61")))
    clients.append(ask("uwsgi", lambda: ask_uwsgi(sock, "/sleep/62")))
    clients.append(ask("begun", lambda: get(port, "/stream")))
    for client in clients:
        client.join(10)
    unavailable = (503, b"503 Service Unavailable\n")
    assert answers["late"] == (504, b"504 Gateway Timeout\n")
    assert answers["http"] == answers["uwsgi"] == unavailable
    assert answers["begun"] is http.client.IncompleteRead
    wait_until(lambda: emperor.vassal_log("blog").count("event=request_lost") >= 3, what="the log")
    log = emperor.vassal_log("blog").splitlines()
    lost = sorted(line.partition("uri=")[2] for line in log if "event=request_lost" in line)
    assert lost == ["'/sleep/61' answered=503", "'/sleep/62' answered=503", "'/stream' answered=no"]
    assert get(port)[0] == 200


def test_application_may_shorten_its_limit_but_not_lengthen_it(emperor: Emperor) -> None:
    port = hangs(emperor, harakiri=1.5)
    answer, took = timed(lambda: get(port, "/limit/0.3/60"))
    assert answer == (504, b"504 Gateway Timeout\n")
    assert 0.3 <= took < 1.2
    wait_until(all_idle(emperor), what="a new worker")
    answer, took = timed(lambda: get(port, "/limit/60/60"))
    assert answer == (504, b"504 Gateway Timeout\n")
    assert 1.5 <= took < 2.5
    wait_until(all_idle(emperor), what="a new worker")
    assert get(port, "/limit/60/0") == (200, b"1.5")


def test_application_may_lengthen_its_limit_up_to_harakiri_max(emperor: Emperor) -> None:
    port = hangs(emperor, harakiri_max=1.5)
    assert get(port, "/limit/1.2/0.9")[0] == 200
    answer, took = timed(lambda: get(port, "/limit/60/60"))
    assert answer == (504, b"504 Gateway Timeout\n")
    assert 1.5 <= took < 2.5
    wait_until(all_idle(emperor), what="a new worker")
    answer, took = timed(lambda: get(port, "/spin"))
    assert answer == (504, b"504 Gateway Timeout\n")
    assert LIMIT_S <= took < LIMIT_S + 1.0


def test_soft_limit_answers_503_and_the_worker_lives(emperor: Emperor) -> None:
    port = hangs(emperor, harakiri=3, harakiri_soft=0.3)
    pid = emperor.vassal("blog")["workers"][0]["pid"]
    for path in ("/sleep/60", "/spin"):
        began = time.monotonic()
        assert get(port, path)[0] == 503
        took = time.monotonic() - began
        assert 0.3 <= took < 1.3
    assert get(port)[0] == 200
    status = emperor.vassal("blog")
    assert status["workers"][0]["pid"] == pid
    assert status["totals"]["harakiris"] == 0
    assert status["totals"]["exceptions"] == 2


def test_soft_limit_strikes_only_the_thread_that_is_due(emperor: Emperor) -> None:
    port = hangs(emperor, threads=2, harakiri=3, harakiri_soft=0.6)
    answers: dict[str, int] = {}

    def ask(path: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: answers.update({path: get(port, path)[0]}))
        thread.start()
        return thread

    spinning = ask("/spin")
    time.sleep(0.35)
    sleeping = ask("/sleep/0.4")
    spinning.join(10)
    sleeping.join(10)
    assert answers == {"/spin": 503, "/sleep/0.4": 200}


def test_hard_limit_follows_a_soft_one_that_was_swallowed(emperor: Emperor) -> None:
    port = hangs(emperor, harakiri=0.8, harakiri_soft=0.3)
    answer, took = timed(lambda: get(port, "/swallow"))
    assert answer == (504, b"504 Gateway Timeout\n")
    assert 0.8 <= took < 1.8


@pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi", "scgi"])
def test_client_is_answered_504_in_its_own_protocol(emperor: Emperor, protocol: str) -> None:
    path = str(emperor.base / "blog.sock")
    hangs(emperor, listen=[f"{protocol}+unix://{path}"])
    ask = {"uwsgi": ask_uwsgi, "fastcgi": ask_fastcgi, "scgi": ask_scgi}[protocol]
    answer, took = timed(lambda: ask(path, "/spin"))
    assert answer == (504, b"504 Gateway Timeout\n")
    assert LIMIT_S <= took < LIMIT_S + 1.0
    assert ask(path, "/") == (200, b"done")


def test_harakiri_of_zero_is_off_but_for_a_request_that_asks_for_it(emperor: Emperor) -> None:
    port = hangs(emperor, harakiri=0)
    assert get(port, "/sleep/1")[0] == 200
    assert get(port, "/limit/0/0.3") == (200, b"0.0")
    assert harakiris(emperor) == 0
    answer, took = timed(lambda: get(port, "/limit/0.5/20"))
    assert answer == (504, b"504 Gateway Timeout\n")
    assert 0.5 <= took < 10
    assert get(port, "/sleep/1")[0] == 200
    assert harakiris(emperor) == 1


def test_worker_in_uninterruptible_sleep_is_reported_and_others_serve_on(
    emperor: Emperor,
) -> None:
    need_root()
    with HangingFilesystem() as filesystem:
        port = hangs(emperor, workers=2, text=UNCONFINED)
        # The answer goes out before the kill, so that the client does not hang with it.
        assert get(port, f"/stat{filesystem.path}/file")[0] == 504
        wait_until(
            lambda: "event=worker_unkillable" in emperor.vassal_log("blog"),
            what="it is reported",
        )
        assert [get(port)[0] for _ in range(5)] == [200] * 5
        lines = emperor.vassal_log("blog").count("event=worker_unkillable")
        assert lines <= 3, "one a second at most"
        assert harakiris(emperor) == 1
        filesystem.let_go()
        wait_until(all_idle(emperor, 2), what="its successor")
        assert [get(port)[0] for _ in range(5)] == [200] * 5

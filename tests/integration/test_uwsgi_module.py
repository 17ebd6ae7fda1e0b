"""`import uwsgi` in a worker, and the software that looks for it."""

import contextlib
import http.client
import itertools
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.emperor import Emperor, get
from tests.support.need import need_tenant_venv
from tests.support.ports import free_port
from tests.support.processes import alive
from tests.support.stats import ask
from tests.support.uwsgi import real_uwsgi
from tests.support.wait import wait_until

TELLS = """
import json
import uwsgi

def refusal(function, *args):
    try:
        return function(*args)
    except ValueError as error:
        return str(error)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    told = {
        "opt": {key: repr(value) for key, value in uwsgi.opt.items()},
        "version": repr(uwsgi.version), "info": repr(uwsgi.version_info),
        "numproc": uwsgi.numproc, "cores": uwsgi.cores,
        "worker": uwsgi.worker_id() in (1, 2), "mule": uwsgi.mule_id(),
        "master": uwsgi.masterpid() > 0,
        "buffer": uwsgi.buffer_size,
        "keys": sorted(uwsgi.workers()[0]), "apps": sorted(uwsgi.workers()[0]["apps"][0]),
        "ids": [worker["id"] for worker in uwsgi.workers()],
        "types": {name: type(getattr(uwsgi, name)).__name__
                  for name in ("hostname", "started_on", "buffer_size", "has_threads", "version")},
        "set": [uwsgi.cache_set("k", "v"), uwsgi.cache_set("k", "w"), uwsgi.cache_update("k", b"w"),
                uwsgi.cache_exists("k"), uwsgi.cache_del("k"), uwsgi.cache_exists("k"),
                repr(uwsgi.cache_get("none"))],
        "number": [uwsgi.cache_inc("n"), uwsgi.cache_inc("n", 4), uwsgi.cache_num("n"),
                   uwsgi.cache_dec("n", 2), uwsgi.cache_mul("n", 3), uwsgi.cache_num("n"),
                   uwsgi.cache_div("n", 2), uwsgi.cache_num("n"), uwsgi.cache_del("n")],
        "free": [uwsgi.unlock(), uwsgi.signal_registered(3), uwsgi.i_am_the_spooler(),
                 uwsgi.in_farm("x"), uwsgi.ready(), uwsgi.add_var("A", "b")],
        "logvar": [uwsgi.get_logvar("a"), uwsgi.get_logvar("REQUEST_METHOD"),
                   uwsgi.set_logvar("a", "b"), repr(uwsgi.get_logvar("a"))],
        "rpc": [refusal(uwsgi.call, "nobody"), refusal(uwsgi.rpc, None, "nobody")],
        "lock": [uwsgi.lock(), uwsgi.is_locked(), uwsgi.unlock(), uwsgi.is_locked()],
        "environ": {name: repr(value) for name, value in environ.items()
                    if name.startswith("uwsgi.") and name != "uwsgi.core"},
        "core": environ["uwsgi.core"] in (0, 1),
    }
    return [json.dumps(told).encode()]
"""

LINES = """
chdir = {apps}
module = tells
http-socket = 127.0.0.1:{port}
workers = 2
threads = 2
master = true
my-own = thing
buffer-size = 9000
cache2 = name=x,items=10
"""


def told(port: int, path: str = "/") -> Any:
    status, body = get(port, path)
    assert status == 200, body
    return json.loads(body)


def at_once(port: int, count: int) -> list[Any]:
    """Return what so many requests at one time were told: by all workers, if each takes long."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(told, [port] * count))


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return get(port)[0] == 200
    return False


def site(one: Emperor, source: str, lines: str = "") -> int:
    """Drop a file of uWSGI's for the source of an application; return its port."""
    one.app("pages", source)
    port = free_port()
    (one.vassals / "blog.ini").write_text(
        f"[uwsgi]\nchdir = {one.apps}\nmodule = pages\nhttp-socket = 127.0.0.1:{port}\n"
        f"harakiri = 60\n{lines}"
    )
    return port


def test_application_sees_what_uwsgi_shows(emperor: Emperor, tmp_path: Path) -> None:
    emperor.app("tells", TELLS)
    ours, theirs = free_port(), free_port()
    text = "[uwsgi]" + LINES
    (emperor.vassals / "blog.ini").write_text(text.format(apps=emperor.apps, port=ours))
    emperor.start()
    emperor.wait_state("blog", "ready")
    ini = tmp_path / "blog.ini"
    ini.write_text(text.format(apps=emperor.apps, port=theirs))
    with real_uwsgi(ini.parent, "--ini", str(ini)):
        wait_until(lambda: answers(theirs), 10, "uWSGI answers")
        # Its second worker is not known to the first one for a moment.
        wait_until(lambda: told(theirs)["ids"] == [1, 2], 10, "both its workers")
        uwsgis = told(theirs)
    found = told(ours)
    for one in (found, uwsgis):
        one["opt"].pop("http-socket")
        # How it was started; and what is always so here.
        for name in ("ini", "enable-threads", "py-call-uwsgi-fork-hooks"):
            one["opt"].pop(name, None)
        one["apps"] = [key for key in one["apps"] if key not in ("callable", "interpreter")]
    assert found == uwsgis


COUNTS = """
import json, os
import uwsgi

def application(environ, start_response):
    if environ["PATH_INFO"] == "/die":
        os._exit(3)
    start_response("200 OK", [("Content-Type", "application/json")])
    (one,) = uwsgi.workers()
    told = {key: one[key] for key in
            ("id", "requests", "delta_requests", "exceptions", "respawn_count")}
    told |= {
        "status": one["status"].decode(), "is me": one["pid"] == os.getpid(),
        "app": one["apps"][0]["requests"] - (one["respawn_count"] > 0 and DIED),
        "total": [uwsgi.total_requests(), uwsgi.request_id()],
        "tx": one["tx"] > 0, "time": one["running_time"] > 0 and one["avg_rt"] > 0,
    }
    sizes = [one["rss"], one["vsz"]]
    return [json.dumps([told, sizes]).encode()]
"""


def test_workers_of_the_module_count_what_uwsgis_count(emperor: Emperor, tmp_path: Path) -> None:
    files = emperor.apps / "files"
    files.mkdir(mode=0o755)
    (files / "a.css").write_text("body {}")
    lines = f"master = true\nstatic-map = /files={files}\n"
    # uWSGI counts as the application's what its worker died in, too.
    ours = site(emperor, COUNTS.replace("DIED", "0"), lines)
    theirs = free_port()
    text = (emperor.vassals / "blog.ini").read_text().replace(f":{ours}\n", f":{theirs}\n")
    beside = tmp_path / "app"
    beside.mkdir()
    (beside / "pages.py").write_text(COUNTS.replace("DIED", "1"))
    ini = tmp_path / "blog.ini"
    ini.write_text(text.replace(f"chdir = {emperor.apps}", f"chdir = {beside}"))
    emperor.start()
    emperor.wait_state("blog", "ready")
    with real_uwsgi(ini.parent, "--ini", str(ini)):
        wait_until(lambda: answered(theirs), 10, "uWSGI listens")
        rows = {}
        for port in (ours, theirs):
            rows[port] = [told(port)]
            assert get(port, "/files/a.css") == (200, b"body {}")
            rows[port] += [told(port), told(port)]
            with contextlib.suppress(OSError, http.client.HTTPException):
                get(port, "/die")
            wait_until(lambda port=port: answered(port), 10, "another worker")
            rows[port] += [told(port)]
    assert all(row[0]["is me"] for row in rows[ours])
    for row in (*rows[ours], *rows[theirs]):
        del row[0]["is me"]  # uWSGI's has not always found out when it serves first
    assert [row[0] for row in rows[ours]] == [row[0] for row in rows[theirs]]
    assert rows[ours][-1][0]["total"] == [4, 4]
    for _, (resident, virtual) in rows[ours]:
        assert 1 << 20 < resident < virtual  # uWSGI says 0 without memory-report


SLOW = """
import json, time, uwsgi
time.sleep(1.3)

def application(environ, start_response):
    start_response("200 OK", [])
    (one,) = uwsgi.workers()
    return [json.dumps([[app["mountpoint"].decode(), app["startup_time"] in (1, 2)]
                        for app in one["apps"]]).encode()]
"""


def test_applications_of_a_worker_are_told_with_the_time_of_their_import(
    emperor: Emperor, tmp_path: Path
) -> None:
    stats, theirs = free_port(), free_port()
    lines = "master = true\nmanage-script-name = true\nmount = /b=pages.py\n"
    ours = site(emperor, SLOW, f"{lines}stats = 127.0.0.1:{stats}\n")
    text = (emperor.vassals / "blog.ini").read_text().replace(f":{ours}\n", f":{theirs}\n")
    ini = tmp_path / "blog.ini"
    ini.write_text(text.replace(f"stats = 127.0.0.1:{stats}\n", ""))
    emperor.start()
    emperor.wait_state("blog", "ready")
    (told,) = ask(("127.0.0.1", stats))["workers"]
    assert [app["startup_time"] in (1, 2) for app in told["apps"]] == [True, True]
    assert [app["mountpoint"] for app in told["apps"]] == ["", "/b"]
    with real_uwsgi(ini.parent, "--ini", str(ini)):
        wait_until(lambda: answered(theirs), 15, "uWSGI listens")
        found = [json.loads(get(port)[1]) for port in (ours, theirs)]
    assert found[0] == found[1] == [["", True], ["/b", True]]


def answered(port: int) -> bool:
    """Return whether somebody listens, without a request that would be counted."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


CPUS = """
import json, os, threading, time
import uwsgi

born = []
def beside():
    born.extend(os.sched_getaffinity(threading.get_native_id()))
uwsgi.post_fork_hook = lambda: threading.Thread(target=beside).start()

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    time.sleep(0.2)
    return [json.dumps([sorted(os.sched_getaffinity(0)), sorted(born)]).encode()]
"""


@pytest.mark.parametrize(("count", "workers"), [(1, 3), (2, 2), (3, 2)])
def test_workers_are_bound_to_the_cpus_that_uwsgi_binds_them_to(
    emperor: Emperor, tmp_path: Path, count: int, workers: int
) -> None:
    lines = f"workers = {workers}\nmaster = true\nenable-threads = true\ncpu-affinity = {count}\n"
    ours = site(emperor, CPUS, lines)
    theirs = free_port()
    text = (emperor.vassals / "blog.ini").read_text()
    ini = tmp_path / "blog.ini"
    ini.write_text(text.replace(f":{ours}\n", f":{theirs}\n"))
    emperor.start()
    emperor.wait_state("blog", "ready")
    with real_uwsgi(ini.parent, "--ini", str(ini)):
        wait_until(lambda: answers(theirs), 10, "uWSGI answers")
        uwsgis = at_once(theirs, workers * 4)
    found = at_once(ours, workers * 4)
    assert {repr(one) for one in found} == {repr(one) for one in uwsgis}


def test_nobody_else_sees_it(emperor: Emperor) -> None:
    emperor.app(
        "native",
        "import sys\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    names = {'uwsgi', 'uwsgidecorators', '_emperord.uwsgi'}\n"
        "    return [repr(sorted(names & set(sys.modules))).encode()]\n",
    )
    plain = emperor.drop("plain", app="native:application")
    asks = emperor.drop("asks", app="native:application", uwsgi_api=True)
    emperor.start()
    for name in ("plain", "asks"):
        emperor.wait_state(name, "ready")
    assert get(plain) == (200, b"[]")
    assert get(asks) == (200, b"['_emperord.uwsgi', 'uwsgi', 'uwsgidecorators']")


def test_hooks_threads_and_locks_of_the_decorators(emperor: Emperor) -> None:
    source = """
import json, os, threading, time
import uwsgi
from uwsgidecorators import harakiri, lock, postfork, rpc, thread

born = []

@postfork
def remember():
    born.append(uwsgi.worker_id())

@postfork(2)
def in_the_second():
    born.append("second")

@postfork
@thread
def beside():
    born.append(threading.current_thread() is not threading.main_thread())
    while True:
        time.sleep(60)

@rpc("greet")
def greet(name):
    return b"hello " + name

@lock
def alone():
    return uwsgi.is_locked()

@harakiri(1)
def slow():
    time.sleep(30)

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/slow":
        slow()
    for _ in range(100):
        if len(born) >= 2:
            break
        time.sleep(0.01)
    time.sleep(0.2)
    return [json.dumps([os.getpid(), uwsgi.worker_id(), born, alone(),
                        uwsgi.rpc(None, "greet", "x").decode()]).encode()]
"""
    port = site(emperor, source, "workers = 2\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    seen = {row[1]: row for row in at_once(port, 8)}
    assert len(seen) == 2
    for number, (_, _, born, was_locked, greeting) in seen.items():
        assert born[0] == number
        assert True in born
        assert ("second" in born) == (number == 2)
        assert was_locked
        assert greeting == "hello x"
    assert get(port, "/slow")[0] == 504
    wait_until(lambda: "harakiri" in emperor.vassal_log("blog"), 10, "a line about the kill")


def test_application_reloads_itself(emperor: Emperor) -> None:
    source = """
import uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    return [repr(uwsgi.reload()).encode()]
"""
    port = site(emperor, source)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port) == (200, b"True")
    wait_until(lambda: emperor.vassal("blog")["generation"] == 2, 10, "a reload")


def test_application_that_asks_for_reloads_all_the_time_gets_one_a_second(
    emperor: Emperor,
) -> None:
    source = """
import time
import uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    asked, over = 0, time.monotonic() + 3
    while time.monotonic() < over:
        asked += uwsgi.reload()
    return [str(asked).encode()]
"""
    port = site(emperor, source)
    emperor.start()
    emperor.wait_state("blog", "ready")
    status, asked = get(port)
    assert (status, int(asked) > 1000) == (200, True)
    assert 1 <= emperor.log().count("event=reload_asked_for") <= 4


def test_killed_holder_leaves_no_lock(emperor: Emperor) -> None:
    source = """
import os
import uwsgi

def application(environ, start_response):
    if environ["PATH_INFO"] == "/die":
        uwsgi.lock()
        os._exit(1)
    start_response("200 OK", [])
    return [repr(uwsgi.is_locked()).encode()]
"""
    port = site(emperor, source, "workers = 2\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    with contextlib.suppress(OSError):
        get(port, "/die")
    assert get(port) == (200, b"False")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("from uwsgidecorators import spool\n@spool\ndef f(n): pass\n", "no mules and no spooler"),
        ("import uwsgi\nuwsgi.add_cron(1, 1, 1, 1, 1, 1)\n", "systemd timer"),
        ("import uwsgi\nuwsgi.cache_get('x')\n", "write cache2 = name=default,items=100"),
    ],
)
def test_what_is_not_on_says_what_to_do(emperor: Emperor, line: str, says: str) -> None:
    site(emperor, line + "def application(environ, start_response): pass\n")
    emperor.start()
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    assert says in failure["message"] + failure["traceback"]


def test_a_site_with_timers_is_served_and_its_log_names_what_does_not_run(
    emperor: Emperor,
) -> None:
    source = """
from uwsgidecorators import cron, signal, timer

@timer(5)
def tick(number): pass

@cron(0, -1, -1, -1, -1)
def hourly(number): pass

@signal(17)
def told(number): pass

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
"""
    port = site(emperor, source)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port) == (200, b"served")
    log = emperor.vassal_log("blog")
    for function in ("tick", "hourly", "told"):
        assert log.count(f".{function} will not run: ") == 1


def test_sentry_is_content_with_the_threads(emperor: Emperor) -> None:
    source = """
import io, logging, sys, warnings
import sentry_sdk
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

caught = []
warnings.showwarning = lambda message, *more: caught.append(str(message))
sentry_sdk.init("https://key@127.0.0.1:1/1", default_integrations=False)

def app(environ, start_response):
    start_response("200 OK", [])
    import uwsgi
    return [repr((caught, uwsgi.opt.get("enable-threads"))).encode()]

application = SentryWsgiMiddleware(app)
"""
    lines = f"home = {need_tenant_venv()}\n"
    port = site(emperor, source, lines)
    emperor.start()
    emperor.wait_state("blog", "ready", 30)
    assert get(port) == (200, b"([], True)")


def test_prometheus_counts_over_all_workers_by_their_ids(emperor: Emperor) -> None:
    folder = emperor.apps / "prometheus"
    folder.mkdir()
    folder.chmod(0o777)
    source = """
import time
import uwsgi
from prometheus_client import CollectorRegistry, Counter, generate_latest, multiprocess, values

values.ValueClass = values.MultiProcessValue(uwsgi.worker_id)
ASKED = Counter("asked", "times")

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return [generate_latest(registry)]
    ASKED.inc()
    time.sleep(0.1)
    return [str(uwsgi.worker_id()).encode()]
"""
    lines = (
        f"workers = 2\nhome = {need_tenant_venv()}\nenv = PROMETHEUS_MULTIPROC_DIR={folder}\n"
        "lazy-apps = true\n"
    )
    port = site(emperor, source, lines)
    emperor.start()
    emperor.wait_state("blog", "ready", 30)
    assert set(at_once(port, 12)) == {1, 2}
    assert b"asked_total 12.0" in get(port, "/metrics")[1]
    assert {path.name for path in folder.iterdir()} == {"counter_1.db", "counter_2.db"}
    assert all(alive(row["pid"]) for row in emperor.vassal("blog")["workers"])


def test_what_the_application_says_about_a_request_is_in_its_line(emperor: Emperor) -> None:
    source = """
import uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/known":
        uwsgi.set_logvar("tenant", "blue")
    return [repr((uwsgi.get_logvar("tenant"), uwsgi.get_logvar("PATH_INFO"))).encode()]
"""
    port = site(emperor, source, "log-format = %(uri) by=%(tenant) at=%(var.HTTP_HOST)\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port, "/known") == (200, b"(b'blue', None)")
    assert get(port, "/other") == (200, b"(None, None)")
    wait_until(lambda: "/other" in emperor.vassal_log("blog"), 10, "both lines")
    assert f"/known by=blue at=127.0.0.1:{port}\n" in emperor.vassal_log("blog")
    assert f"/other by=- at=127.0.0.1:{port}\n" in emperor.vassal_log("blog")


BOTH = "chdir = {apps}\nmodule = pages\nmaster = true\n{more}http-socket = 127.0.0.1:{port}\n"


@contextlib.contextmanager
def both(one: Emperor, folder: Path, source: str, more: str) -> Iterator[tuple[int, int]]:
    """Serve an application here and with uWSGI; yield our port and theirs."""
    one.app("pages", source)
    ours, theirs = free_port(), free_port()
    text = "[uwsgi]\n" + BOTH
    (one.vassals / "blog.ini").write_text(text.format(apps=one.apps, port=ours, more=more))
    one.start()
    one.wait_state("blog", "ready")
    ini = folder / "blog.ini"
    ini.write_text(text.format(apps=one.apps, port=theirs, more=more))
    with real_uwsgi(ini.parent, "--ini", str(ini)):
        wait_until(lambda: accepts(theirs), 10, "uWSGI listens")
        yield ours, theirs


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_numbers_and_caches_are_those_that_uwsgi_tells(emperor: Emperor, tmp_path: Path) -> None:
    source = """
import json
import uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    rss, vsz = uwsgi.mem()
    told = {
        "requests": [uwsgi.total_requests(), uwsgi.request_id()],
        "mem": [type(uwsgi.mem()).__name__, 1000000 < rss < vsz, rss % 4096, vsz % 4096],
        "log": [repr(uwsgi.log("said to the log")), repr(uwsgi.log(b"said in bytes"))
                if environ["PATH_INFO"] == "/bytes" else ""],
        "cache": [uwsgi.cache_set("a", "1"), uwsgi.cache_set("b", "2"),
                  sorted(map(repr, uwsgi.cache_keys())), repr(uwsgi.cache_clear()),
                  uwsgi.cache_keys(), uwsgi.cache_exists("a"), uwsgi.cache_set("a", "3"),
                  repr(uwsgi.cache_get("a")), repr(uwsgi.cache_clear("x")),
                  repr(uwsgi.cache_keys("x"))],
    }
    return [json.dumps(told).encode()]
"""
    with both(emperor, tmp_path, source, "cache2 = name=x,items=10\n") as (ours, theirs):
        found = [(told(ours), told(theirs)) for _ in range(3)]
        wait_until(lambda: "said to the log\n" in emperor.vassal_log("blog"), 10, "the line")
    for mine, uwsgis in found:
        assert mine == uwsgis
    assert [mine["requests"] for mine, _ in found] == [[number, number] for number in range(3)]
    assert "said to the log\n" in (tmp_path / "uwsgi.log").read_text()


KILLED = "killed"


def outcome(port: int, path: str) -> str:
    """Return what came of a request that may be killed: uWSGI closes, we answer 504."""
    try:
        status, body = get(port, path, timeout=30)
    except (http.client.HTTPException, ConnectionError):
        return KILLED
    return KILLED if status == 504 else body.decode()


@pytest.mark.parametrize(
    ("harakiri", "seconds", "sleeps", "expected"),
    [
        (60, "1", 20, KILLED),
        (60, "1 0", 3, "served"),
        (2, "60", 20, KILLED),  # it is a second deadline, and moves no other
        (60, "1 60", 3, "served"),
        (0, "1", 20, KILLED),
        (0, "1 0", 3, "served"),
    ],
)
def test_deadline_of_a_request_that_the_application_sets(
    emperor: Emperor, tmp_path: Path, harakiri: int, seconds: str, sleeps: int, expected: str
) -> None:
    source = f"""
import time
import uwsgi

def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        for seconds in "{seconds}".split():
            uwsgi.set_user_harakiri(int(seconds))
        time.sleep({sleeps})
    start_response("200 OK", [])
    return [b"served"]
"""
    line = f"harakiri = {harakiri}\n" if harakiri else ""
    with both(emperor, tmp_path, source, line) as (ours, theirs):
        with ThreadPoolExecutor(2) as pool:
            mine, uwsgis = pool.map(outcome, (ours, theirs), ("/slow",) * 2)
        assert (mine, uwsgis) == (expected, expected)
        # The deadline was that request's alone.
        wait_until(lambda: outcome(ours, "/") == "served", 10, "the next one is served")


def test_one_worker_waits_for_the_lock_of_another_and_not_for_other_locks(
    emperor: Emperor, tmp_path: Path
) -> None:
    source = """
import json, time
import uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    uwsgi.lock(1)
    began = time.monotonic()
    seen = [uwsgi.is_locked(1), uwsgi.is_locked(0)]
    uwsgi.lock(0)
    uwsgi.unlock(0)
    time.sleep(0.3)
    ended = time.monotonic()
    uwsgi.unlock(1)
    return [json.dumps([uwsgi.worker_id(), began, ended, seen]).encode()]
"""
    with both(emperor, tmp_path, source, "workers = 2\nlocks = 1\n") as ports:
        for port in ports:
            rows = sorted(at_once(port, 8), key=lambda row: row[1])
            assert {row[0] for row in rows} == {1, 2}
            for before, after in itertools.pairwise(rows):
                assert before[2] <= after[1]
            assert {tuple(row[3]) for row in rows} == {(True, False)}


def test_whatever_uwsgi_has_is_here_or_says_what_to_do(emperor: Emperor, tmp_path: Path) -> None:
    names = """
import json, sys
import uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps([name for name in dir(uwsgi) if name[0] != "_"]).encode()]
"""
    with both(emperor, tmp_path, names, "cache2 = name=x,items=10\n") as (_, theirs):
        uwsgis = told(theirs)
    assert len(uwsgis) > 100
    emperor.app(
        "pages",
        f"""
import json
import uwsgi

def reason(name):
    try:
        getattr(uwsgi, name)
    except AttributeError as error:
        return str(error)

def application(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps({{name: reason(name) for name in {uwsgis!r}}}).encode()]
""",
    )
    emperor.do("reload", "blog")
    wait_until(lambda: emperor.wait_state("blog", "ready")["generation"] == 2, 10, "reloaded")
    port = int(emperor.vassal("blog")["listen"][0].rpartition(":")[2])
    reasons = {name: reason for name, reason in told(port).items() if reason is not None}
    assert reasons
    assert {name: why for name, why in reasons.items() if f"uwsgi.{name}: " not in why} == {}

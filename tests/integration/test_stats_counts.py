"""Statistics: what they count is what uWSGI counts, and what they keep to themselves."""

import contextlib
import http.client
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.stats import answers, ask
from tests.support.uwsgi import real_uwsgi
from tests.support.uwsgi_emperor import emperor_uwsgi
from tests.support.wait import wait_until

PLAIN = """
import time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise ValueError("on purpose")
    if path == "/slow":
        time.sleep(30)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hi"]
"""


@pytest.mark.parametrize("kind", ["tcp", "abstract", "path"])
def test_emperors_statistics_are_told_where_the_command_line_says(
    emperor: Emperor, kind: str
) -> None:
    emperor.app("plain", PLAIN)
    port, stats = free_port(), free_port()
    (emperor.vassals / "blog.ini").write_text(
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = plain\nhttp-socket = 127.0.0.1:{port}\n"
    )
    word, address = {
        "tcp": (f"127.0.0.1:{stats}", ("127.0.0.1", stats)),
        "abstract": (f"@{emperor.base.name}",) * 2,
        "path": (str(emperor.base / "stats"),) * 2,
    }[kind]
    with emperor_uwsgi(emperor, "--emperor", str(emperor.vassals), "--emperor-stats", word):
        blog = emperor.wait_state("blog", "ready")
        assert "unsupported" not in emperor.log()
        told = ask(address)
        assert told["emperor"] == [str(emperor.vassals)]
        assert told["emperor_tyrant"] == 0
        (vassal,) = told["vassals"]
        assert (vassal["id"], vassal["pid"], vassal["ready"]) == ("blog.ini", blog["pid"], 1)
    assert not (emperor.base / "stats").exists()


SECRETS = ("cookie-7261", "bearer-9135", "body-5512")


def test_no_statistics_tell_cookies_and_passwords(emperor: Emperor) -> None:
    emperor.app("hello")
    ours, fleet = free_port(), free_port()
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text(
        f'stats = "http://127.0.0.1:{ours}"\nstats_workers = "tcp://127.0.0.1:{fleet}"\n'
    )
    asked = {"shy": (free_port(), free_port()), "open": (free_port(), free_port())}
    ports = [
        emperor.drop(
            name,
            stats=[f"tcp://127.0.0.1:{plain}", f"http://127.0.0.1:{web}"],
            workers=1,
            stats_requests=name == "open",
        )
        for name, (plain, web) in asked.items()
    ]
    emperor.start()
    for name in asked:
        emperor.wait_state(name, "ready")
    clients = [threading.Thread(target=post, args=(port,)) for port in ports]
    for client in clients:
        client.start()
    try:
        for plain, _ in asked.values():
            wait_until(lambda plain=plain: is_busy(plain), what="the request runs")
        texts = {
            f"{name} {kind}": text
            for name, (plain, web) in asked.items()
            for kind, text in (
                ("plain", json.dumps(ask(("127.0.0.1", plain)))),
                ("web", read(web)),
            )
        }
        texts["emperor"], texts["fleet"] = read(ours), json.dumps(ask(("127.0.0.1", fleet)))
    finally:
        for client in clients:
            client.join(10)
    for where, text in texts.items():
        assert '"busy"' in text or where == "emperor", where
        assert not [secret for secret in SECRETS if secret in text], where
        assert ("/sleep/3?page=1" in text) == where.startswith("open"), where


def post(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    cookie, bearer, body = SECRETS
    headers = {"Cookie": f"session={cookie}", "Authorization": f"Bearer {bearer}"}
    with contextlib.closing(connection):
        connection.request("POST", "/sleep/3?page=1", body, headers)
        connection.getresponse().read()


def is_busy(port: int) -> bool:
    return any(worker["status"] == "busy" for worker in ask(("127.0.0.1", port))["workers"])


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
        text: str = response.read().decode()
        return text


@contextlib.contextmanager
def both_serve(
    emperor: Emperor, folder: Path, ours: str, theirs: str, stats: int
) -> Iterator[None]:
    """Serve blog.ini with one text here and with the other, in `folder`, by the real uWSGI, until
    both tell statistics: uWSGI at the port `stats`."""
    (emperor.vassals / "blog.ini").write_text(ours)
    emperor.start()
    emperor.wait_state("blog", "ready")
    (folder / "blog.ini").write_text(theirs + "die-on-term = true\n")
    with real_uwsgi(folder, "--ini", str(folder / "blog.ini")):
        wait_until(lambda: answers(stats), 10, "uWSGI's statistics")
        yield


def test_what_is_counted_is_what_uwsgi_counts(emperor: Emperor, tmp_path: Path) -> None:
    emperor.app("plain", PLAIN)
    (emperor.apps / "files").mkdir(mode=0o755)
    (emperor.apps / "files" / "a.css").write_text("body {}")
    stats, port, theirs, their_port = (free_port() for _ in range(4))
    ini = (
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = plain\nmaster = true\nharakiri = 2\n"
        f"static-map = /files={emperor.apps}/files\nhttp-socket = 127.0.0.1:%s\n"
        "stats = 127.0.0.1:%s\n"
    )
    with both_serve(emperor, tmp_path, ini % (port, stats), ini % (their_port, theirs), theirs):
        for path, keys, expected in STEPS:
            for each in (port, their_port):
                with contextlib.suppress(http.client.HTTPException, OSError):
                    get(each, path)
            for each in (stats, theirs):
                wait_until(
                    lambda each=each, keys=keys, expected=expected: (
                        [counts(each)[key] for key in keys] == expected
                    ),
                    what=f"{path}: {expected} at {'ours' if each == stats else 'theirs'}",
                )


ALL = ("requests", "delta_requests", "core_requests", "exceptions", "app", "statics")
STEPS = (
    ("/", ALL, [1, 1, 1, 0, [(1, 0)], 0]),
    ("/fail", ALL, [2, 2, 2, 1, [(2, 1)], 0]),
    ("/files/a.css", ALL, [3, 3, 3, 1, [(2, 1)], 1]),
    ("/slow", ("harakiri_count", "respawn_count"), [1, 2]),
    # The same worker's number, and another process. uWSGI counts as the application's what
    # was killed, too.
    ("/", (*ALL[:4], "statics", "harakiri_count", "respawn_count"), [4, 1, 4, 1, 1, 1, 2]),
)


def counts(port: int) -> dict[str, Any]:
    """Return what the only worker counts, with its only thread's and its application's."""
    (worker,) = ask(("127.0.0.1", port))["workers"]
    (core,) = worker["cores"]
    names = ("requests", "delta_requests", "exceptions", "harakiri_count", "respawn_count")
    found = {name: worker[name] for name in names}
    found["core_requests"], found["statics"] = core["requests"], core["static_requests"]
    found["app"] = [(app["requests"], app["exceptions"]) for app in worker["apps"]]
    return found


def test_each_of_several_applications_counts_its_own_as_uwsgis_do(
    emperor: Emperor, tmp_path: Path
) -> None:
    for module in ("plain", "shop", "wiki"):
        emperor.app(module, PLAIN.replace("/fail", "/fail" if module == "plain" else "/x/fail"))
    stats, port, theirs, their_port = (free_port() for _ in range(4))
    ini = (
        f"[uwsgi]\nchdir = {emperor.apps}\nmaster = true\nmanage-script-name = true\n"
        "mount = /=plain:application\nmount = /shop=shop:application\n"
        "mount = /wiki=wiki:application\nthreads = 2\nhttp-socket = 127.0.0.1:%s\n"
        "stats = 127.0.0.1:%s\n"
    )
    with both_serve(emperor, tmp_path, ini % (port, stats), ini % (their_port, theirs), theirs):
        for path in ("/shop", "/shop/a", "/wiki/x/fail", "/fail", "/other", "/wiki"):
            for each in (port, their_port):
                with contextlib.suppress(http.client.HTTPException, OSError):
                    get(each, path)
        expected = {"": (2, 1), "/shop": (2, 0), "/wiki": (2, 1)}
        for each in (stats, theirs):
            wait_until(
                lambda each=each: by_mount(each) == expected,
                what=f"{by_mount(each)} at {'ours' if each == stats else 'theirs'}",
            )
    worker = emperor.vassal("blog")["workers"][0]["pid"]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: get(port, "/shop")[0] == 200, 10.0, "another worker")
    wait_until(lambda: by_mount(stats)["/shop"] == (3, 0), what="it counts on")


def by_mount(port: int) -> dict[str, tuple[int, int]]:
    """Return requests and exceptions of each application of the only worker by its prefix."""
    (worker,) = ask(("127.0.0.1", port))["workers"]
    apps = worker["apps"]
    return {app["mountpoint"].rstrip("/"): (app["requests"], app["exceptions"]) for app in apps}


KEEPS = """
import uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    for word in environ["PATH_INFO"].strip("/").split("/"):
        act, _, key = word.partition("-")
        if act == "set":
            uwsgi.cache_set(key, "value")
        elif act == "update":
            uwsgi.cache_update(key, "another", 0, "small")
        elif act == "get":
            uwsgi.cache_get(key)
        elif act == "exists":
            uwsgi.cache_exists(key)
        elif act == "del":
            uwsgi.cache_del(key)
        elif act == "clear":
            uwsgi.cache_clear("small")
    return [b"done"]
"""


def test_caches_count_as_uwsgis_do(emperor: Emperor, tmp_path: Path) -> None:
    emperor.app("keeps", KEEPS)
    stats, port, theirs, their_port = (free_port() for _ in range(4))
    ini = (
        f"[uwsgi]\nchdir = {emperor.apps}\nmaster = true\nmodule = keeps\n"
        "cache2 = name=large,items=50,blocksize=1000,keysize=100\n"
        "cache2 = name=small,items=%s\nhttp-socket = 127.0.0.1:%s\nstats = 127.0.0.1:%s\n"
    )
    # uWSGI does not use the first of its entries.
    with both_serve(
        emperor, tmp_path, ini % (3, port, stats), ini % (4, their_port, theirs), theirs
    ):
        assert caches(stats) == caches(theirs)
        for path in (
            "/set-a/set-b/set-a/get-a/get-none/exists-a/exists-none",
            "/del-b/get-b/set-c",
            "/update-1/update-2/update-1",
            "/update-3/update-4/update-5",
            "/clear/update-1",
        ):
            for each in (port, their_port):
                assert get(each, path)[1] == b"done"
            # Ours are not gathered anew for each of many who ask in one moment.
            wait_until(lambda: caches(stats) == caches(theirs), what=f"the same after {path}")
    (large, small) = caches(stats)
    assert (large["items"], large["hits"], large["miss"]) == (2, 1, 2)
    assert (small["items"], small["full"]) == (1, 2)


def caches(port: int) -> list[dict[str, Any]]:
    """Return what is told of caches, but how they find their keys and when they were changed."""
    found: list[dict[str, Any]] = ask(("127.0.0.1", port))["caches"]
    for key in ("max_items", "blocks"):
        assert found[0][key] == 50
        del found[1][key]
    for cache in found:
        for key in ("hash", "hashsize", "last_modified_at"):
            cache.pop(key)
    return found

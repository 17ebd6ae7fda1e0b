"""Statistics in uWSGI's form: of a vassal, of the emperor, of all workers."""

import os
import socket
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.processes import count_fds
from tests.support.stats import answers, ask, keys, uwsgitop
from tests.support.uwsgi import real_uwsgi
from tests.support.wait import wait_until

PLAIN = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hi"]
"""


def test_vassal_tells_what_uwsgi_tells(emperor: Emperor, tmp_path: Path) -> None:
    emperor.app("plain", PLAIN)
    stats, http, theirs, theirs_http = (free_port() for _ in range(4))
    ini = (
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = plain\nworkers = 2\nthreads = 2\n"
        f"master = true\nlocks = 2\nhttp-socket = 127.0.0.1:%s\nsocket = {emperor.base}/%s.sock\n"
        "socket = @emp-%s\nstats = 127.0.0.1:%s\n"
    )
    (emperor.vassals / "blog.ini").write_text(ini % (http, http, http, stats))
    emperor.start()
    blog = emperor.wait_state("blog", "ready")
    (tmp_path / "blog.ini").write_text(
        ini % (theirs_http, theirs_http, theirs_http, theirs) + "need-app = true\n"
    )
    tmp_path.chmod(0o755)
    with real_uwsgi(tmp_path, "--ini", str(tmp_path / "blog.ini"), "--die-on-term"):
        wait_until(lambda: answers(theirs), 10, "uWSGI's statistics")
        for port in (http, theirs_http):
            for _ in range(3):
                assert get(port) == (200, b"hi")
        # A request is counted when its client has the answer already.
        wait_until(lambda: requests_told(stats) == requests_told(theirs) == 3, 5, "all counted")
        wait_until(lambda: not runs(stats) and not runs(theirs), 5, "none runs any more")
        ours, uwsgis = ask(("127.0.0.1", stats)), ask(("127.0.0.1", theirs))
    assert keys(ours) == keys(uwsgis)
    assert ours["locks"] == uwsgis["locks"]
    for told, port in ((ours, http), (uwsgis, theirs_http)):
        names = [f"127.0.0.1:{port}", f"{emperor.base}/{port}.sock", f"@emp-{port}"]
        assert sorted(one["name"] for one in told["sockets"]) == sorted(names)
    assert ours["cwd"] == str(emperor.apps)
    assert ours["pid"] == blog["pid"]
    assert sum(worker["requests"] for worker in ours["workers"]) == 3
    assert ours["sockets"][0]["max_queue"] > 0
    first = ours["workers"][0]
    assert first["rss"] > 1e6
    assert first["vsz"] > first["rss"]
    assert abs(first["last_spawn"] - time.time()) < 60
    assert [worker["respawn_count"] for worker in ours["workers"]] == [1, 1]
    assert sum(worker["tx"] for worker in ours["workers"]) > 0


def runs(port: int) -> bool:
    workers = ask(("127.0.0.1", port))["workers"]
    return any(core["in_request"] for worker in workers for core in worker["cores"])


def requests_told(port: int) -> int:
    return sum(worker["requests"] for worker in ask(("127.0.0.1", port))["workers"])


def test_requests_are_told_only_where_the_file_says_so(emperor: Emperor) -> None:
    emperor.app("hello")
    paths = [str(emperor.base / f"{name}.stats") for name in ("shy", "open")]
    ports = [
        emperor.drop("shy", stats=f"unix://{paths[0]}", workers=1),
        emperor.drop("open", stats=f"unix://{paths[1]}", workers=1, stats_requests=True),
    ]
    emperor.start()
    for name in ("shy", "open"):
        emperor.wait_state(name, "ready")
    clients = [threading.Thread(target=get, args=(port, "/sleep/2?token=x")) for port in ports]
    for client in clients:
        client.start()

    def core(path: str) -> dict[str, object]:
        found = ask(path)["workers"][0]
        return {"status": found["status"], **found["cores"][0]}

    wait_until(lambda: all(core(path)["status"] == "busy" for path in paths), 5, "both busy")
    assert core(paths[0])["vars"] == []
    assert core(paths[1])["vars"] == ["REQUEST_METHOD=GET", "REQUEST_URI=/sleep/2?token=x"]
    assert core(paths[0])["req_info"].keys() == {"request_start"}  # type: ignore[attr-defined]
    for client in clients:
        client.join(10)


def test_browsers_are_answered_as_http(emperor: Emperor) -> None:
    emperor.app("hello")
    port = free_port()
    emperor.drop("blog", stats=f"http://127.0.0.1:{port}")
    emperor.start()
    emperor.wait_state("blog", "ready")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
        assert response.headers["Content-Type"] == "application/json"
        assert b'"workers"' in response.read()


def test_who_does_not_read_costs_nobody_anything(emperor: Emperor) -> None:
    emperor.app("hello")
    path = str(emperor.base / "blog.stats")
    port = emperor.drop("blog", stats=f"unix://{path}", workers=1)
    emperor.start()
    master = emperor.wait_state("blog", "ready")["pid"]
    before = count_fds(master)
    idlers = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    for idler in idlers:
        idler.connect(path)
    assert ask(path)["workers"]
    assert get(port)[0] == 200
    assert count_fds(master) <= before + 20
    for idler in idlers:
        idler.close()
    wait_until(lambda: count_fds(master) <= before, 5, "no connection is left")


def test_reload_and_removal_of_the_address(emperor: Emperor) -> None:
    emperor.app("hello")
    path, other = str(emperor.base / "blog.stats"), str(emperor.base / "other.stats")
    emperor.drop("blog", stats=f"unix://{path}")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.do("reload", "blog")
    wait_until(lambda: emperor.wait_state("blog", "ready")["generation"] == 2, 10, "reloaded")
    assert ask(path)["workers"]
    emperor.drop("blog", stats=f"unix://{other}")
    wait_until(lambda: Path(other).exists(), 10, "the new address")
    emperor.wait_state("blog", "ready")
    wait_until(lambda: not Path(path).exists(), 10, "the old address is gone")
    assert ask(other)["workers"]
    emperor.remove("blog")
    wait_until(lambda: not Path(other).exists(), 10, "nothing is left")


def test_emperor_tells_of_its_vassals_as_uwsgis_does(emperor: Emperor, tmp_path: Path) -> None:
    emperor.app("plain", PLAIN)
    ours, fleet, theirs = free_port(), f"@{emperor.base.name}", free_port()
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text(
        f'stats = "tcp://127.0.0.1:{ours}"\nstats_workers = "unix://{fleet}"\n'
    )
    port = emperor.drop("blog", app="plain:application", workers=2)
    other = emperor.drop("shop", app="plain:application", workers=1)
    (emperor.vassals / "broken.toml").write_text("app = 3")
    emperor.start()
    for name in ("blog", "shop"):
        emperor.wait_state(name, "ready")
    assert get(port)[0] == 200
    vassals = tmp_path / "vassals"
    vassals.mkdir()
    (vassals / "blog.ini").write_text(
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = plain\nhttp-socket = 127.0.0.1:{free_port()}\n"
    )
    with real_uwsgi(
        tmp_path, "--emperor", str(vassals), "--emperor-stats", f"127.0.0.1:{theirs}", "--master"
    ):
        wait_until(lambda: answers(theirs) and ask(("127.0.0.1", theirs))["vassals"], 15, "uWSGI's")
        uwsgis = ask(("127.0.0.1", theirs))
    told = ask(("127.0.0.1", ours))
    assert uwsgis.keys() == told.keys()
    assert uwsgis["vassals"][0].keys() <= told["vassals"][0].keys()
    by_name = {vassal["id"]: vassal for vassal in told["vassals"]}
    assert by_name["blog.toml"]["ready"] == by_name["blog.toml"]["loyal"] == 1
    assert by_name["blog.toml"]["pid"] == emperor.vassal("blog")["pid"]
    assert [one["id"] for one in by_name["blog.toml"]["workers"]] == ["blog:1", "blog:2"]
    everybody = ask(fleet)
    assert [one["id"] for one in everybody["workers"]] == ["blog:1", "blog:2", "shop:1"]
    addresses = {f"127.0.0.1:{one}" for one in (port, other)}
    assert {one["name"] for one in everybody["sockets"]} == addresses


def test_uwsgitop_shows_vassal_emperor_and_fleet(emperor: Emperor) -> None:
    emperor.app("hello")
    ours, fleet = free_port(), free_port()
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text(
        f'stats = "tcp://127.0.0.1:{ours}"\nstats_workers = "tcp://127.0.0.1:{fleet}"\n'
    )
    path = str(emperor.base / "blog.stats")
    port = emperor.drop("blog", stats=f"unix://{path}", workers=2)
    emperor.start()
    blog = emperor.wait_state("blog", "ready")
    for _ in range(7):
        get(port)
    wait_until(lambda: sum(one["requests"] for one in ask(path)["workers"]) == 7, 5, "counted")
    pids = {str(row["pid"]) for row in emperor.vassal("blog")["workers"]}

    shown = uwsgitop(path)
    assert "req: 7" in shown
    assert "WID" in shown

    shown = uwsgitop(f"127.0.0.1:{ours}")
    assert "VASSAL" in shown
    assert "blog.toml" in shown
    assert str(blog["pid"]) in shown

    shown = uwsgitop(f"127.0.0.1:{fleet}")
    assert "blog:1" in shown
    assert all(pid in shown for pid in pids)


@pytest.mark.parametrize("text", ['stats = "unix://@mine"\n', 'stats = "tcp://127.0.0.1:80"\n'])
def test_tenants_file_takes_no_address_of_the_hosts(emperor: Emperor, text: str) -> None:
    from tests.support.need import need_root

    need_root()
    emperor.app("hello")
    emperor.drop("blog", text=text)
    os.chown(emperor.vassals / "blog.toml", 65534, 65534)
    emperor.start()
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    assert "stats: " in failure["message"]

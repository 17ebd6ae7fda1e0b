"""A stop finishes what has begun, within its time; what comes meanwhile waits for a restart, and is
told 503 by what was stopped for longer."""

import os
import signal
import socket
import time

import pytest

from tests.support import leftovers
from tests.support.emperor import Emperor, get
from tests.support.load import check
from tests.support.site import Site
from tests.support.slow import Slow, serve
from tests.support.wait import wait_until

TIMES = 20


def test_restarts_by_hand_lose_nothing(site: Site) -> None:
    with site.asked() as asked:
        for _ in range(TIMES):
            pid = site.status["pid"]
            assert site.emperor.do("restart", "blog")[0] == 202
            wait_until(lambda pid=pid: site.status["pid"] not in (0, pid), 15, "another master")
            site.emperor.wait_state("blog", "ready")
    check(asked.outcomes, site.served)


def test_stops_and_starts_by_hand_answer_everybody(site: Site) -> None:
    with site.asked() as asked:
        for _ in range(TIMES):
            assert site.emperor.do("stop", "blog")[0] == 202
            site.emperor.wait_state("blog", "stopped")
            assert site.emperor.do("start", "blog")[0] == 202
            site.emperor.wait_state("blog", "ready")
    # Not one connection was refused, cut or forgotten, and who was told 503 was not served.
    refused = {one.number for one in asked.outcomes if "503 service unavailable" in one.problem}
    assert not refused & set(site.served.read_text().split())
    check([one for one in asked.outcomes if one.number not in refused], site.served)


def test_clients_of_a_stopped_vassal_are_answered_503_until_it_starts(emperor: Emperor) -> None:
    stats = emperor.base / "stats.sock"
    ports = serve(emperor, "blog", stats=f"unix://{stats}")
    slow = Slow(emperor, ports, 2)
    assert emperor.do("stop", "blog")[0] == 202
    assert slow.all_answers() == [200]
    status = emperor.wait_state("blog", "stopped")
    assert get(ports["blog"])[0] == 503
    assert status["refusing"]
    assert status["held"] == "somebody said stop"
    assert "answered 503" in emperor.ask("GET", "/v1/vassals/blog/explain")[1]["why"]
    assert not stats.exists()  # nobody is there to tell statistics
    emperor.wait_new_brain(emperor.kill_brain())
    assert get(ports["blog"])[0] == 503
    assert emperor.do("start", "blog")[0] == 202
    assert not emperor.wait_state("blog", "ready")["refusing"]
    assert get(ports["blog"])[0] == 200
    wait_until(stats.exists, what="statistics are told again")


def test_file_that_comes_under_the_name_of_one_that_had_been_stopped_is_started(
    emperor: Emperor,
) -> None:
    port = serve(emperor, "blog")["blog"]
    emperor.do("stop", "blog")
    emperor.wait_state("blog", "stopped")
    emperor.wait_new_brain(emperor.kill_brain())
    assert emperor.vassal("blog")["state"] == "stopped"
    emperor.do("start", "blog")
    emperor.wait_state("blog", "ready")
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), what="it is gone")
    emperor.drop("blog", port=port)
    emperor.wait_state("blog", "ready")


def test_stopped_vassal_answers_where_its_file_says_and_not_when_that_is_gone(
    emperor: Emperor,
) -> None:
    before = serve(emperor, "blog")["blog"]
    assert emperor.do("stop", "blog")[0] == 202
    emperor.wait_state("blog", "stopped")
    assert get(before)[0] == 503
    emperor.drop("blog", port=before, workers=2)
    wait_until(lambda: get(before)[0] == 503, what="the same address in another version")
    emperor.drop("blog")  # at another port
    wait_until(lambda: _is_refused(before), what="the address that it has no more")
    emperor.remove("blog")
    wait_until(lambda: not emperor.vassal("blog"), what="it is gone")
    assert emperor.stop() == 0


def test_end_of_the_emperor_refuses_nobody_in_the_name_of_what_it_stops(
    emperor: Emperor,
) -> None:
    ports = serve(emperor, "blog", "shop")
    slow = Slow(emperor, {"shop": ports["shop"]}, 3)
    assert emperor.process is not None
    emperor.process.terminate()
    wait_until(lambda: emperor.state_of("blog") == "stopped", what="blog is stopped")
    # systemd may keep the sockets, and the next emperor serves who waits there.
    with socket.create_connection(("127.0.0.1", ports["blog"]), 10) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        client.settimeout(1)
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert slow.all_answers() == [200]
    assert emperor.process.wait(20) == 0


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionRefusedError:
        return True
    return False


def test_request_longer_than_stop_timeout_is_cut_and_the_next_one_served(
    emperor: Emperor,
) -> None:
    ports = serve(emperor, "blog", stop_timeout=1)
    slow = Slow(emperor, ports, 50)
    began = time.monotonic()
    assert emperor.do("restart", "blog")[0] == 202
    assert slow.all_answers() == [503]
    assert get(ports["blog"], timeout=30)[0] == 200
    assert time.monotonic() - began < 40
    assert "reason=stop_timeout" in emperor.vassal_log("blog")


def test_end_of_the_emperor_finishes_the_requests_of_all_vassals_side_by_side(
    emperor: Emperor,
) -> None:
    slow = Slow(emperor, serve(emperor, "a", "b", "c", "d", "e"), 5)
    began = time.monotonic()
    assert emperor.stop(60) == 0
    assert slow.all_answers() == [200] * 5
    # One after the other they would take five times as long.
    assert time.monotonic() - began < 20


def test_stop_right_behind_a_reload_of_the_emperor_finishes_requests(emperor: Emperor) -> None:
    slow = Slow(emperor, serve(emperor, "blog"), 2)
    os.kill(emperor.pid, signal.SIGSTOP)  # so that the brain is told of both at once
    os.kill(emperor.pid, signal.SIGHUP)
    os.kill(emperor.pid, signal.SIGTERM)
    os.kill(emperor.pid, signal.SIGCONT)
    assert slow.all_answers() == [200]
    assert emperor.process is not None
    assert emperor.process.wait(30) == 0
    assert "event=emperor_restarting" in emperor.log()
    assert "event=master_died" not in emperor.log()
    assert leftovers.of(emperor) == []


def test_brain_that_dies_while_the_emperor_stops_starts_nothing_anew(emperor: Emperor) -> None:
    ports = serve(emperor, "blog", "shop")
    slow = Slow(emperor, {"shop": ports["shop"]}, 4)
    assert emperor.process is not None
    emperor.process.terminate()
    wait_until(lambda: emperor.state_of("blog") == "stopped", what="blog is stopped")
    emperor.kill_brain()
    assert slow.all_answers() == [200]
    assert emperor.process.wait(30) == 0
    assert emperor.log().count("vassal=blog event=vassal_starting") == 1
    assert leftovers.of(emperor) == []


def test_nothing_begins_while_the_emperor_stops(emperor: Emperor) -> None:
    ports = serve(emperor, "blog")
    slow = Slow(emperor, ports, 4)
    assert emperor.process is not None
    emperor.process.terminate()
    wait_until(lambda: emperor.state_of("blog") == "stopping", what="it stops")
    emperor.drop("shop")
    wait_until(lambda: emperor.vassal("shop"), what="the file was read")
    assert emperor.do("start", "shop")[0] == 202
    assert slow.all_answers() == [200]
    assert emperor.process.wait(20) == 0
    assert "vassal=shop event=vassal_starting" not in emperor.log()


def test_end_of_the_emperor_kills_the_rest_after_shutdown_timeout(emperor: Emperor) -> None:
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("shutdown_timeout = 1\n")
    slow = Slow(emperor, serve(emperor, "blog", stop_timeout=60), 50)
    began = time.monotonic()
    assert emperor.stop(60) == 0
    assert slow.all_answers() == [0]
    assert time.monotonic() - began < 40
    assert "event=shutdown_incomplete" in emperor.log()

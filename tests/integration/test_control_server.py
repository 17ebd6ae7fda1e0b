"""The control API over a real unix socket."""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.control.client import ControlClient, ControlError, NotReachable
from emperor.control.connections import (
    CONNECTIONS_MAX,
    CONNECTIONS_PER_UID_MAX,
    CONNECTIONS_RESERVED,
)
from emperor.control.server import ControlServer, bind_atomically
from emperor.logfmt import Log
from tests.support.control import NOBODY, FakeSteering, Served, curl, served
from tests.support.forked import run_forked
from tests.support.need import need_program, need_root
from tests.support.processes import fds_of
from tests.support.wait import wait_until

OWNERS = {"shop": 0, "blog": NOBODY}


@pytest.fixture
def api(runtime_dir: Path) -> Iterator[Served]:
    with served(runtime_dir, OWNERS.copy()) as one:
        yield one


def connect(api: Served) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(api.socket))  # before settimeout: it waits while the queue is full
    client.settimeout(10)
    return client


def receive_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def as_nobody(function):
    """Run `function` in a child that is nobody; return what it returned."""

    def child():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return function()

    return run_forked(child)


def test_status_lists_every_vassal_for_the_emperors_user(api):
    status = api.client.status()
    assert [vassal.name for vassal in status.vassals] == ["shop", "blog"]
    assert status.emperor.errors


def test_curl_can_read_and_steer(api):
    need_program("curl")
    answer, _, code = curl(api, "/v1/vassals/shop").stdout.rpartition("\n")
    assert (code, json.loads(answer)["name"]) == ("200", "shop")
    answer, _, code = curl(api, "/v1/vassals/shop/restart", "-X", "POST").stdout.rpartition("\n")
    assert (code, json.loads(answer)) == ("202", {"begun": "restart of shop was begun"})
    assert api.steering.steered == [("restart", "shop")]
    assert "event=steered level=info action=restart uid=" in api.log_file.read_text()


@pytest.mark.parametrize(
    ("path", "options", "status", "what"),
    [
        ("/v1/vassals/nix", [], 404, "no vassal 'nix'"),
        ("/v1/vassals/..%2Fshop", [], 404, "no vassal '../shop'"),
        ("/nowhere", [], 404, "no such path: /nowhere"),
        ("/v1/vassals/shop/reload", [], 405, "GET is not for this path"),
        ("/v1/vassals/shop/destroy", ["-X", "POST"], 404, "no such path"),
        ("/v1/vassals/shop/start", ["-X", "POST"], 409, "shop runs already"),
        ("/v1/vassals/shop/logs", [], 409, "has written nothing yet"),
        ("/v1/vassals/shop/logs?lines=-1", [], 400, "lines=-1"),
        ("/v1/vassals/shop/logs?lines=10001", [], 400, "lines=10001"),
        ("/v1/vassals/shop/logs?follow=yes", [], 400, "follow=yes"),
    ],
)
def test_what_cannot_be_done_is_answered_with_what_and_remedy(api, path, options, status, what):
    need_program("curl")
    answer, _, code = curl(api, path, *options).stdout.rpartition("\n")
    error = json.loads(answer)["error"]
    assert int(code) == status
    assert what in error["what"]
    assert error["remedy"]


def test_fault_in_the_brain_is_logged_and_not_shown(api):
    api.steering.status_fails = True
    with pytest.raises(ControlError, match="made a mistake"):
        api.client.status()
    assert "ZeroDivisionError: a fault in the brain" in api.log_file.read_text()
    api.steering.status_fails = False
    assert api.client.status().vassals


def test_text_that_is_no_utf8_is_escaped_in_the_answer(api):
    api.steering.padding = "\udcff"
    assert api.client.vassal("shop").config.endswith("shop.toml\\udcff")


def test_tenant_sees_and_steers_only_its_own_vassals(api):
    need_root()

    def ask():
        client = ControlClient(api.runtime_dir)
        status = client.status()
        answers = []
        for name in ("shop", "nix"):
            for ask_for in (
                client.vassal,
                client.explain,
                lambda name: client.steer(name, "stop"),
                lambda name: list(client.logs(name, 1, follow=False)),
            ):
                try:
                    ask_for(name)
                    answers.append("let in")
                except ControlError as error:
                    answers.append(error.what)
        return {
            "names": [vassal.name for vassal in status.vassals],
            "errors": status.emperor.errors,
            "directories": status.emperor.directories,
            "own": client.steer("blog", "reload"),
            "foreign": answers,
        }

    assert as_nobody(ask) == {
        "names": ["blog"],
        "errors": [],
        "directories": [],
        "own": "reload of blog was begun",
        "foreign": ["no vassal 'shop'"] * 4 + ["no vassal 'nix'"] * 4,
    }
    assert api.steering.steered == [("reload", "blog")]


def test_tenant_cannot_upgrade_the_emperor(api):
    need_root()

    def ask():
        with pytest.raises(ControlError) as refused:
            ControlClient(api.runtime_dir).upgrade()
        return refused.value.what

    assert as_nobody(ask) == "only root and the emperor's user may upgrade it"
    assert api.steering.steered == []


def test_tenant_in_a_tight_loop_is_slowed_down_and_root_is_not(api):
    need_root()

    def ask_often():
        client = ControlClient(api.runtime_dir)
        began = time.monotonic()
        for _ in range(50):
            client.vassal("blog")
        return time.monotonic() - began

    # 40 at once, the other 10 at 20 a second.
    assert as_nobody(ask_often) > 0.4
    began = time.monotonic()
    for _ in range(50):
        api.client.vassal("blog")
    assert time.monotonic() - began < 5


def test_who_has_connected_when_the_server_stops_is_answered(tmp_path):
    async def ask_and_stop() -> list[bytes]:
        server = ControlServer(FakeSteering(OWNERS.copy(), tmp_path), tmp_path, Log(2))
        await server.start()
        clients = [socket.socket(socket.AF_UNIX) for _ in range(5)]
        for client in clients:
            # The loop has no turn between these and the stop.
            client.connect(str(tmp_path / "control.sock"))
            client.sendall(b"GET /v1/status HTTP/1.1\r\nHost: emperor\r\n\r\n")
        await server.stop()
        return [receive_all(client)[:15] for client in clients]

    assert asyncio.run(ask_and_stop()) == [b"HTTP/1.1 200 OK"] * 5


def test_socket_replaces_a_stale_one_and_is_open_to_everyone(runtime_dir):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(runtime_dir / "control.sock"))
    stale.close()
    (runtime_dir / ".control.new").touch()
    with served(runtime_dir, OWNERS) as api:
        assert api.socket.stat().st_mode & 0o777 == 0o666
        assert api.client.status().vassals
    assert list(runtime_dir.iterdir()) == []


def test_stop_leaves_the_socket_of_a_later_emperor_alone(runtime_dir):
    with served(runtime_dir, OWNERS):
        later = bind_atomically(runtime_dir / "control.sock")
    assert (runtime_dir / "control.sock").is_socket()
    later.close()
    (runtime_dir / "control.sock").unlink()


def test_too_long_a_path_is_refused_in_words(runtime_dir):
    deep = runtime_dir / ("d" * 100)
    deep.mkdir()
    with pytest.raises(OSError, match="choose a shorter runtime directory"):
        bind_atomically(deep / "control.sock")
    deep.rmdir()


def test_client_that_sends_its_request_byte_by_byte_is_cut_off(runtime_dir):
    with served(runtime_dir, OWNERS, client_timeout_s=0.3) as api, connect(api) as client:
        began = time.monotonic()
        for byte in b"GET /v1/status HTTP/1.1\r\nHost: e" + b"x" * 1000:
            try:
                client.send(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.02)
        assert 0.2 < time.monotonic() - began < 5
        assert api.client.status().vassals


def test_client_that_promises_a_body_and_does_not_send_it_is_cut_off(runtime_dir):
    with served(runtime_dir, OWNERS, client_timeout_s=0.3) as api, connect(api) as client:
        client.send(
            b"POST /v1/vassals/shop/stop HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\n\r\nab"
        )
        assert receive_all(client) == b""
        assert api.steering.steered == []


def test_client_that_does_not_read_its_answer_is_cut_off(runtime_dir):
    with served(runtime_dir, OWNERS, client_timeout_s=0.3) as api, connect(api) as client:
        api.steering.padding = "x" * 8 * 2**20  # more than socket buffers take
        client.send(b"GET /v1/vassals/shop HTTP/1.1\r\nHost: e\r\n\r\n")
        time.sleep(1)
        assert len(receive_all(client)) < 8 * 2**20


def test_idle_connection_is_closed(runtime_dir):
    with served(runtime_dir, OWNERS, client_timeout_s=0.2) as api, connect(api) as client:
        assert receive_all(client) == b""


def test_too_large_a_body_is_refused(api):
    with connect(api) as client:
        client.send(
            b"POST /v1/vassals/shop/stop HTTP/1.1\r\nHost: e\r\nConnection: close\r\n"
            b"Content-Length: 65537\r\n\r\n" + b"x" * 65537
        )
        assert receive_all(client).startswith(b"HTTP/1.1 413 ")
    assert api.steering.steered == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: e\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: e\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
    ],
    ids=["long path", "long header", "many headers", "no HTTP"],
)
def test_impossible_head_is_refused_and_nothing_is_logged(api, head, capfd):
    with connect(api) as client:
        try:
            client.sendall(head)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert receive_all(client).startswith(b"HTTP/1.0 400 ")
    assert api.client.status().vassals
    assert api.log_file.read_text() == ""
    assert capfd.readouterr().err == ""


def test_more_than_sixteen_connections_of_one_user_are_turned_away(api):
    clients = [connect(api) for _ in range(CONNECTIONS_PER_UID_MAX)]
    try:
        for client in clients:
            client.send(b"GET /v1/vassals HTTP/1.1\r\nHost: e\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ControlError, match="too many connections"):
            api.client.status()
        clients.pop().close()
        wait_until(lambda: not _is_refused(api), what="the freed place to be given away")
    finally:
        for client in clients:
            client.close()
    log = api.log_file.read_text()
    assert "event=control_connection_refused" in log
    assert log.count("\n") == 1, "refusals must not flood the log"


def _is_refused(api: Served) -> bool:
    try:
        api.client.status()
    except ControlError:
        return True
    return False


def test_many_users_together_cannot_lock_root_out(api):
    need_root()
    users = (CONNECTIONS_MAX - CONNECTIONS_RESERVED) // CONNECTIONS_PER_UID_MAX
    clients = []
    try:
        # SO_PEERCRED is what the thread was at connect.
        for number in range(users + 1):
            clients += _connect_as(20_000 + number, api, CONNECTIONS_PER_UID_MAX)
        refused = [client for client in clients if _answer(client).startswith(b"HTTP/1.1 503")]
        assert refused == clients[-CONNECTIONS_PER_UID_MAX:]
        assert api.client.status().vassals
    finally:
        for client in clients:
            client.close()


def _connect_as(uid: int, api: Served, count: int) -> list[socket.socket]:
    os.seteuid(uid)
    try:
        return [connect(api) for _ in range(count)]
    finally:
        os.seteuid(0)


def _answer(client: socket.socket) -> bytes:
    try:
        client.send(b"GET /v1/vassals HTTP/1.1\r\nHost: e\r\n\r\n")
    except BrokenPipeError:
        pass
    return client.recv(65536)


def test_descriptors_sent_over_the_socket_do_not_stay(api):
    assert api.client.status().vassals
    before = fds_of(os.getpid())
    for _ in range(20):
        with connect(api) as client, Path(os.devnull).open("rb") as gift:
            request = b"GET /v1/vassals HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n"
            socket.send_fds(client, [request], [gift.fileno()] * 50)
            assert receive_all(client).startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: len(fds_of(os.getpid())) <= len(before), what="descriptors to be closed")


def test_action_is_finished_even_if_the_client_hangs_up(api):
    api.steering.steering_takes_s = 0.3
    with connect(api) as client:
        client.send(b"POST /v1/vassals/shop/stop HTTP/1.1\r\nHost: e\r\n\r\n")
        time.sleep(0.1)
    wait_until(lambda: api.steering.steered == [("stop", "shop")], what="the vassal to be stopped")


def test_events_are_streamed_as_they_happen(api):
    events = api.client.events()
    _in_background(lambda: _publish_when_heard(api, [("vassal_ready", "shop"), ("reloaded", None)]))
    assert [next(events).event for _ in range(2)] == ["vassal_ready", "reloaded"]
    events.close()
    wait_until(lambda: api.listeners() == 0, what="the subscription to end")


def test_tenant_is_told_only_of_its_own_vassals(api):
    need_root()
    _in_background(
        lambda: _publish_when_heard(
            api, [("vassal_ready", "shop"), ("reloaded", None), ("vassal_ready", "blog")]
        )
    )
    first = as_nobody(lambda: next(ControlClient(api.runtime_dir).events()).vassal)
    assert first == "blog"


def test_stopping_the_server_ends_the_streams(runtime_dir):
    ended = []
    with served(runtime_dir, OWNERS) as api:
        (runtime_dir / "shop.log").write_text("line\n")
        threads = [
            _in_background(lambda: ended.append(list(api.client.events()))),
            _in_background(lambda: ended.append(list(api.client.logs("shop", 9, follow=True)))),
        ]
        wait_until(lambda: api.listeners() == 1, what="the subscription")
        time.sleep(0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 1.5
    for thread in threads:
        thread.join(5)
    assert sorted(ended) == [[], [b"line\n"]]
    (runtime_dir / "shop.log").unlink()


def _publish_when_heard(api: Served, events: list[tuple[str, str | None]]) -> None:
    wait_until(lambda: api.listeners() == 1, what="a subscription")
    for event, vassal in events:
        api.publish(event, vassal)


def _in_background(function) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_last_lines_of_a_log_are_sent(api):
    log = api.runtime_dir / "shop.log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert b"".join(api.client.logs("shop", 3, follow=False)) == (
        b"line 49997\nline 49998\nline 49999\n"
    )
    assert b"".join(api.client.logs("shop", 0, follow=False)) == b""
    assert b"".join(api.client.logs("shop", 10_000, follow=False)).startswith(b"line 40000\n")
    log.write_text("no newline\nat the end")
    assert b"".join(api.client.logs("shop", 1, follow=False)) == b"at the end"
    assert b"".join(api.client.logs("shop", 7, follow=False)) == b"no newline\nat the end"
    log.unlink()


def test_followed_log_goes_on_across_rotation_and_truncation(api):
    log, rotated = api.runtime_dir / "shop.log", api.runtime_dir / "shop.log.1"
    log.write_text("one\n")
    received = bytearray()
    _in_background(
        lambda: [received.extend(piece) for piece in api.client.logs("shop", 5, follow=True)]
    )
    wait_until(lambda: bytes(received) == b"one\n", what="the first line")
    with log.open("a") as old:
        log.rename(rotated)
        old.write("two, after the rename\n")
    time.sleep(0.6)  # for a moment there is no log at all
    log.write_text("three\n")
    wait_until(lambda: received.endswith(b"two, after the rename\nthree\n"), what="the new file")
    log.write_text("4\n")
    wait_until(lambda: received.endswith(b"three\n4\n"), what="the truncated file")
    log.unlink()
    rotated.unlink()


def test_followed_log_ends_when_the_vassal_is_another_tenants(api):
    need_root()
    log = api.runtime_dir / "blog.log"
    log.write_text("mine\n")
    log.chmod(0o644)

    def later():
        wait_until(lambda: api.steering.owners["blog"] == NOBODY)
        time.sleep(0.2)
        api.steering.owners["blog"] = 12345
        with log.open("a") as file:
            time.sleep(1.2)
            file.write("not yours\n")

    thread = _in_background(later)
    seen = as_nobody(
        lambda: b"".join(ControlClient(api.runtime_dir).logs("blog", 9, follow=True)).decode()
    )
    assert seen == "mine\n"
    thread.join(5)
    log.unlink()


def test_client_says_where_it_looked_when_no_emperor_runs(runtime_dir):
    with pytest.raises(NotReachable, match="no emperor runs at") as caught:
        ControlClient(runtime_dir).status()
    assert "--runtime-dir" in caught.value.remedy
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(runtime_dir / "control.sock"))
    stale.close()
    with pytest.raises(NotReachable, match="any more"):
        ControlClient(runtime_dir).status()
    (runtime_dir / "control.sock").unlink()


def test_client_waits_while_the_queue_is_full_and_then_says_so(runtime_dir):
    path = runtime_dir / "control.sock"
    with socket.socket(socket.AF_UNIX) as emperor, socket.socket(socket.AF_UNIX) as other:
        emperor.bind(str(path))
        emperor.listen(0)
        other.connect(str(path))
        began = time.monotonic()
        with pytest.raises(NotReachable, match="does not answer"):
            ControlClient(runtime_dir, timeout_s=1).status()
        assert time.monotonic() - began > 0.9
    path.unlink()


def test_client_says_so_when_the_directory_is_closed_to_it(api):
    need_root()
    api.runtime_dir.chmod(0o700)

    def ask():
        try:
            ControlClient(api.runtime_dir).status()
        except NotReachable as error:
            return error.what
        return "let in"

    assert as_nobody(ask).startswith("permission denied at ")

"""A client that is slow costs itself its answer at harakiri, and nobody else anything."""

import socket
import threading
import time

import pytest

from tests.support.emperor import Emperor, get
from tests.support.wait import wait_until

LARGE = """
import os, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/upload":
        environ["wsgi.input"].read()
    if path == "/nap":
        time.sleep(1.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/pieces":
        return (b"x" * 65536 for _ in range(1000))
    return [b"x" * 64000000 if path == "/large" else b"%d" % os.getpid()]
"""


@pytest.fixture
def port(emperor: Emperor) -> int:
    emperor.app("large", LARGE)
    (emperor.apps / "file").write_bytes(b"x" * 64_000_000)
    port = emperor.drop(
        "blog",
        app="large:application",
        harakiri=2,
        workers=1,
        threads=2,
        text='[static]\n"/file" = "file"\n',
    )
    emperor.start()
    emperor.wait_state("blog", "ready")
    return port


@pytest.mark.parametrize("path", ["/large", "/pieces", "/file"])
def test_slow_reader_is_given_up_at_harakiri_and_its_worker_lives(
    emperor: Emperor, port: int, path: str
) -> None:
    pid = get(port, "/pid")[1]
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        began = time.monotonic()
        client.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        assert client.recv(10)
        # It takes a little, again and again: socket_timeout never comes.
        told = f"GET '{path}': the client did not take the response in time: its harakiri is over"
        while told not in emperor.vassal_log("blog"):
            assert time.monotonic() - began < 20
            client.recv(1000)
            time.sleep(0.01)
        assert time.monotonic() - began >= 1.8
    assert get(port, "/pid")[1] == pid
    assert "harakiri" not in emperor.log()


def test_requests_beside_a_slow_reader_are_not_cut(emperor: Emperor, port: int) -> None:
    answers: list[int] = []
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(10)
        time.sleep(1)  # what comes now is under way at the other one's end
        beside = threading.Thread(target=lambda: answers.append(get(port, "/nap")[0]))
        beside.start()
        beside.join(20)
    assert answers == [200]
    assert emperor.vassal("blog")["restarts"] == 0
    assert "reason=harakiri" not in emperor.vassal_log("blog")


def test_slow_upload_is_answered_408_at_harakiri(emperor: Emperor, port: int) -> None:
    pid = get(port, "/pid")[1]
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome")
        assert b" 408 " in client.recv(1000)
    assert "POST '/upload': the client did not send its request in time" in (
        wait_until(lambda: emperor.vassal_log("blog"), what="a log")
    )
    assert get(port, "/pid")[1] == pid


def test_who_hangs_itself_is_killed_as_ever(emperor: Emperor, port: int) -> None:
    pid = get(port, "/pid")[1]
    emperor.app("large", LARGE.replace("time.sleep(1.5)", "time.sleep(60)"))
    assert emperor.do("reload", "blog")[0] == 202
    wait_until(lambda: get(port, "/pid")[1] != pid, what="the new code")
    assert get(port, "/nap", timeout=20)[0] == 504

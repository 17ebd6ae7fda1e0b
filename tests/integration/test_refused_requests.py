"""Who breaks a web server's protocol is answered where that is possible, and told of in the log."""

import socket
import struct

import pytest

from tests.support.emperor import Emperor
from tests.support.wait import wait_until
from vassal.runtime.wire import fastcgi

REQUEST = fastcgi.record(fastcgi.BEGIN_REQUEST, 7, struct.pack(">HB5x", fastcgi.RESPONDER, 0))
BROKEN = {
    "uwsgi": b"\x00\x04\x00\x00\xff\x00aa",
    "scgi": b"23:CONTENT_LENGTH\x000\x00A\x00B\x00C\x00,",
    "fastcgi": REQUEST + fastcgi.record(4, 7, b"\x05\x05short") + fastcgi.record(4, 7, b""),
    "http": b"GET / HTTP/1.1\r\nno field\r\n\r\n",
}


@pytest.fixture
def sockets(emperor: Emperor) -> dict[str, str]:
    """Start a vassal of one worker that listens in each protocol; return the sockets' paths."""
    emperor.app("hello")
    paths = {name: f"{emperor.runtime_dir}/sockets/{name}.sock" for name in BROKEN}
    emperor.drop("blog", listen=[f"{name}+unix://{path}" for name, path in paths.items()])
    emperor.start()
    emperor.wait_state("blog", "ready")
    return paths


def answer(path: str, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(data)
        found = b""
        while more := client.recv(65536):
            found += more
        return found


@pytest.mark.parametrize("protocol", BROKEN)
def test_broken_request_is_answered_400_and_told_of_once(
    emperor: Emperor, sockets: dict[str, str], protocol: str
) -> None:
    for _ in range(3):
        found = answer(sockets[protocol], BROKEN[protocol])
        assert b"400 " in found, found
    if protocol == "fastcgi":
        assert found.endswith(fastcgi.end_request(7))
    told = f"event=request_refused slot=1 protocol={protocol} status=400 count=1 reason="
    wait_until(lambda: told in emperor.vassal_log("blog"), what="the log tells of it")
    assert emperor.vassal_log("blog").count("event=request_refused") == 1
    assert answer(sockets["http"], b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_client_that_speaks_another_protocol_is_told_by_its_name(
    emperor: Emperor, sockets: dict[str, str]
) -> None:
    # proxy_pass where uwsgi_pass was meant.
    assert b"400 " in answer(sockets["uwsgi"], b"GET / HTTP/1.0\r\n\r\n")
    wait_until(
        lambda: "reason='the client speaks http'" in emperor.vassal_log("blog"),
        what="the log tells of it",
    )

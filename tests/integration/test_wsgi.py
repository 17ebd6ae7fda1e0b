"""PEP 3333 on a real `emperor serve`, over HTTP and over what web servers speak."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import PROTOCOLS, Serving, read_all, read_until, serving
from tests.support.wait import wait_until
from tests.support.wires import ask_fastcgi, ask_scgi, ask_uwsgi

ASK = {"uwsgi": ask_uwsgi, "fastcgi": ask_fastcgi, "scgi": ask_scgi}
BIG = b"0123456789abcdef" * (3 * 1024 * 1024 // 16)


@pytest.fixture
def base(nothing_left_behind: None) -> Iterator[Path]:
    """Yield a folder whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="emp-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    """One server for all tests of this module that do not need options of their own."""
    with tempfile.TemporaryDirectory(prefix="emp-") as name, serving(Path(name)) as one:
        yield one


# Before the fixture that looks for strays: it would take the shared server for one.
pytestmark = pytest.mark.usefixtures("shared")


@pytest.fixture
def one(shared: Serving) -> Serving:
    shared.start_anew()
    return shared


def closed(one: Serving) -> Any:
    return json.loads(one.ask("/closed")[1])


def test_what_an_application_may_do_reaches_the_client(one: Serving) -> None:
    for path, body in [
        ("/write", b"one two three four"),
        ("/lazy", b"late"),
        ("/parts", b"abc"),
        ("/sized", b"abcdef"),
        ("/memory", b"x" * 70000),
        ("/file", BIG[16:]),
        ("/gunzip", b"plain text"),
        ("/shorter", b"0123456789"),
        ("/large", b"y" * (8 * 1024 * 1024)),
    ]:
        assert one.ask(path) == (200, body), path
    assert closed(one) == ["write", "parts", "sized"]
    assert one.ask("/replaced") == (500, b"instead")
    assert "Traceback" not in one.log()


def test_the_same_over_what_web_servers_speak(one: Serving) -> None:
    for protocol in PROTOCOLS:
        ask, path = ASK[protocol], one.socket_of(protocol)
        for uri, expected in [
            ("/hello", (200, b"hello")),
            ("/write", (200, b"one two three four")),
            ("/lazy", (200, b"late")),
            ("/sized", (200, b"abcdef")),
            ("/memory", (200, b"x" * 70000)),
            ("/file", (200, BIG[16:])),
            ("/replaced", (500, b"instead")),
            ("/status/204", (204, b"")),
            ("/status/304", (304, b"")),
        ]:
            assert ask(path, uri) == expected, (protocol, uri)
        assert ask(path, "/raise")[0] == 500
        environ = json.loads(ask(path, "/environ")[1])
        assert environ["wsgi.url_scheme"] == "http"
        assert environ["SERVER_NAME"] == "test"
    assert closed(one) == ["write", "sized", "status", "status"] * 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_body_that_breaks_off_does_not_pass_for_a_whole_one(one: Serving, protocol: str) -> None:
    # A web server that sees an orderly end takes it for the end of the response.
    with pytest.raises((ConnectionResetError, AssertionError)):
        ASK[protocol](("127.0.0.1", one.ports[protocol]), "/fails")
    if protocol == "fastcgi":  # its framing tells, even over a unix socket
        with pytest.raises(AssertionError, match="not ended"):
            ask_fastcgi(one.socket_of(protocol), "/fails")


def test_fastcgi_body_of_another_length_than_announced_is_an_error_where_it_is_read(
    one: Serving,
) -> None:
    path = one.socket_of("fastcgi")
    assert ask_fastcgi(path, "/reads", b"12345678", CONTENT_LENGTH="8") == (200, b"8")
    assert ask_fastcgi(path, "/reads", b"12345678") == (200, b"8")  # as much as there is
    assert ask_fastcgi(path, "/reads", b"12345678", CONTENT_LENGTH="10")[0] == 400
    wait_until(lambda: "shorter than CONTENT_LENGTH after 6 bytes" in one.log(), what="it is told")
    assert ask_fastcgi(path, "/reads", CONTENT_LENGTH="1")[0] == 400
    wait_until(lambda: "shorter than CONTENT_LENGTH after 0 bytes" in one.log(), what="it is told")
    assert ask_fastcgi(path, "/reads", b"12345678", CONTENT_LENGTH="7")[0] == 400
    wait_until(lambda: "longer than CONTENT_LENGTH after 6 " in one.log(), what="it is told")
    # Who does not read to its end is not told.
    for length in ("7", "10"):
        for uri, answer in [("/ignore", b"ignored"), ("/parts", b"abc")]:
            told = {"CONTENT_LENGTH": length}
            assert ask_fastcgi(path, uri, b"12345678", **told) == (200, answer), (uri, length)


def test_body_ends_also_where_a_forked_process_holds_the_socket(one: Serving) -> None:
    try:
        for protocol in PROTOCOLS:
            for address in (one.socket_of(protocol), ("127.0.0.1", one.ports[protocol])):
                assert ASK[protocol](address, "/fork") == (200, b"abc"), (protocol, address)
        assert one.exchange(b"GET /fork HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nabc")
    finally:
        assert one.ask("/unfork") == (200, b"hello")


def test_head_204_and_304_have_no_body_and_the_connection_goes_on(one: Serving) -> None:
    with one.connect() as client:
        for request in (b"HEAD /parts", b"HEAD /file", b"GET /status/204", b"GET /status/304"):
            client.sendall(request + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = read_until(client, b"\r\n\r\n")
            assert answer.endswith(b"\r\n\r\n"), answer
            assert b"Transfer-Encoding" not in answer
            assert (b"Content-Length: %d" % (len(BIG) - 16) in answer) is (b"file" in request)
        client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_all(client).endswith(b"\r\n\r\nhello")
    assert closed(one) == ["parts", "status", "status"]


def test_write_that_is_used_after_its_response_reaches_no_other(one: Serving) -> None:
    request = b"GET /keepwrite HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /keepwrite HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = one.exchange(request + request + last)
    assert answers.count(b"\r\n\r\nkept") == 3
    assert b"late" not in answers


def test_body_is_read_in_every_way_that_a_file_is(one: Serving) -> None:
    expected = ["first\n", "se", "con", "", "d\n", "third\n", "fourth", "", ""]
    body = b"first\nsecond\nthird\nfourth"
    assert json.loads(one.ask("/lines", "POST", body)[1]) == expected
    pieces = iter([body[:3], body[3:14], body[14:]])
    answer = one.ask("/lines", "POST", pieces, encode_chunked=True, headers=CHUNKED)
    assert json.loads(answer[1]) == expected


CHUNKED = {"Transfer-Encoding": "chunked"}


def test_large_bodies_arrive_whole(one: Serving) -> None:
    assert one.ask("/echo", "POST", BIG) == (200, BIG)
    pieces = iter([BIG[at : at + 70000] for at in range(0, len(BIG), 70000)])
    assert one.ask("/echo", "POST", pieces, encode_chunked=True, headers=CHUNKED) == (200, BIG)


def test_body_longer_than_its_length_is_cut_and_a_shorter_one_is_seen(one: Serving) -> None:
    request = b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert one.exchange(b"GET /over" + request).endswith(b"\r\n\r\nabcd")
    assert one.exchange(b"GET /under" + request).endswith(b"\r\n\r\nabc")
    wait_until(lambda: "longer than its Content-Length" in one.log(), what="it is told")
    assert closed(one) == ["over", "under"]


def test_what_an_application_may_not_do_is_500_with_the_reason_in_the_log(one: Serving) -> None:
    for path, says in [
        ("/twice", "called twice"),
        ("/nothing", "before it called start_response"),
        ("/headless", "before it called start_response"),
        ("/text", "TypeError: the application gave str where WSGI has bytes"),
        ("/split", "CR, LF or NUL"),
        ("/raise", "on purpose"),
        ("/exit", "SystemExit"),
        ("/status/100", "from 200 to 999"),
    ]:
        assert one.ask(path) == (500, b"500 Internal Server Error\n"), path
        wait_until(lambda says=says: says in one.log(), what=says)
    assert len(one.worker_pids()) == 1
    assert one.ask() == (200, b"hello")


def test_failure_in_the_middle_leaves_the_response_unfinished(one: Serving) -> None:
    request = b" HTTP/1.1\r\nHost: x\r\n\r\n"
    for path in (b"/fails", b"/reraised"):
        answer = one.exchange(b"GET " + path + request)
        assert answer.endswith(b"5\r\nbegun\r\n"), answer
    wait_until(lambda: "too late to replace the head" in one.log(), what="it is told")
    with one.connect() as client:
        client.sendall(b"GET /fails HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):  # nothing else can tell HTTP/1.0
            read_all(client)
    assert one.exchange(b"GET /closefails" + request).endswith(b"\r\n\r\nok")
    assert closed(one) == ["fails", "fails", "closefails"]


def test_failure_behind_an_answer_without_a_body_takes_nothing_from_it(one: Serving) -> None:
    answer = one.exchange(b"HEAD /unsizedfails HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    wait_until(lambda: "close failed on purpose" in one.log(), what="it is told")


def test_application_whose_stderr_cannot_be_used_fails_like_any_other(one: Serving) -> None:
    before = one.worker_pids()
    for kind in ("none", "closed"):
        assert one.ask(f"/mute/{kind}") == (500, b"500 Internal Server Error\n")
        wait_until(lambda kind=kind: f"RuntimeError: not heard: {kind}" in one.log(), what="told")
    assert one.ask("/unmute") == (200, b"hello")
    assert one.worker_pids() == before


def test_parts_are_sent_when_the_application_yields_them(one: Serving, tmp_path: Path) -> None:
    flag = tmp_path / "go"
    with one.connect() as client:
        client.sendall(b"GET /stream?%s HTTP/1.1\r\nHost: x\r\n\r\n" % str(flag).encode())
        assert b"second" not in read_until(client, b"first;")
        flag.touch()
        assert read_until(client, b"0\r\n\r\n").endswith(b"second\r\n0\r\n\r\n")


def test_client_that_goes_in_the_middle_frees_the_worker_and_closes_the_iterable(
    one: Serving,
) -> None:
    with one.connect() as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1000)
    assert closed(one) == ["endless"]
    with one.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    assert one.ask() == (200, b"hello")
    assert "Traceback" not in one.log(), "a client that goes is no fault of the application"


def test_environ_holds_what_pep_3333_wants(one: Serving) -> None:
    environ = json.loads(one.ask("/environ/%C3%A4?a=b", headers={"X-Word": "w"})[1])
    assert environ["PATH_INFO"] == "/environ/\xc3\xa4"
    assert environ["QUERY_STRING"] == "a=b"
    assert environ["SERVER_PORT"] == str(one.port)
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_WORD"] == "w"
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == (False, False)


def test_wsgiref_finds_nothing_to_complain_about(base: Path) -> None:
    with serving(base, app="wsgi_cases:validated") as one:
        for method, body in (("GET", None), ("HEAD", None), ("POST", b"abc")):
            status, found = one.ask("/path?q", method, body)
            assert status == 200, one.log()
            assert found == (b"" if method == "HEAD" else b"valid " + (body or b""))
        for protocol in PROTOCOLS:
            assert ASK[protocol](one.socket_of(protocol), "/path") == (200, b"valid "), one.log()
        assert not re.search("Traceback|AssertionError", one.log())


def test_threads_run_requests_at_once_each_in_a_slot_of_its_own(base: Path) -> None:
    with serving(base, "--threads", "2") as one:
        with one.connect() as first, one.connect() as second:
            for client in (first, second):
                client.sendall(b"GET /meet HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            names = {read_all(client).rpartition(b"\r\n")[2] for client in (first, second)}
        assert names == {b"worker-0", b"worker-1"}
        assert json.loads(one.ask("/environ")[1])["wsgi.multithread"] is True
        assert len(one.worker_pids()) == 1


def test_thread_that_hangs_is_killed_by_its_own_deadline(base: Path) -> None:
    with serving(base, "--threads", "2", "--harakiri", "0.6") as one:
        with one.connect() as hanging:
            hanging.sendall(b"GET /sleep/30 HTTP/1.1\r\nHost: x\r\n\r\n")
            # The other thread's requests must not clear the deadline of the one that hangs.
            while "reason=harakiri" not in one.log():
                try:
                    one.ask()
                except OSError:
                    break  # killed together with its neighbour
            assert b" 504 " in read_until(hanging, b"\r\n\r\n").split(b"\r\n")[0]
        assert one.ask() == (200, b"hello")

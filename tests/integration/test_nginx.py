"""Behind a real nginx: the four *_pass over TCP and unix sockets, frameworks, hosts/."""

import http.client
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.emperor import Emperor
from tests.support.need import need
from tests.support.nginx import Nginx, nginx, snippet
from tests.support.serving import PROTOCOLS, Serving, read_all, read_until, serving
from tests.support.smuggling import SMUGGLING
from tests.support.wait import wait_until

PASSES = ("http", *PROTOCOLS)
WAYS = [f"{protocol}-{kind}" for protocol in PASSES for kind in ("tcp", "unix")]
BIG = bytes(range(256)) * (8 * 1024 * 1024 // 256)
TENANT_PYTHON = Path(__file__).parents[2] / ".venv-tenant" / "bin" / "python"


def locations(one: Serving) -> str:
    """Return a location /PROTOCOL-KIND/ for every listener; keep-alive where there is one."""
    text = ""
    upstreams = ""
    for protocol in PASSES:
        for kind in ("tcp", "unix"):
            name = f"{protocol}-{kind}"
            address = (
                f"127.0.0.1:{one.ports[protocol]}"
                if kind == "tcp"
                else f"unix:{one.socket_of(protocol)}"
            )
            upstreams += f"upstream {name} {{ server {address}; keepalive 4; }}\n"
            directive = "proxy" if protocol == "http" else protocol
            text += f"location /{name}/ {{ rewrite ^/{name}(/.*)$ $1 break; "
            if protocol == "http":
                text += "proxy_http_version 1.1; proxy_set_header Connection ''; "
                text += f"proxy_pass http://{name}; proxy_set_header Host $host; "
            else:
                text += f"include /etc/nginx/{protocol}_params; {protocol}_pass {name}; "
                if protocol == "fastcgi":
                    text += "fastcgi_keep_conn on; "
            if kind == "unix":
                text += f"{directive}_buffering off; "
                if protocol != "scgi":
                    # Without it nginx tells SCGI the length of what it has, not of the body.
                    text += f"{directive}_request_buffering off; "
            # REQUEST_URI is the client's; the application's path is the rewritten one.
            text += "}\n"
    kept = "include /etc/nginx/fastcgi_params; fastcgi_keep_conn on; fastcgi_pass fastcgi-tcp;"
    for name, directive in [
        ("short", "fastcgi_pass_request_body off;"),
        ("long", "fastcgi_param CONTENT_LENGTH 3;"),
    ]:
        text += f"location /{name}/ {{ rewrite ^/{name}(/.*)$ $1 break; {kept} {directive} }}\n"
    return f"{upstreams}\nserver {{ listen 127.0.0.1:PORT; {text} }}\n"


class Behind:
    """A server, and the nginx before it."""

    def __init__(self, one: Serving, front: Nginx) -> None:
        self.one = one
        self.front = front

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.front.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    with (
        tempfile.TemporaryDirectory(prefix="emp-") as name,
        serving(Path(name), "--workers", "2") as one,
        nginx(Path(name) / "nginx", locations(one)) as front,
    ):
        yield Behind(one, front)


# Before the fixture that looks for strays: it would take the shared servers for some.
pytestmark = pytest.mark.usefixtures("behind")


@pytest.mark.parametrize("way", WAYS)
def test_requests_and_responses_pass_unchanged(behind: Behind, way: str) -> None:
    status, found = behind.ask(f"/{way}/environ/a%20b?c=%20d", Cookie="e=f")
    assert status == 200, found
    environ = json.loads(found)
    assert environ["PATH_INFO"] == "/environ/a b"
    assert environ["QUERY_STRING"] == "c=%20d"
    assert environ["HTTP_COOKIE"] == "e=f"
    assert environ["HTTP_HOST"].startswith("127.0.0.1")
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTP_CONTENT_LENGTH" not in environ
    assert behind.ask(f"/{way}/hello", "HEAD") == (200, b"")
    assert behind.ask(f"/{way}/status/204") == (204, b"")
    assert behind.ask(f"/{way}/status/304") == (304, b"")
    assert behind.ask(f"/{way}/write") == (200, b"one two three four")
    assert behind.ask(f"/{way}/replaced") == (500, b"instead")
    assert behind.ask(f"/{way}/raise")[0] == 500
    assert behind.ask(f"/{way}/echo", "POST", b"") == (200, b"")
    assert behind.ask(f"/{way}/ignore", "POST", b"x" * 100_000) == (200, b"ignored")


@pytest.mark.parametrize("way", WAYS)
def test_large_uploads_and_downloads_pass_whole(behind: Behind, way: str) -> None:
    assert behind.ask(f"/{way}/echo", "POST", BIG) == (200, BIG)
    pieces = iter([BIG[:70000], BIG[70000:200_000]])  # chunked to nginx
    assert behind.ask(f"/{way}/echo", "POST", pieces) == (200, BIG[:200_000])
    assert len(behind.ask(f"/{way}/file")[1]) == 3 * 1024 * 1024 - 16
    assert len(behind.ask(f"/{way}/large")[1]) == 8 * 1024 * 1024


@pytest.mark.parametrize("way", WAYS)
def test_answer_that_did_not_wait_for_a_large_upload_reaches_the_client(
    behind: Behind, way: str
) -> None:
    for _ in range(8):
        assert behind.ask(f"/{way}/ignore", "POST", BIG) == (200, b"ignored")


@pytest.mark.parametrize("protocol", PASSES)
def test_parts_pass_when_the_application_yields_them(
    behind: Behind, protocol: str, tmp_path: Path
) -> None:
    flag = tmp_path / "go"
    with socket.create_connection(("127.0.0.1", behind.front.port), timeout=10) as client:
        request = f"GET /{protocol}-unix/stream?{flag} HTTP/1.0\r\nHost: x\r\n\r\n"
        client.sendall(request.encode())
        assert b"second" not in read_until(client, b"first;")
        flag.touch()
        assert read_all(client).endswith(b"second")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_kept_fastcgi_connection_is_not_closed_under_the_next_request(
    behind: Behind, kind: str
) -> None:
    # Not a GET: nginx would try again, and nobody would notice.
    way = f"fastcgi-{kind}"
    said = len(behind.front.error_log())
    for _ in range(40):
        assert behind.ask(f"/{way}/ignore", "POST", b"x" * 60_000) == (200, b"ignored")
        assert behind.ask(f"/{way}/echo", "POST", b"next") == (200, b"next")
        assert behind.ask(f"/{way}/raise", "POST", b"x" * 60_000)[0] == 500
        assert behind.ask(f"/{way}/echo", "POST", b"next") == (200, b"next")
    assert "prematurely closed" not in behind.front.error_log()[said:]


def test_fastcgi_body_of_another_length_than_announced_is_not_taken_for_whole(
    behind: Behind,
) -> None:
    for name, says in [
        ("short", "shorter than CONTENT_LENGTH"),
        ("long", "longer than CONTENT_LENGTH"),
    ]:
        assert behind.ask(f"/{name}/reads", "POST", b"12345")[0] == 400, name
        wait_until(lambda says=says: says in behind.one.log(), what=says)
        assert behind.ask(f"/{name}/ignore", "POST", b"12345") == (200, b"ignored"), name
    assert behind.ask("/fastcgi-tcp/reads", "POST", b"12345") == (200, b"5")


@pytest.mark.parametrize("protocol", [name for name in PASSES if name != "scgi"])
def test_upload_that_its_client_gives_up_is_an_error_where_it_is_read(
    behind: Behind, protocol: str
) -> None:
    said = len(behind.one.log())
    request = f"POST /{protocol}-unix/reads HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12345"
    with socket.create_connection(("127.0.0.1", behind.front.port), timeout=10) as client:
        client.sendall(request.encode())
        wait_until(lambda: "reading begins" in behind.one.log()[said:], what="the worker has it")
        client.shutdown(socket.SHUT_WR)
        read_all(client)
    wait_until(lambda: " after 3 bytes" in behind.one.log()[said:], what="the reader is told")


def test_request_that_is_killed_is_504_through_every_pass(
    behind: Behind, nothing_left_behind: None
) -> None:
    answers: list[tuple[str, int]] = []
    with (
        tempfile.TemporaryDirectory(prefix="emp-") as name,
        serving(Path(name), "--harakiri", "1", "--workers", "4") as one,
        nginx(Path(name) / "nginx", locations(one)) as front,
    ):
        killing = Behind(one, front)

        def ask(protocol: str) -> None:
            answers.append((protocol, killing.ask(f"/{protocol}-tcp/sleep/30")[0]))

        clients = [threading.Thread(target=ask, args=(protocol,)) for protocol in PASSES]
        for client in clients:
            client.start()
        for client in clients:
            client.join(20)
        assert sorted(answers) == sorted((protocol, 504) for protocol in PASSES)
        assert killing.ask("/uwsgi-unix/hello") == (200, b"hello")


def test_web_server_that_goes_with_its_client_leaves_the_worker_free(behind: Behind) -> None:
    for way in WAYS:
        with socket.create_connection(("127.0.0.1", behind.front.port), timeout=10) as client:
            client.sendall(f"GET /{way}/endless HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            client.recv(1000)
    assert behind.ask("/http-tcp/hello") == (200, b"hello")


def test_what_nginx_refuses_is_refused_by_us_too(behind: Behind) -> None:
    # Not the other way round: a worker may be stricter than the proxy before it.
    refused = 0
    for data in SMUGGLING:
        raw = data.replace(b" /", b" /http-tcp/hello", 1)
        verdicts = []
        for port in (behind.front.port, behind.one.port):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(raw)
                client.shutdown(socket.SHUT_WR)
                answer = read_all(client)
            verdicts.append(answer.split(b" ", 2)[1:2] or [b"closed"])
        through, direct = verdicts
        refused += through == [b"400"]
        assert direct == [b"400"], data
    assert refused > len(SMUGGLING) // 3, "nginx judges nothing: the test is broken"


@pytest.mark.parametrize(
    "app", ["flask_app:app", "django_app:application", "falcon_app:application"]
)
def test_frameworks_run_unchanged_behind_every_pass(
    behind: Behind, app: str, nothing_left_behind: None
) -> None:
    need(TENANT_PYTHON.exists(), "make .venv-tenant with packaging/dev/setup.sh")
    with (
        tempfile.TemporaryDirectory(prefix="emp-") as name,
        serving(Path(name), "--python", str(TENANT_PYTHON), app=app) as one,
        nginx(Path(name) / "nginx", locations(one)) as front,
    ):
        served = Behind(one, front)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for way in WAYS:
            assert served.ask(f"/{way}/hello/w%C3%B6rld") == (200, "hello wörld".encode())
            status, found = served.ask(f"/{way}/form", "POST", b"a=1&b=2", **form)
            assert status == 200
            assert json.loads(found) == {"a": "1", "b": "2"}
            assert served.ask(f"/{way}/stream") == (200, b"0\n1\n2\n")
            assert served.ask(f"/{way}/fail")[0] == 500
            # Falcon wants an on_head of one's own.
            expected = 405 if app.startswith("falcon") else 200
            assert served.ask(f"/{way}/hello/x", "HEAD") == (expected, b"")
            assert served.ask(f"/{way}/nowhere")[0] == 404


def test_hosts_snippet_serves_every_vassal_without_a_reload(
    behind: Behind, emperor: Emperor
) -> None:
    emperor.app("hello")
    hosts = emperor.runtime_dir / "hosts"
    emperor.start()
    with nginx(emperor.base / "nginx", snippet(hosts)) as front:

        def ask(host: str) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
            try:
                connection.request("GET", "/", headers={"Host": host})
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        assert ask("one.example")[0] == 503
        for name in ("one", "two"):
            emperor.app(f"app_{name}", VERSION_APP.replace("WORD", name))
            emperor.drop(
                name,
                f"app_{name}:application",
                listen=[f"uwsgi+unix://{emperor.runtime_dir}/{name}.sock"],
                hosts=[f"{name}.example"],
            )
        for name in ("one", "two"):
            emperor.wait_state(name, "ready")
            wait_until(lambda name=name: ask(f"{name}.example")[0] == 200, what=name)
            assert ask(f"{name}.example") == (200, name.encode())
            assert ask(f"{name.upper()}.Example:80") == (200, name.encode())
        assert ask("three.example")[0] == 503
        assert ask("../one.example")[0] in (400, 503)
        emperor.remove("one")
        wait_until(lambda: ask("one.example")[0] == 503, what="the removed one is gone")
        assert ask("two.example") == (200, b"two")


VERSION_APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"WORD"]
"""

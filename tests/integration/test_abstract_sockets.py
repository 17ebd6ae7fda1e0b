"""Abstract sockets: a vassal serves on them as on any other, and nobody has them by their mode."""

import contextlib
import socket
from pathlib import Path

from tests.support.emperor import Emperor
from tests.support.uwsgi import real_uwsgi
from tests.support.wait import wait_until


def ask(name: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect("\0" + name)
        client.sendall(b"GET /a?b HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


def answers(name: str) -> bool:
    try:
        return b" 200 " in ask(name)
    except OSError:
        return False


def told(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


WHO = """
def application(environ, start_response):
    start_response("200 OK", [])
    keys = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "SERVER_NAME")
    return [repr([environ.get(key) for key in keys[:3]]).encode()]
"""


def test_file_of_uwsgis_serves_on_an_abstract_socket_as_uwsgi_does(
    emperor: Emperor, tmp_path: Path
) -> None:
    emperor.app("who", WHO)
    ours, theirs = (f"{emperor.base.name}-{who}" for who in ("ours", "theirs"))
    text = f"[uwsgi]\nchdir = {emperor.apps}\nmodule = who\nmaster = true\nchmod-socket = 666\n"
    (emperor.vassals / "blog.ini").write_text(f"{text}http-socket = @{ours}\n")
    emperor.start()
    emperor.wait_state("blog", "ready")
    ini = tmp_path / "blog.ini"
    ini.write_text(f"{text}http-socket = @{theirs}\n")
    with real_uwsgi(ini.parent, "--ini", str(ini)):
        # The name that uWSGI binds, and its routers connect to, ends with a NUL.
        wait_until(lambda: answers(f"{theirs}\0"), 10, "uWSGI answers")
        uwsgis = ask(f"{theirs}\0")
    assert told(ask(f"{ours}\0")) == told(uwsgis) == b"['GET', '/a', 'b']"
    assert emperor.vassal("blog")["listen"] == [f"http+unix://@{ours}%00"]


def is_free(name: str) -> bool:
    with socket.socket(socket.AF_UNIX) as one, contextlib.suppress(OSError):
        one.bind("\0" + name)
        return True
    return False


def test_abstract_socket_is_held_for_the_next_brain_and_freed_with_its_file(
    emperor: Emperor,
) -> None:
    emperor.app("who", WHO)
    name = f"{emperor.base.name}-held"
    emperor.drop("blog", app="who:application", listen=f"http+unix://@{name}")
    emperor.start()
    emperor.wait_state("blog", "ready")
    emperor.wait_new_brain(emperor.kill_brain())
    emperor.wait_state("blog", "ready")
    assert answers(name)
    emperor.remove("blog")
    wait_until(lambda: is_free(name), 10, "nobody has the name any more")


def test_name_that_somebody_has_is_an_error_that_says_so(emperor: Emperor) -> None:
    emperor.app("who", WHO)
    name = f"{emperor.base.name}-taken"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("\0" + name)
        other.listen()
        emperor.drop("blog", app="who:application", listen=f"http+unix://@{name}")
        emperor.start()
        wait_until(lambda: emperor.vassal("blog").get("last_failure"), 10, "it cannot be bound")
        failure = emperor.vassal("blog")["last_failure"]
        assert failure["kind"] == "listen"
        assert "another process listens there" in failure["message"]

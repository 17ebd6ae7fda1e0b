"""Addresses: what serves keeps those it serves at, whatever the file says meanwhile."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.emperor import Emperor
from tests.support.wait import wait_until

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def _answer(path: Path) -> bytes:
    """Return what is answered at a unix socket, b"" if nobody is there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(path))
        except OSError:
            return b""
        client.sendall(REQUEST)
        return b"".join(iter(lambda: client.recv(4096), b""))


def _drop(emperor: Emperor, path: Path, app: str = "hello:application") -> None:
    emperor.drop("blog", app, listen=[f"http+unix://{path}"])


def _ready_at(emperor: Emperor, path: Path) -> None:
    emperor.app("hello")
    emperor.app("broken", "raise ImportError('not yet')")
    _drop(emperor, path)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert b"200 OK" in _answer(path)


def _fails(emperor: Emperor) -> None:
    wait_until(
        lambda: "not yet" in str(emperor.vassal("blog").get("last_failure")), 10.0, "the failure"
    )


def test_address_that_changes_while_no_emperor_runs(emperor: Emperor) -> None:
    first, second = emperor.base / "first.sock", emperor.base / "second.sock"
    _ready_at(emperor, first)
    brain = emperor.kill_brain()
    _drop(emperor, second, "broken:application")
    emperor.wait_new_brain(brain)
    _fails(emperor)
    assert b"200 OK" in _answer(first)
    _drop(emperor, second)
    wait_until(lambda: b"200 OK" in _answer(second), 10.0, "the new address")
    wait_until(lambda: not first.exists(), 10.0, "the old one is gone")


def test_failed_change_of_address_leaves_the_old_one_and_nothing_at_the_new_one(
    emperor: Emperor,
) -> None:
    first, second = emperor.base / "first.sock", emperor.base / "second.sock"
    _ready_at(emperor, first)
    _drop(emperor, second, "broken:application")
    _fails(emperor)
    wait_until(lambda: not second.exists(), 10.0, "nobody waits where nobody serves")
    for _ in range(2):
        brain = emperor.kill_brain()
        emperor.wait_new_brain(brain)
        assert b"200 OK" in _answer(first)
        _fails(emperor)
    emperor.wait_state("blog", "ready")


@pytest.mark.parametrize("told", ["while it is built", "when it has failed"])
def test_address_of_a_build_that_outlives_its_brain_and_fails(emperor: Emperor, told: str) -> None:
    first, second = emperor.base / "first.sock", emperor.base / "second.sock"
    _ready_at(emperor, first)
    go = emperor.apps / "go"
    emperor.app(
        "slow",
        "import os, time\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
        "raise ImportError('not yet')",
    )
    emperor.drop(
        "blog", "slow:application", listen=[f"http+unix://{first}", f"http+unix://{second}"]
    )
    wait_until(second.exists, 10.0, "the new address")
    wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 1, 10.0, "what serves")
    brain = emperor.brain_pid
    if told == "when it has failed":
        os.kill(brain, signal.SIGSTOP)
        go.touch()
        wait_until(lambda: "event=generation_failed" in emperor.vassal_log("blog"), 10.0, "the end")
    os.kill(brain, signal.SIGKILL)
    emperor.wait_new_brain(brain)
    go.touch()
    _fails(emperor)
    wait_until(lambda: not second.exists(), 10.0, "nobody waits where nobody serves")
    assert b"200 OK" in _answer(first)


def test_file_that_cannot_be_read_keeps_the_sockets_of_what_runs(emperor: Emperor) -> None:
    first = emperor.base / "first.sock"
    _ready_at(emperor, first)
    brain = emperor.kill_brain()
    (emperor.vassals / "blog.toml").write_text("app = \n")
    emperor.wait_new_brain(brain)
    wait_until(lambda: emperor.vassal("blog").get("last_failure"), 10.0, "the refusal")
    assert b"200 OK" in _answer(first)
    (emperor.vassals / "blog.toml").unlink()
    wait_until(lambda: not emperor.vassal("blog"), 10.0, "the vassal is gone")
    assert not first.exists()


def test_upgraded_spawner_knows_whose_sockets_they_are(emperor: Emperor) -> None:
    first, second = emperor.base / "first.sock", emperor.base / "second.sock"
    _ready_at(emperor, first)
    _drop(emperor, second, "broken:application")
    _fails(emperor)
    brain = emperor.brain_pid
    code, told = emperor.ask("POST", "/v1/upgrade")
    assert code == 202, told
    emperor.wait_new_brain(brain)
    _fails(emperor)
    assert b"200 OK" in _answer(first)

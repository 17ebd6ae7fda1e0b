"""A master tells statistics to strangers and waits for none of them."""

import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vassal.loop import Loop
from vassal.master import stats_server
from vassal.master.stats_server import CLIENTS_MAX, HTTP, StatsServer


class Stage:
    """A server in this process; `turn` runs its loop as a master does."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "stats")
        self.body = b"{}\n"
        self.made = 0
        self.loop = Loop()
        self.server = StatsServer(self.loop, self._answer)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.clients: list[socket.socket] = []

    def _answer(self) -> bytes:
        self.made += 1
        return self.body

    def listen(self, protocol: str = "stats") -> None:
        self.server.listen([protocol], [self.listener.fileno()])

    def client(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(self.path)
        self.clients.append(client)
        return client

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.turn(0)
            self.server.look(time.monotonic())

    def close(self) -> None:
        self.server.close()
        self.loop.close()
        for one in (self.listener, *self.clients):
            one.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def test_who_comes_again_and_again_has_the_object_made_once(stage: Stage) -> None:
    stage.listen()
    for _ in range(10):
        client = stage.client()
        stage.turn(2)
        assert client.recv(100) == b"{}\n"
        assert client.recv(100) == b""
    assert stage.made == 1


def test_a_new_generation_is_told_of_at_once(stage: Stage) -> None:
    stage.listen()
    stage.client()
    stage.turn()
    stage.body = b"[]\n"
    stage.listen()
    client = stage.client()
    stage.turn()
    assert client.recv(100) == b"[]\n"


@pytest.mark.parametrize("protocol", ["stats", HTTP])
def test_who_neither_reads_nor_asks_is_let_go_when_its_time_is_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(stats_server, "PATIENCE_S", 0.05)
    stage.body = b"x" * 4_000_000
    stage.listen(protocol)
    assert stage.server.look_at is None
    before = len(os.listdir("/proc/self/fd"))
    idler = stage.client()
    stage.turn()
    ends_at = stage.server.look_at
    assert ends_at is not None
    assert ends_at <= time.monotonic() + 0.05
    time.sleep(0.06)
    stage.turn()
    assert stage.server.look_at is None
    assert len(os.listdir("/proc/self/fd")) == before + 1
    idler.close()


def test_the_oldest_of_too_many_makes_room(stage: Stage) -> None:
    stage.listen(HTTP)
    idlers = [stage.client() for _ in range(CLIENTS_MAX + 1)]
    stage.turn(CLIENTS_MAX + 1)
    assert idlers[0].recv(1) == b""
    idlers[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
    stage.turn()
    assert idlers[-1].recv(1000).endswith(b"{}\n")


class Short:
    """A listener of a process that has no descriptors for a while."""

    def __init__(self, listener: socket.socket, error: int) -> None:
        self._listener = listener
        self._errors = [error]

    def accept(self) -> tuple[socket.socket, object]:
        if self._errors:
            raise OSError(self._errors.pop(), "short")
        return self._listener.accept()

    def fileno(self) -> int:
        return self._listener.fileno()

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOMEM, errno.ECONNABORTED])
def test_after_a_shortage_it_listens_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(stats_server, "PAUSE_S", 0.02)
    stage.listen()
    listener, is_http = stage.server._listeners[0]
    stage.loop.unwatch(listener.fileno())
    stage.server._listeners[0] = (Short(listener, error), is_http)  # type: ignore[assignment]
    stage.server._watch_listeners()
    client = stage.client()
    stage.turn()
    assert (stage.server.look_at is None) == (error == errno.ECONNABORTED)
    time.sleep(0.03)
    stage.turn(3)
    assert client.recv(100) == b"{}\n"

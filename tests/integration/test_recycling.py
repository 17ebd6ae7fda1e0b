"""Workers are replaced under load, and nobody notices."""

import http.client
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.serving import PROTOCOLS, Serving, serving
from tests.support.wait import wait_until
from tests.support.wires import ask_fastcgi, ask_scgi, ask_uwsgi

ASK = {"uwsgi": ask_uwsgi, "fastcgi": ask_fastcgi, "scgi": ask_scgi}


@pytest.fixture
def base(nothing_left_behind: None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="emp-") as name:
        yield Path(name)


class Load:
    """What the clients saw: answers that were not 200, and the workers that answered."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.pids: set[bytes] = set()
        self.served = 0


@contextmanager
def load(one: Serving, path: str = "/pid") -> Iterator[Load]:
    """Keep four clients busy for the time of a with block: new connections and old ones."""
    seen, stop = Load(), threading.Event()

    def repeat(ask: Callable[[], tuple[int, bytes]]) -> None:
        while not stop.is_set():
            try:
                status, body = ask()
            except (OSError, http.client.HTTPException, AssertionError) as error:
                seen.failed.append(repr(error))
                continue
            seen.served += 1
            if status == 200:
                seen.pids.add(body)
            else:
                seen.failed.append(f"{status} {body[:60]!r}")

    def over_uwsgi() -> tuple[int, bytes]:
        return ask_uwsgi(one.socket_of("uwsgi"), path)

    def over_kept_connection() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)

        def ask() -> tuple[int, bytes]:
            connection.request("GET", path)  # connects anew when it was told "close"
            answer = connection.getresponse()
            return answer.status, answer.read()

        repeat(ask)
        connection.close()

    clients = [
        threading.Thread(target=repeat, args=(lambda: one.ask(path),)),
        threading.Thread(target=repeat, args=(over_uwsgi,)),
        *(threading.Thread(target=over_kept_connection) for _ in range(2)),
    ]
    for client in clients:
        client.start()
    try:
        yield seen
    finally:
        stop.set()
        for client in clients:
            client.join(20)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_no_request_is_lost_when_workers_go_after_max_requests(base: Path, threads: str) -> None:
    options = ("--workers", "2", "--threads", threads, "--max-requests", "60")
    with serving(base, *options, "--max-requests-jitter", "20") as one:
        with load(one) as seen:
            wait_until(lambda: len(seen.pids) >= 8, 30.0, "workers are replaced")
        assert seen.failed == []
        assert seen.served >= 6 * 60
        wait_until(lambda: len(one.worker_pids()) == 2, what="two workers are left")
        assert "Traceback" not in one.log()


def test_no_request_is_lost_when_workers_go_after_their_lifetime(base: Path) -> None:
    with serving(base, "--workers", "2", "--max-worker-lifetime", "0.5") as one:
        with load(one) as seen:
            wait_until(lambda: len(seen.pids) >= 6, 30.0, "workers are replaced")
        assert seen.failed == []


def test_no_request_is_lost_when_workers_go_for_their_size(base: Path) -> None:
    # Each request grows the worker by 4 MiB.
    with serving(base, "--workers", "2", "--reload-on-rss", "80M") as one:
        with load(one, "/grow") as seen:
            wait_until(lambda: len(seen.pids) >= 6, 30.0, "workers are replaced")
        assert seen.failed == []


def test_an_idle_worker_goes_after_its_lifetime_too(base: Path) -> None:
    with serving(base, "--max-worker-lifetime", "0.3") as one:
        first = one.worker_pids()
        wait_until(lambda: one.worker_pids() and not one.worker_pids() & first, what="another one")
        assert one.ask() == (200, b"hello")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_counts(base: Path, protocol: str) -> None:
    with serving(base, "--max-requests", "3", "--max-requests-jitter", "0") as one:
        pids = {ASK[protocol](one.socket_of(protocol), "/pid")[1] for _ in range(3)}
        assert len(pids) == 1

        def another() -> bool:
            return ASK[protocol](one.socket_of(protocol), "/pid")[1] not in pids

        wait_until(another, what="another worker answers")

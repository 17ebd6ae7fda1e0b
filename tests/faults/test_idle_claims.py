"""A worker that says of itself what is not so, and hangs, harms its own vassal only: and that can
still be looked at, reloaded, stopped, put to sleep and scaled."""

import os
import socket
import time

import pytest

from tests.support import leftovers
from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.wait import wait_until

CLAIMS = """
import os, signal, sys, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/claim/"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        slot = environ["emperor.set_harakiri"].__self__._slot
        at = slot._at + sys.modules["_emperord.scoreboard"].STATE_AT
        while True:
            slot._memory[at : at + 4] = int(path[7:]).to_bytes(4, "little")
            time.sleep(0.01)
    if path == "/sleep":
        time.sleep(15)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"VERSION"]
"""

IDLE, NONSENSE = 0, 2**32 - 1
STOP_S = 1.0


class Hung:
    """A vassal all of whose workers hang, and claim to be in some state."""

    def __init__(self, emperor: Emperor, state: int, count: int = 2, **keys: object) -> None:
        self._clients: list[socket.socket] = []
        self.emperor = emperor
        emperor.app("claims", CLAIMS)
        self.keys = {"workers.max": count, "harakiri": 1, "stop_timeout": STOP_S, **keys}
        self.keys.setdefault("workers.min", count)
        self.port = emperor.drop("blog", app="claims:application", **self.keys)
        emperor.start()
        self.hang(state, int(str(self.keys["workers.min"])))

    def hang(self, state: int, count: int) -> None:
        if not self.keys.get("on_demand"):
            self.emperor.wait_state("blog", "ready")
        for _ in range(count):
            self.ask(b"/claim/%d" % state)
        wait_until(self._nobody_answers, what="all of them hang")

    def ask(self, path: bytes) -> None:
        client = socket.create_connection(("127.0.0.1", self.port), 10)
        self._clients.append(client)
        client.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)

    def _nobody_answers(self) -> bool:
        try:
            get(self.port, timeout=0.5)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture(params=[IDLE, NONSENSE], ids=["idle", "nonsense"])
def hung(emperor: Emperor, request: pytest.FixtureRequest):
    one = Hung(emperor, request.param)
    yield one
    one.close()


def test_hung_vassal_that_claims_otherwise_is_seen_and_reloaded(
    emperor: Emperor, hung: Hung
) -> None:
    status = emperor.vassal("blog")
    assert status["state"] == "ready"
    assert len(status["workers"]) == 2
    emperor.app("claims", CLAIMS, VERSION="two")
    os.utime(emperor.apps / "claims.py", (1, 1))
    assert emperor.do("reload", "blog")[0] == 202
    wait_until(lambda: get(hung.port, timeout=15)[1] == b"two", 30, what="the new code")
    wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 2, what="the old ones are gone")


def test_hung_vassal_that_claims_otherwise_stops_and_starts(emperor: Emperor, hung: Hung) -> None:
    began = time.monotonic()
    assert emperor.do("stop", "blog")[0] == 202
    emperor.wait_state("blog", "stopped")
    assert time.monotonic() - began < STOP_S + 8
    assert emperor.do("start", "blog")[0] == 202
    emperor.wait_state("blog", "ready")
    assert get(hung.port)[0] == 200


def test_emperor_ends_with_a_hung_vassal_that_claims_otherwise(
    emperor: Emperor, hung: Hung
) -> None:
    assert emperor.stop() == 0
    assert leftovers.of(emperor) == []


def test_hung_vassal_that_claims_to_be_idle_goes_to_sleep_and_serves_again(
    emperor: Emperor,
) -> None:
    one = Hung(emperor, IDLE, on_demand=True, idle_stop=1)
    emperor.wait_state("blog", "dormant", 20)
    assert get(one.port, timeout=15)[0] == 200
    one.close()


def test_vassal_whose_worker_claimed_to_be_idle_grows_after_a_reload(emperor: Emperor) -> None:
    one = Hung(emperor, IDLE, 3, harakiri=20, **{"workers.min": 1})
    try:
        # Its own clients wait, since nobody can know that they have to: nobody else's do.
        emperor.drop("other", app="claims:application", port=(other := free_port()))
        emperor.wait_state("other", "ready")
        assert get(other)[0] == 200
        assert emperor.do("reload", "blog")[0] == 202
        wait_until(lambda: emperor.vassal("blog")["generation"] == 2, what="a new generation")
        assert get(one.port, timeout=15)[0] == 200
        for _ in range(3):
            one.ask(b"/sleep")
        wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 3, 15, "three workers")
    finally:
        one.close()

"""A stop finishes what has begun, within its time, and what comes meanwhile waits."""

import threading
import time

from tests.support.emperor import Emperor, get
from tests.support.load import check
from tests.support.site import Site
from tests.support.wait import wait_until

TIMES = 20


def test_restarts_by_hand_lose_nothing(site: Site) -> None:
    with site.asked() as asked:
        for _ in range(TIMES):
            pid = site.status["pid"]
            assert site.emperor.do("restart", "blog")[0] == 202
            wait_until(lambda pid=pid: site.status["pid"] not in (0, pid), 15, "another master")
            site.emperor.wait_state("blog", "ready")
    check(asked.outcomes, site.served)


def test_stops_and_starts_by_hand_lose_nothing(site: Site) -> None:
    with site.asked() as asked:
        for _ in range(TIMES):
            assert site.emperor.do("stop", "blog")[0] == 202
            site.emperor.wait_state("blog", "stopped")
            assert site.emperor.do("start", "blog")[0] == 202
            site.emperor.wait_state("blog", "ready")
    check(asked.outcomes, site.served)


class Slow:
    """Requests that take a while, one to each port, all of them under way."""

    def __init__(self, emperor: Emperor, ports: dict[str, int], seconds: float) -> None:
        self.answers: list[int] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(port, seconds)) for port in ports.values()
        ]
        for thread in self._threads:
            thread.start()
        for name in ports:
            wait_until(
                lambda name=name: (
                    [row["state"] for row in emperor.vassal(name)["workers"]] == ["busy"]
                ),
                what=f"{name} is at it",
            )

    def _ask(self, port: int, seconds: float) -> None:
        try:
            self.answers.append(get(port, f"/sleep/{seconds}", 60)[0])
        except OSError:
            self.answers.append(0)

    def all_answers(self) -> list[int]:
        """Wait for all; return their statuses, 0 for one that was cut."""
        for thread in self._threads:
            thread.join(60)
        return self.answers


def serve(emperor: Emperor, *names: str, **keys: object) -> dict[str, int]:
    emperor.app("hello")
    ports = {name: emperor.drop(name, **keys) for name in names}
    if emperor.process is None:
        emperor.start()
    for name in names:
        emperor.wait_state(name, "ready")
    return ports


def test_request_longer_than_stop_timeout_is_cut_and_the_next_one_served(
    emperor: Emperor,
) -> None:
    ports = serve(emperor, "blog", stop_timeout=1)
    slow = Slow(emperor, ports, 50)
    began = time.monotonic()
    assert emperor.do("restart", "blog")[0] == 202
    assert slow.all_answers() == [503]
    assert get(ports["blog"], timeout=30)[0] == 200
    assert time.monotonic() - began < 40
    assert "reason=stop_timeout" in emperor.vassal_log("blog")


def test_end_of_the_emperor_finishes_the_requests_of_all_vassals_side_by_side(
    emperor: Emperor,
) -> None:
    slow = Slow(emperor, serve(emperor, "a", "b", "c", "d", "e"), 5)
    began = time.monotonic()
    assert emperor.stop(60) == 0
    assert slow.all_answers() == [200] * 5
    # One after the other they would take five times as long.
    assert time.monotonic() - began < 20


def test_end_of_the_emperor_kills_the_rest_after_shutdown_timeout(emperor: Emperor) -> None:
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("shutdown_timeout = 1\n")
    slow = Slow(emperor, serve(emperor, "blog", stop_timeout=60), 50)
    began = time.monotonic()
    assert emperor.stop(60) == 0
    assert slow.all_answers() == [0]
    assert time.monotonic() - began < 40
    assert "event=shutdown_incomplete" in emperor.log()

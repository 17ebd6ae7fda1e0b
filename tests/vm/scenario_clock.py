"""The machine's clock is set by a day, either way: no decision is made by it.

What would be decided by it is under way meanwhile: a request under harakiri and one that hangs, a
backoff, and a sleep of who is idle.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.vm.guest import RUNTIME_DIR, Answer, Machine, get, run, wait_until

pytestmark = pytest.mark.timeout(300)

DAY_S = 86_400
HARAKIRI_S = 12
IDLE_STOP_S = 15
LATE_S = 10
"""How late something may be under emulation; a day would be seen."""

APP = """\
import os
import time

def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


@contextmanager
def clock_set_by(seconds: int) -> Iterator[None]:
    """Set the clock for the time of a with block; set it right again by the monotonic one."""
    offset = time.time() - time.monotonic()
    run("date", "-s", f"@{offset + time.monotonic() + seconds:.3f}")
    try:
        assert abs(time.time() - time.monotonic() - offset - seconds) < 5, "the clock was not set"
        yield
    finally:
        run("date", "-s", f"@{offset + time.monotonic():.3f}")


class Request:
    """One request in a thread: its answer, and how long it took by the monotonic clock."""

    def __init__(self, host: str, path: str) -> None:
        self.answer: Answer | None = None
        self.took_s = 0.0
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._ask, args=(host, path))
        self._thread.start()

    def _ask(self, host: str, path: str) -> None:
        self.answer = get(host, path)
        self.took_s = time.monotonic() - self._began

    def end(self) -> Answer:
        self._thread.join()
        assert self.answer is not None
        return self.answer


def ages_of(status: dict[str, Any]) -> dict[str, float]:
    """Return how old the status says that everybody is, whose beginning it tells."""
    now = time.time()
    ages = {"emperor": now - status["emperor"]["since"]}
    for vassal in status["vassals"]:
        ages[vassal["name"]] = now - vassal["since"]
        for worker in vassal["workers"]:
            ages[f"{vassal['name']} {worker['pid']}"] = now - worker["since"]
    return ages


def pids_of(status: dict[str, Any], *names: str) -> dict[str, list[int]]:
    return {
        vassal["name"]: [vassal["pid"], *(worker["pid"] for worker in vassal["workers"])]
        for vassal in status["vassals"]
        if vassal["name"] in names
    }


def tries(machine: Machine) -> int:
    return int((machine.vassal("broken") or {"restarts": 0})["restarts"])


@pytest.mark.parametrize("days", [1, -1])
def test_clock_that_is_set_by_a_day_kills_and_delays_nothing(machine: Machine, days: int) -> None:
    machine.app("clock", APP)
    machine.app("raising", "import os\nos._exit(3)\n")
    keys = {"app": "clock:application", "harakiri": HARAKIRI_S}
    machine.drop("blog", workers=2, **keys)
    machine.drop("hangs", **keys)
    machine.drop("idle", on_demand=True, idle_stop=IDLE_STOP_S, **keys)
    machine.drop("broken", app="raising:application")
    for name in ("blog", "hangs", "idle"):
        machine.wait_served(name)
    # A backoff that is long enough to be looked at.
    wait_until(
        lambda: ((machine.vassal("broken") or {}).get("next_retry_s") or 0) > LATE_S,
        what="a long backoff",
    )
    machine.wait_served("idle")
    asked_last = time.monotonic()
    short, hanging = Request("blog.example", "/?8"), Request("hangs.example", "/?80")
    wait_until(
        lambda: all(
            any(worker["state"] == "busy" for worker in (machine.vassal(name) or {})["workers"])
            for name in ("blog", "hangs")
        ),
        what="both requests are being served",
    )
    before, brain, tried = machine.status(), machine.brain_pid(), tries(machine)
    looked_at = time.monotonic()
    retry_s = (machine.vassal("broken") or {})["next_retry_s"]
    ages = ages_of(before)
    with clock_set_by(days * DAY_S):
        status = machine.status()
        elapsed = time.monotonic() - looked_at
        for who, age in ages_of(status).items():
            if who in ages:
                # Under emulation there are moments between two looks at a clock.
                assert -1 < age - ages[who] - elapsed < 3, (who, ages[who], age)
        assert pids_of(status, "blog", "hangs", "idle") == pids_of(before, "blog", "hangs", "idle")

        # Under harakiri: who is quick enough is served, who hangs is killed on time.
        assert short.end().status == 200
        assert hanging.end().status == 504
        assert HARAKIRI_S <= hanging.took_s < HARAKIRI_S + LATE_S, hanging.took_s

        # The backoff has its length.
        assert tries(machine) == tried or time.monotonic() - looked_at >= retry_s
        wait_until(lambda: tries(machine) > tried, retry_s + LATE_S, "the next try")
        waited_s = time.monotonic() - looked_at
        assert waited_s > retry_s - 1, (waited_s, retry_s)

        # Who is idle goes to sleep between once and twice its time.
        machine.wait_state("idle", "dormant", 2 * IDLE_STOP_S + LATE_S)
        slept_s = time.monotonic() - asked_last
        assert machine.brain_pid() == brain
        assert machine.show("NRestarts") == "0"
    print(
        f"harakiri after {hanging.took_s:.1f} s of {HARAKIRI_S}, next try after {waited_s:.1f} s "
        f"of {retry_s:.1f}, asleep after {slept_s:.1f} s of {IDLE_STOP_S}"
    )
    # And once more the other way, when the clock is right again.
    after = machine.status()
    assert pids_of(after, "blog") == pids_of(before, "blog")
    for name in ("blog", "hangs"):
        assert get(f"{name}.example").status == 200
    blog, hangs = machine.vassal("blog") or {}, machine.vassal("hangs") or {}
    assert blog["totals"]["worker_deaths"] == blog["totals"]["harakiris"] == 0
    assert hangs["totals"]["harakiris"] == 1
    assert (blog["restarts"], hangs["restarts"]) == (0, 0)
    assert (RUNTIME_DIR / "control.sock").exists(), json.dumps(after)

"""What people and accidents do under load: reloads, and the death of the emperor.

Requests come at a fixed rate whether or not those before them were answered: a pause of the
server shows as waiting.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

from benchmarks.client import wait_for_answer
from benchmarks.report import Row, Target, percentile
from benchmarks.servers import Application, Ours, Server, Uwsgi
from tests.support.load import Load, Outcome, Way, load
from tests.support.ports import free_port

RATE = 100.0
STEADY_S = 5.0
AFTER_S = 0.5
PATIENCE_S = 20.0


def run(quick: bool) -> list[Row]:
    return [*_reloads(2 if quick else 10), *_killed_brain(5 if quick else 100)]


def _reloads(rounds: int) -> list[Row]:
    failed: dict[str, float] = {}
    new_code: dict[str, list[float]] = {}
    slower: dict[str, float] = {}
    for server in (Ours(), Uwsgi()):
        with server:
            server.start()
            asked, windows = _reload_under_load(server, rounds, new_code)
        failed[server.name] = len(asked.failed)
        during = [one.took_s for one in asked.outcomes if _is_within(one, windows)]
        calm = [one.took_s for one in asked.outcomes if one.began < windows[0][0]]
        slower[server.name] = percentile(during, 99) / percentile(calm, 99)
    middle = {name: percentile(times, 50) for name, times in new_code.items()}
    return [
        Row(
            what=f"{rounds} reloads at {RATE:g} requests/s: failed requests",
            unit="",
            values=failed,
            targets=[Target(bound=0)],
            digits=0,
        ),
        Row(
            what="… p99 of the time to answer, during : before",
            unit="x",
            values=slower,
        ),
        Row(
            what=f"file changed → first answer of the new code, median of {rounds}",
            unit="s",
            values=middle,
            samples=new_code,
            digits=3,
        ),
    ]


def _reload_under_load(
    server: Server, rounds: int, new_code: dict[str, list[float]]
) -> tuple[Load, list[tuple[float, float]]]:
    """Return the load, and when the reloads were under way."""
    port = free_port()
    app = Application(
        name="blog", module="numbered", http=("127.0.0.1", port), workers=2, version="v"
    )
    server.drop(app)
    wait_for_answer(app.http)
    windows = []
    with load((Way("direct", port),), RATE) as asked:
        time.sleep(STEADY_S)
        for number in range(rounds):
            began = time.monotonic()
            server.drop(replace(app, version=f"v{number}"))
            answer = _first(asked, lambda one, word=f"v{number}": one.version == word)  # type: ignore[misc]
            new_code.setdefault(server.name, []).append(answer.began + answer.took_s - began)
            # The last old worker ends after the first new one has answered.
            time.sleep(AFTER_S)
            windows.append((began, time.monotonic()))
            # uWSGI looks at whole seconds: two changes in one would be one.
            time.sleep(1.0)
    return asked, windows


def _first(asked: Load, is_it: Callable[[Outcome], bool]) -> Outcome:
    deadline = time.monotonic() + PATIENCE_S
    seen = len(asked.outcomes)
    while time.monotonic() < deadline:
        for one in asked.outcomes[seen:]:
            seen += 1
            if is_it(one):
                return one
        time.sleep(0.002)
    raise RuntimeError(f"not within {PATIENCE_S} s; {asked.failed[-3:]}")


def _is_within(one: Outcome, windows: list[tuple[float, float]]) -> bool:
    return any(begin <= one.began <= end for begin, end in windows)


def _killed_brain(count: int) -> list[Row]:
    failed: dict[str, float] = {}
    steering: dict[str, float] = {}
    for server in (Ours(), Uwsgi()):
        with server:
            server.start()
            apps = [
                Application(name=f"v{number}", module="numbered", http=("127.0.0.1", free_port()))
                for number in range(count)
            ]
            for app in apps:
                server.drop(app)
            for app in apps:
                wait_for_answer(app.http)
            ways = [Way(app.name, app.http[1]) for app in apps if not isinstance(app.http, str)]
            with load(ways, RATE) as asked:
                time.sleep(1.0)
                began = time.monotonic()
                os.kill(server.supervisors()[-1], signal.SIGKILL)
                if isinstance(server, Ours):
                    server.wait_for_event("emperor_ready", 2)
                    steering[server.name] = time.monotonic() - began
                time.sleep(3.0)
            failed[server.name] = len(asked.failed)
    return [
        Row(
            what=f"emperor killed over {count} vassals at {RATE:g} requests/s: failed in 4 s",
            unit="",
            values=failed,
            targets=[Target(bound=0)],
            digits=0,
        ),
        Row(
            what="… it steers again after",
            unit="s",
            values=steering,
            targets=[Target(bound=1.0)],
        ),
    ]

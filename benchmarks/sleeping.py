"""Sleeping vassals: how soon the first byte comes, and what ten thousand of them cost."""

import os
import random
import signal
import time

from benchmarks.client import wait_for_answer
from benchmarks.proc import cpu_seconds, rss_bytes
from benchmarks.report import Row, Target, medians
from benchmarks.servers import ROOT, Application, Ours
from tests.support.ports import free_port

ON_DEMAND = "on_demand = true\n"


def run(quick: bool) -> list[Row]:
    rounds, count = (3, 300) if quick else (15, 10_000)
    hello = _wake(rounds, "hello", "", [Target(bound=0.2)])
    python = f'python = "{ROOT}/.venv-tenant/bin/python"\n'
    return [hello, _wake(rounds, "django_site", python, []), *_many(count, rounds)]


def _wake(rounds: int, module: str, more: str, targets: list[Target]) -> Row:
    samples: dict[str, list[float]] = {"emperord": []}
    with Ours(ON_DEMAND + more) as ours:
        ours.start()
        for number in range(rounds):
            app = Application(
                name=f"sleeper{number}", module=module, http=("127.0.0.1", free_port())
            )
            ours.drop(app)
            ours.wait_for_event("vassal_dormant", number + 1)
            began = time.monotonic()
            samples["emperord"].append(wait_for_answer(app.http) - began)
            ours.remove(app)
    return Row(
        what=f"sleeping {module.partition('_')[0]} → first 200, median of {rounds}",
        unit="s",
        values=medians(samples),
        samples=samples,
        targets=targets,
        digits=3,
    )


def _many(count: int, rounds: int) -> list[Row]:
    with Ours(ON_DEMAND) as ours:
        ours.start()
        brain = ours.supervisors()[1]
        empty = rss_bytes(brain)
        apps = [
            Application(name=f"v{number}", module="hello", http=ours.socket_path(f"v{number}"))
            for number in range(count)
        ]
        for app in apps:
            ours.drop(app)
        ours.wait_for_event("vassal_dormant", count)
        time.sleep(1)
        grown = (rss_bytes(brain) - empty) / count / 1024
        before = cpu_seconds([brain])
        time.sleep(10)
        idle = (cpu_seconds([brain]) - before) / 10 * 100
        began = time.monotonic()
        os.kill(brain, signal.SIGKILL)
        ours.wait_for_event("vassal_dormant", 2 * count)
        again_s = time.monotonic() - began
        began = time.monotonic()
        ours.stop()
        stop_s = time.monotonic() - began
        began = time.monotonic()
        ours.start()
        ours.wait_for_event("vassal_dormant", 3 * count)
        start_s = time.monotonic() - began
        time.sleep(1)
        firsts = {"emperord": [_first_answer(app) for app in random.sample(apps, rounds)]}
    each = f"{count} sleeping vassals"
    return [
        _row(f"{each}: the brain's memory, each", "KB", grown, 30, 1),
        _row(f"{each}: the brain's CPU when idle", "% of a core", idle, 0.1, 2),
        _row(f"{each}: a killed brain knows all again", "s", again_s, 10, 1),
        _row(f"{each}: stop of the emperor", "s", stop_s, 10, 1),
        _row(f"{each}: start of the emperor", "s", start_s, 10, 1),
        Row(
            what=f"{each}: first 200 of one, median of {rounds}",
            unit="s",
            values=medians(firsts),
            samples=firsts,
            targets=[Target(bound=0.2)],
            digits=3,
        ),
    ]


def _first_answer(app: Application) -> float:
    began = time.monotonic()
    wait_for_answer(app.http)
    return time.monotonic() - began


def _row(what: str, unit: str, value: float, bound: float, digits: int) -> Row:
    return Row(
        what=what,
        unit=unit,
        values={"emperord": value},
        targets=[Target(bound=bound)],
        digits=digits,
    )

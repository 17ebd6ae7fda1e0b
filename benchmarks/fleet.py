"""Many vassals with one worker each: memory, wake-ups while idle, and a thousand at once."""

import asyncio
import resource
import time
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.client import first_answers
from benchmarks.proc import cpu_seconds, pss_bytes, rss_bytes, wakeups
from benchmarks.report import Row, Target
from benchmarks.servers import Application, Ours, Server, Uwsgi

KINDS: tuple[type[Ours | Uwsgi], ...] = (Ours, Uwsgi)
START_TIMEOUT_S = 600.0
# Our masters look once more when the harakiri of the last request, 30 s, has passed. That is
# the end of being busy; counted as idling it would be a cost per minute that no hour has.
SETTLE_S = 40.0
MEBIBYTE = 1024 * 1024


def serve(server: Server, count: int) -> list[float]:
    """Drop `count` applications at once; return how long each took to answer, sorted."""
    apps = [
        Application(name=f"v{number}", module="hello", http=server.socket_path(f"v{number}"))
        for number in range(count)
    ]
    began = time.monotonic()
    for app in apps:
        server.drop(app)
    paths = [app.http for app in apps if isinstance(app.http, str)]
    times = asyncio.run(first_answers(paths, START_TIMEOUT_S))
    return [at - began for at in times]


class Idle(NamedTuple):
    """An idle tree of vassals."""

    pss_vassals: int
    pss_all: int
    wakeups_vassals: float  # per second
    wakeups_all: float


def run_idle(quick: bool) -> list[Row]:
    count, seconds = (10, 5.0) if quick else (100, 60.0)
    with ExitStack() as stack:
        servers = [stack.enter_context(kind()) for kind in KINDS]
        for server in servers:
            server.start()
            serve(server, count)
        time.sleep(3 if quick else SETTLE_S)
        seen = _idle(servers, seconds)

    def values(figure: str, divisor: float) -> dict[str, float]:
        return {name: getattr(idle, figure) / divisor for name, idle in seen.items()}

    each = f"{count} vassals with 1 worker"
    return [
        Row(
            what=f"PSS per vassal, {each}",
            unit="MiB",
            values=values("pss_vassals", count * MEBIBYTE),
            targets=[Target(bound=0.85, versus="uWSGI")],
        ),
        Row(
            what="the same, the emperor's own divided among them",
            unit="MiB",
            values=values("pss_all", count * MEBIBYTE),
        ),
        Row(
            what=f"wake-ups of an idle vassal, {each}, over {seconds:g} s",
            unit="1/s",
            values=values("wakeups_vassals", count),
            targets=[Target(bound=0.05)],
            digits=3,
        ),
        Row(
            what="wake-ups of the whole idle tree",
            unit="1/s",
            values=values("wakeups_all", 1),
            targets=[Target(bound=1)],
        ),
    ]


def _idle(servers: list[Server], seconds: float) -> dict[str, Idle]:
    """Watch all of them over the same seconds."""
    everyone = {server.name: server.pids() for server in servers}
    vassals = {
        server.name: sorted(set(everyone[server.name]) - set(server.supervisors()))
        for server in servers
    }

    def counts() -> dict[str, tuple[int, int]]:
        return {name: (wakeups(vassals[name]), wakeups(everyone[name])) for name in everyone}

    before, began = counts(), time.monotonic()
    time.sleep(seconds)
    after, took = counts(), time.monotonic() - began
    return {
        name: Idle(
            pss_vassals=pss_bytes(vassals[name]),
            pss_all=pss_bytes(everyone[name]),
            wakeups_vassals=(after[name][0] - before[name][0]) / took,
            wakeups_all=(after[name][1] - before[name][1]) / took,
        )
        for name in everyone
    }


class Thousand(NamedTuple):
    """Many vassals started at once."""

    answering: float
    all_ready_s: float
    median_ready_s: float
    emperor_rss: float  # MiB, of the emperor's own processes
    emperor_cpu_s: float  # until all were ready
    idle_cpu_ms: float  # of the emperor's own processes, per second
    pss_all: float  # GiB


def run_thousand(quick: bool) -> list[Row]:
    count, seconds = (50, 5.0) if quick else (1000, 30.0)
    _open_many_files()
    seen: dict[str, Thousand] = {}
    for kind in KINDS:
        with kind() as server:
            server.start()
            times = serve(server, count)
            supervisors = server.supervisors()
            cpu = cpu_seconds(supervisors)
            time.sleep(5)
            idle = cpu_seconds(supervisors)
            time.sleep(seconds)
            seen[server.name] = Thousand(
                answering=len(times),
                all_ready_s=times[-1],
                median_ready_s=times[len(times) // 2],
                emperor_rss=sum(map(rss_bytes, supervisors)) / MEBIBYTE,
                emperor_cpu_s=cpu,
                idle_cpu_ms=(cpu_seconds(supervisors) - idle) / seconds * 1000,
                pss_all=pss_bytes(server.pids()) / MEBIBYTE / 1024,
            )
    labels = {
        "answering": ("answer", "vassals", 0),
        "all_ready_s": ("time until all answer", "s", 1),
        "median_ready_s": ("time until half of them answer", "s", 1),
        "emperor_rss": ("memory (RSS) of the emperor's own processes", "MiB", 1),
        "emperor_cpu_s": ("CPU of the emperor's own processes until then", "s", 2),
        "idle_cpu_ms": ("CPU of the emperor's own processes when idle", "ms/s", 2),
        "pss_all": ("memory (PSS) of everything", "GiB", 2),
    }
    return [
        Row(
            what=f"{count:,} vassals: {what}",
            unit=unit,
            values={name: getattr(thousand, figure) for name, thousand in seen.items()},
            targets=[Target(bound=count, at_least=True)] if figure == "answering" else [],
            digits=digits,
        )
        for figure, (what, unit, digits) in labels.items()
    ]


def _open_many_files() -> None:
    """One connection is held per vassal while they start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

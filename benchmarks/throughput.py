"""Requests per second and CPU per request: one worker, the smallest application.

Over HTTP with a connection for each request, and behind nginx over the uwsgi protocol.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks.client import wait_for_answer
from benchmarks.load import Load, nginx, wrk
from benchmarks.proc import cpu_seconds
from benchmarks.report import Row, Target, medians
from benchmarks.servers import Application, Gunicorn, Ours, Server, Uwsgi
from tests.support.ports import free_port

DIRECT = "HTTP, connection per request"
NGINX = "nginx → uwsgi"

# Which of the two, to whom, and the load for so many seconds.
Way = tuple[str, Server, Callable[[float], Load]]


def run(quick: bool) -> list[Row]:
    rounds, seconds = (2, 1.0) if quick else (15, 2.0)
    rates: dict[str, dict[str, list[float]]] = {DIRECT: {}, NGINX: {}}
    costs: dict[str, dict[str, list[float]]] = {DIRECT: {}, NGINX: {}}
    busy: dict[str, dict[str, list[float]]] = {DIRECT: {}, NGINX: {}}
    errors: dict[str, float] = {}
    with ExitStack() as stack:
        servers: list[Server] = [
            stack.enter_context(Ours()),
            stack.enter_context(Uwsgi()),
            stack.enter_context(Gunicorn()),
        ]
        ways = [way for server in servers for way in _prepare(server, stack)]
        for _ in range(rounds):
            for path, server, load in ways:
                before = cpu_seconds(server.pids())
                seen = load(seconds)
                used = cpu_seconds(server.pids()) - before
                rates[path].setdefault(server.name, []).append(seen.per_second)
                costs[path].setdefault(server.name, []).append(used / seen.requests * 1e6)
                busy[path].setdefault(server.name, []).append(used / seen.seconds * 100)
                errors[server.name] = errors.get(server.name, 0) + seen.errors
            ways.reverse()
    targets = {
        DIRECT: [
            Target(bound=0.9, at_least=True, versus="uWSGI"),
            Target(bound=5, at_least=True, versus="gunicorn"),
        ],
        NGINX: [Target(bound=0.9, at_least=True, versus="uWSGI")],
    }
    return [
        *(_row(path, "requests/s", rates[path], targets[path], 0) for path in (DIRECT, NGINX)),
        *(_row(path, "µs CPU/request", costs[path], [], 1) for path in (DIRECT, NGINX)),
        # Below 100, what held up was wrk, nginx or the kernel: then the CPU per request compares.
        *(_row(f"{path}: server's CPU", "% of a core", busy[path], [], 0) for path in busy),
        Row(what="errors seen by wrk", unit="requests", values=errors, digits=0),
    ]


def _row(
    path: str, unit: str, samples: dict[str, list[float]], targets: list[Target], digits: int
) -> Row:
    values = medians(samples)
    return Row(what=path, unit=unit, values=values, samples=samples, targets=targets, digits=digits)


def _prepare(server: Server, stack: ExitStack) -> list[Way]:
    """Serve the application, and return each way to load it as (path, server, load)."""
    server.start()
    port = free_port()
    has_uwsgi = not isinstance(server, Gunicorn)
    socket = server.socket_path("hello") if has_uwsgi else None
    app = Application(name="hello", module="hello", http=("127.0.0.1", port), uwsgi=socket)
    server.drop(app)
    wait_for_answer(app.http)
    ways: list[Way] = [(DIRECT, server, partial(wrk, port, keepalive=False))]
    if socket is not None:
        front = stack.enter_context(nginx(socket, as_root=os.geteuid() == 0))
        # Browsers keep their connection to nginx; nginx makes one per request to the server.
        ways.append((NGINX, server, partial(wrk, front, keepalive=True)))
    return ways

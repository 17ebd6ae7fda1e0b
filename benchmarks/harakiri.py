"""Requests that hang, with a limit of two seconds: how late is the kill, and is it ever early?

Both ends are seen by a witness of ours: the application writes the time at which it was called
into a socket, and the kernel closes that when the process is dead.
"""

import asyncio
import os
import random
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.client import wait_for_answer
from benchmarks.report import Row, Target, percentile
from benchmarks.servers import Application, Gunicorn, Ours, Server, Uwsgi
from tests.support.ports import free_port

LIMIT_S = 2
WORKERS = 5
# The clock of the limit starts before the application is called and reads its own clock.
EARLY_S = -0.005


def run(quick: bool) -> list[Row]:
    kills = 10 if quick else 50
    with ExitStack() as stack:
        servers: list[Server] = [stack.enter_context(kind()) for kind in (Ours, Uwsgi, Gunicorn)]
        ports = [_serve(server) for server in servers]
        found = asyncio.run(_collect_all(servers, ports, kills))
    lateness = {server.name: late for server, late in zip(servers, found, strict=True)}
    return [
        Row(
            what=f"harakiri, {LIMIT_S} s limit, {kills} kills: early",
            unit="kills",
            values={n: float(sum(s < EARLY_S for s in late)) for n, late in lateness.items()},
            targets=[Target(bound=0)],
            digits=0,
        ),
        _row("median", {n: percentile(late, 50) for n, late in lateness.items()}),
        Row(
            what="harakiri, lateness, p99",
            unit="ms",
            values={n: percentile(late, 99) * 1000 for n, late in lateness.items()},
            samples={n: [s * 1000 for s in late] for n, late in lateness.items()},
            targets=[Target(bound=50)],
            digits=1,
        ),
        _row("earliest", {n: min(late) for n, late in lateness.items()}),
    ]


def _row(what: str, seconds: dict[str, float]) -> Row:
    values = {name: value * 1000 for name, value in seconds.items()}
    return Row(what=f"harakiri, lateness, {what}", unit="ms", values=values, digits=1)


def _serve(server: Server) -> int:
    """Have the application served; return its port."""
    server.start()
    port = free_port()
    app = Application(
        name="hang",
        module="hang",
        http=("127.0.0.1", port),
        workers=WORKERS,
        harakiri=LIMIT_S,
    )
    server.drop(app)
    wait_for_answer(app.http)
    return port


async def _collect_all(servers: list[Server], ports: list[int], kills: int) -> list[list[float]]:
    """All at the same time, so that they are disturbed alike: what hangs sleeps."""
    witnesses = [server.folder / "apps" / "witness.sock" for server in servers]
    collecting = [_collect(w, port, kills) for w, port in zip(witnesses, ports, strict=True)]
    return list(await asyncio.gather(*collecting))


async def _collect(witness: Path, port: int, kills: int) -> list[float]:
    """Keep every worker hanging until `kills` were seen; return their lateness in seconds."""
    late: list[float] = []
    enough = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began = int.from_bytes(await reader.readexactly(8), "little") / 1e9
        try:
            await reader.read()
        except ConnectionError:
            pass
        late.append(time.monotonic() - began - LIMIT_S)
        writer.close()
        if len(late) >= kills:
            enough.set()

    async def ask() -> None:
        while True:
            await asyncio.sleep(random.random())
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /hang HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                await reader.read()
                writer.close()
            except OSError:
                continue

    server = await asyncio.start_unix_server(watch, path=str(witness))
    os.chmod(witness, 0o777)  # the application runs as another user
    clients = [asyncio.create_task(ask()) for _ in range(WORKERS)]
    try:
        await asyncio.wait_for(enough.wait(), timeout=60 + kills * LIMIT_S * 3 / WORKERS)
    finally:
        for client in clients:
            client.cancel()
        server.close()
    return late[:kills]

"""The emperor tells statistics to many, and to slow ones, while its loop does other things."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from emperor.brain import stats_server
from emperor.brain.stats import About
from emperor.brain.stats_server import CLIENTS_MAX, EmperorStats
from emperor.config.settings import EmperorSettings
from emperor.config.stats_addresses import stats_addresses
from emperor.status import EmperorStatus, Status

STATUS = Status(emperor=EmperorStatus(pid=1, spawner_pid=2, version="", since=1.0, mode="root"))


class Counted:
    """A status of nobody and an answer that takes long to make; counts how often each is."""

    def __init__(self, takes_s: float, body: bytes) -> None:
        self.asked = self.told = 0
        self._takes_s = takes_s
        self._body = body

    async def status(self) -> Status:
        self.asked += 1
        return STATUS

    def tell(self, about: About, status: Status) -> bytes:
        self.told += 1
        time.sleep(self._takes_s)
        return self._body


async def told_at(path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        return await reader.read(-1)
    finally:
        writer.close()


def serve(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counted: Counted,
    meanwhile: Callable[[str], Awaitable[None]],
) -> None:
    """Run `meanwhile` with the path of a server's socket."""
    path = str(tmp_path / "stats")
    settings = EmperorSettings(runtime_dir=str(tmp_path), stats=stats_addresses(f"unix://{path}"))
    monkeypatch.setattr(stats_server, "emperor_stats", counted.tell)

    async def run() -> None:
        server = EmperorStats(settings, counted.status, pytest.fail)
        await server.start()
        try:
            async with asyncio.timeout(20):
                await meanwhile(path)
        finally:
            server.stop()

    asyncio.run(run())


def test_the_loop_runs_on_while_an_answer_is_made_and_all_get_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(0.4, b"{}\n")

    async def meanwhile(path: str) -> None:
        clients = [asyncio.ensure_future(told_at(path)) for _ in range(CLIENTS_MAX)]
        longest = 0.0
        while not all(client.done() for client in clients):
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
        assert {client.result() for client in clients} == {b"{}\n"}
        assert longest < 0.3
        assert await told_at(path) == b"{}\n"

    serve(tmp_path, monkeypatch, counted, meanwhile)
    assert (counted.asked, counted.told) == (1, 1)


def test_who_reads_nothing_is_let_go_and_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats_server, "PATIENCE_S", 0.3)
    body = json.dumps(["x" * 4_000_000]).encode()

    async def meanwhile(path: str) -> None:
        idlers = [await asyncio.open_unix_connection(path) for _ in range(CLIENTS_MAX)]
        for reader, _ in idlers:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(0.6)
        assert await told_at(path) == body
        for _, writer in idlers:
            writer.close()

    serve(tmp_path, monkeypatch, Counted(0.0, body), meanwhile)


def test_after_an_error_the_next_one_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(0.0, b"{}\n")
    failures = [RuntimeError("once")]
    tell = counted.tell

    def fails_once(about: About, status: Status) -> bytes:
        if failures:
            raise failures.pop()
        return tell(about, status)

    monkeypatch.setattr(counted, "tell", fails_once)

    async def meanwhile(path: str) -> None:
        assert await told_at(path) == b""
        assert await told_at(path) == b"{}\n"

    serve(tmp_path, monkeypatch, counted, meanwhile)

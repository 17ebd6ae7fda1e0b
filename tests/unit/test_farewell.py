"""Who was answered before it has sent its request can still send it, and holds nobody up."""

import asyncio
import socket

import pytest

from emperor.brain import farewell
from emperor.brain.farewell import Farewells


async def turns() -> None:
    """Let the loop do what is due."""
    for _ in range(5):
        await asyncio.sleep(0.001)


def test_client_that_sends_behind_its_answer_is_not_broken_off() -> None:
    async def story() -> None:
        farewells = Farewells()
        ours, client = socket.socketpair()
        with client:
            farewells.say(ours, b"503")
            await turns()
            client.send(b"x" * 1000)
            await turns()
            client.send(b"x" * 1000)
            assert client.recv(100) == b"503"
            assert client.recv(100) == b""
            client.shutdown(socket.SHUT_WR)
            await turns()
            assert ours.fileno() == -1

    asyncio.run(story())


def test_client_that_does_not_close_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "PATIENCE_S", 0.0)

    async def story() -> None:
        farewells = Farewells()
        ours, client = socket.socketpair()
        with client:
            farewells.say(ours, b"503")
            await turns()
            assert ours.fileno() == -1

    asyncio.run(story())


def test_oldest_makes_room_and_all_are_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "CLIENTS_MAX", 2)

    async def story() -> None:
        farewells = Farewells()
        pairs = [socket.socketpair() for _ in range(3)]
        for ours, _ in pairs:
            farewells.say(ours, b"503")
        assert [ours.fileno() == -1 for ours, _ in pairs] == [True, False, False]
        farewells.close()
        assert all(ours.fileno() == -1 for ours, _ in pairs)
        for _, client in pairs:
            client.close()

    asyncio.run(story())


def test_client_that_has_gone_is_closed() -> None:
    async def story() -> None:
        farewells = Farewells()
        ours, client = socket.socketpair()
        client.close()
        farewells.say(ours, b"503")
        assert ours.fileno() == -1

    asyncio.run(story())

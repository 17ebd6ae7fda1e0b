"""What is known of messages that a peer does not read at once."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from emperor.brain import steering
from emperor.brain.links import Link
from emperor.brain.steering import BrainSteering
from emperor.brain.wishes import Wish
from emperor.status import NotPossible
from vassal import packets
from vassal.encoding import decode_from_spawner
from vassal.messages import Pong

Scene = Callable[[Link[Any], socket.socket], Coroutine[Any, Any, None]]


def _play(scene: Scene) -> None:
    """Play it with a link to a peer that has not read for so long that nothing more fits."""

    async def run() -> None:
        ours, theirs = packets.pair()
        link: Link[Any] = Link(ours, decode_from_spawner, print, print, lambda: None)
        while not link._unsent:
            link.send(Pong())
        try:
            await asyncio.wait_for(scene(link, theirs), 20)
        finally:
            link.close()
            theirs.close()

    asyncio.run(run())


def _read(channel: socket.socket) -> None:
    with suppress(BlockingIOError):
        while True:
            packets.receive(channel)


async def _turns() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def _steering(link: Link[Any], run: bool = True, told: Link[Any] | None = None) -> BrainSteering:
    """Return that of a fleet whose look has ended, and whose spawner is behind a link."""
    one = BrainSteering.__new__(BrainSteering)
    one._spawner_has_all = link.until_sent

    async def looked() -> None:
        pass

    async def until_told(name: str) -> None:
        if told is not None:
            await told.until_sent()

    wishes = {"blog": Wish(run=run)}
    one._fleet = SimpleNamespace(wishes=wishes, looked=looked, until_told=until_told)  # type: ignore[assignment]
    return one


@pytest.mark.parametrize("how", ["it reads", "it is gone", "the link is closed"])
def test_who_waits_for_a_peer_to_have_all_waits_until_then(how: str) -> None:
    async def scene(link: Link[Any], theirs: socket.socket) -> None:
        waits = asyncio.ensure_future(link.until_sent())
        await _turns()
        assert not waits.done()
        if how == "it reads":
            _read(theirs)
        elif how == "it is gone":
            theirs.close()
        else:
            link.close()
        await waits
        await link.until_sent()  # nothing is left to wait for

    _play(scene)


def test_what_is_sent_later_is_not_waited_for() -> None:
    async def scene(link: Link[Any], theirs: socket.socket) -> None:
        waits = asyncio.ensure_future(link.until_sent())
        await _turns()
        for _ in range(10_000):
            link.send(Pong())
        _read(theirs)
        await waits
        assert link._unsent

    _play(scene)


def test_command_is_acknowledged_when_the_spawner_has_it() -> None:
    async def scene(link: Link[Any], theirs: socket.socket) -> None:
        asked = asyncio.ensure_future(_steering(link).passed_on("blog"))
        await _turns()
        assert not asked.done()
        _read(theirs)
        await asked

    _play(scene)


@pytest.mark.parametrize("who", ["spawner", "master", "master that is to stop"])
def test_command_that_does_not_get_through_is_not_acknowledged(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering, "PASSED_ON_S", 0.05)

    async def scene(link: Link[Any], _: socket.socket) -> None:
        if who == "spawner":
            one = _steering(link)
        else:
            ours, theirs = packets.pair()
            free: Link[Any] = Link(ours, decode_from_spawner, print, print, lambda: None)
            free.close()
            theirs.close()
            one = _steering(free, run=who == "master", told=link)
        if who == "master that is to stop":  # the next brain kills it, if this one does not
            await one.passed_on("blog")
        else:
            with pytest.raises(NotPossible, match="begun, and not passed on within"):
                await one.passed_on("blog")

    _play(scene)

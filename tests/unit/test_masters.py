"""What the emperor hears of masters, silent ones among them."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from emperor.brain import links
from emperor.brain.masters import Masters
from vassal.encoding import encode
from vassal.messages import Description, Totals

DESCRIPTION = Description(
    state="serving",
    generation=1,
    newest=1,
    fingerprint="f",
    serving=True,
    age_s=1.0,
    workers=(),
    totals=Totals(),
)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def masters_of(channel: socket.socket) -> Masters:
    masters = Masters(lambda token, message: None, lambda token, problem: None)
    masters.connect("t", channel)
    return masters


def test_a_master_that_reads_nothing_any_more_is_silent_and_no_error(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "UNSENT_MAX", 3)

    async def ask() -> list[Description | None]:
        masters = masters_of(ends[0])
        found = await asyncio.gather(*(masters.describe("t", 0.05) for _ in range(2000)))
        assert masters._asked == {}
        masters.drop("t")
        return list(found)

    assert set(asyncio.run(ask())) == {None}


def test_who_asked_a_silent_master_leaves_nothing_behind(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    async def ask() -> Description | None:
        masters = masters_of(ends[0])
        assert await masters.describe("t", 0.01) is None
        assert masters._asked == {}
        asked = asyncio.ensure_future(masters.describe("t", 5.0))
        await asyncio.sleep(0)
        ends[1].send(encode(DESCRIPTION))
        try:
            return await asked
        finally:
            masters.drop("t")

    assert asyncio.run(ask()) == DESCRIPTION

"""Masters that hang are found by their silence."""

import asyncio
import socket

from emperor.brain.heartbeat import Heartbeat, whom_to_ask
from emperor.brain.masters import Masters
from vassal import packets
from vassal.encoding import decode_to_master, encode
from vassal.messages import Ping, Pong

ANSWER_S = 0.05


def silent_of(answering: int, silent: int, every_s: float = 0.01) -> list[str]:
    """Return whom a heartbeat reports, once, of so many masters of each kind."""

    async def scene() -> list[str]:
        masters = Masters(lambda token, message: None, lambda token, problem: None)
        ends: list[socket.socket] = []
        for number in range(answering + silent):
            ours, theirs = packets.pair()
            masters.connect(f"{number:03}", ours)
            ends.append(theirs)
        reported: list[str] = []
        heartbeat = Heartbeat(
            masters, reported.append, lambda token: None, lambda: None, every_s, ANSWER_S
        )
        heartbeat.begin()

        def answer(end: socket.socket) -> None:
            if isinstance(decode_to_master(packets.receive(end).data), Ping):
                packets.send(end, encode(Pong()))

        loop = asyncio.get_running_loop()
        for end in ends[:answering]:
            loop.add_reader(end.fileno(), answer, end)
        for _ in range(100):
            await asyncio.sleep(0.01)
            if reported or (not silent and loop.time() > begun + 0.5):
                break
        heartbeat.close()
        for number, end in enumerate(ends):
            loop.remove_reader(end.fileno())
            masters.drop(f"{number:03}")
            end.close()
        return reported

    async def timed() -> list[str]:
        nonlocal begun
        begun = asyncio.get_running_loop().time()
        return await scene()

    begun = 0.0
    return asyncio.run(timed())


def test_whoever_answers_is_let_be() -> None:
    assert silent_of(answering=3, silent=0) == []


def test_whoever_does_not_is_reported_and_nobody_else() -> None:
    assert silent_of(answering=2, silent=2) == ["002", "003"]


def test_those_at_rest_are_let_sleep_but_in_a_round_for_everybody() -> None:
    before = {"rests": 5, "works": 5, "unknown": None}
    now = {"rests": 5, "works": 6, "unknown": None, "new": 1}
    assert whom_to_ask(before, now, everybody=False) == {"works", "unknown"}
    assert whom_to_ask(before, now, everybody=True) == set(now)

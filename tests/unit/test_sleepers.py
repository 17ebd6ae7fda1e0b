"""Who watches a socket, and what keeps a tenant's trick from holding the brain up."""

import asyncio
import os
import signal
import socket

import pytest

from emperor.brain import sleepers
from emperor.brain.sleepers import Bell, Door, HeldUpError, Sleepers, at_most


def test_call_that_waits_is_interrupted_though_system_calls_are_begun_again() -> None:
    theirs, ours = os.pipe()
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(HeldUpError), at_most(0.02):
        os.read(theirs, 1)
    os.close(theirs)
    os.close(ours)
    assert signal.getsignal(signal.SIGALRM) is before


def test_what_ends_in_time_is_left_alone() -> None:
    with at_most(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_pause_ends_with_the_vassals_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sleepers, "PAUSE_S", 0.02)

    def no_descriptor_left(listener: socket.socket) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(sleepers, "_accept", no_descriptor_left)

    async def refuse_and_start() -> bool:
        doors = Sleepers(lambda name: None)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            doors.attend("blog", Door.REFUSE, (Bell(listener, "http"),))
            with socket.create_connection(listener.getsockname()):
                await asyncio.sleep(0.01)
                doors.leave("blog")  # its own workers accept from now on
                await asyncio.sleep(0.05)
                return asyncio.get_running_loop().remove_reader(listener.fileno())

    assert not asyncio.run(refuse_and_start())


def test_who_leaves_a_socket_that_another_watches_does_not_make_it_deaf() -> None:
    rung: list[str] = []

    async def hand_over() -> None:
        doors = Sleepers(rung.append)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            bells = (Bell(listener, "http"),)
            doors.attend("shop", Door.REFUSE, bells)
            doors.attend("blog", Door.WAKE, bells)
            doors.leave("shop")
            with socket.create_connection(listener.getsockname()):
                await asyncio.sleep(0.02)
            doors.close()

    asyncio.run(hand_over())
    assert rung == ["blog"]

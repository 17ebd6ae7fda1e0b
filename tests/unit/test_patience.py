"""What is looked at with patience: nobody waits forever, and no tenant can fill us with threads."""

import asyncio
import gc
import os
import threading
from collections.abc import Iterator

import pytest

from emperor.brain import patience
from emperor.brain.patience import HANGING_MAX, Patience, Silence
from emperor.watch.choose import BlindMounts, Mount

TENANT, OTHER = 1000, 1001
MOUNTS = {f"/mnt/{number}": Mount(f"/mnt/{number}", "fuse.x", number) for number in range(1, 9)}


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Yield what makes all looks come back."""
    monkeypatch.setattr(patience, "TIMEOUT_S", 0.01)
    monkeypatch.setattr(patience, "BLOCKING_S", 0.01)
    monkeypatch.setattr(BlindMounts, "now", lambda self: MOUNTS)
    event = threading.Event()
    yield event
    event.set()


def test_what_is_here_is_looked_at_in_the_same_thread(answer: threading.Event) -> None:
    async def scenario() -> None:
        one = Patience(lambda: None)
        assert await one.look(["/srv"], TENANT, threading.get_ident) == threading.get_ident()
        assert await one.look(["/mnt/1"], TENANT, threading.get_ident) != threading.get_ident()
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        with pytest.raises(FileNotFoundError):
            await one.look(["/mnt/1"], TENANT, lambda: os.stat("/not/there"))
        gc.collect()
        assert complaints == []

    asyncio.run(scenario())


def count_new(before: set[threading.Thread]) -> int:
    """Return how many threads began: those of other tests may end meanwhile."""
    return len(set(threading.enumerate()) - before)


def test_silent_mount_is_left_alone_until_it_answers_and_only_for_who_asked(
    answer: threading.Event,
) -> None:
    async def scenario() -> None:
        answered = asyncio.Event()
        one = Patience(answered.set)
        with pytest.raises(Silence, match=r"/mnt/1 .* does not answer"):
            await one.look(["/mnt/1/app"], TENANT, answer.wait)
        before = set(threading.enumerate())
        with pytest.raises(Silence):
            await one.look(["/mnt/1/other"], TENANT, answer.wait)
        with pytest.raises(Silence):
            one.look_now(["/mnt/1"], TENANT, answer.wait)
        assert count_new(before) == 0
        assert await one.look(["/mnt/1"], OTHER, lambda: 1) == 1
        assert await one.look(["/mnt/2"], TENANT, lambda: 2) == 2
        answer.set()
        await answered.wait()
        assert await one.look(["/mnt/1"], TENANT, lambda: 3) == 3

    asyncio.run(scenario())


def test_tenant_with_many_silent_mounts_has_few_threads_and_root_is_not_bounded(
    answer: threading.Event,
) -> None:
    async def scenario() -> None:
        one = Patience(lambda: None)
        before = set(threading.enumerate())
        for uid in (TENANT, 0):
            for path in MOUNTS:
                with pytest.raises(Silence):
                    await one.look([path], uid, answer.wait)
        assert count_new(before) == HANGING_MAX + len(MOUNTS)
        assert await one.look(["/mnt/8"], OTHER, lambda: 8) == 8

    asyncio.run(scenario())


def test_many_looks_at_once_at_what_does_not_answer_are_one_thread(
    answer: threading.Event,
) -> None:
    async def scenario() -> None:
        one = Patience(lambda: None)
        before = set(threading.enumerate())
        looks = [one.look(["/mnt/1"], TENANT, answer.wait) for _ in range(20)]
        found = await asyncio.gather(*looks, return_exceptions=True)
        assert all(isinstance(error, Silence) for error in found)
        assert count_new(before) == 1

    asyncio.run(scenario())

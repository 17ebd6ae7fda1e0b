"""A file that is gone, where each look takes its time and others look meanwhile."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from emperor.brain.absences import Absences
from emperor.brain.entries import Entries, Entry
from emperor.brain.neighbours import Neighbours
from emperor.brain.reads import Key
from emperor.config.policy import Holder

HOME = (1, 2)


class Far(Absences):
    """Of one directory, /v, whose files were those of blog; `there` are those there are now. Who
    looks at the file `slow` waits until somebody else has found out that it is gone. `comes` is
    called while who has been put off is read in its place."""

    def __init__(self, slow: str = "", comes: Callable[["Far"], None] | None = None) -> None:
        self.there: set[str] = set()
        self.read: list[str] = []
        self.dropped = asyncio.Event()
        self._slow = slow
        self._comes = comes
        self.begun: list[Key] = []
        self.neighbours = Neighbours()
        self.neighbours.enter(Holder("blog", 7, None), 7)
        entries = Entries(lambda *_: None)
        entries.enter("blog", Entry(directory="/v", file_name="blog.toml", owner_uid=7))
        quiet: Any = SimpleNamespace(
            forget=lambda *_: None,
            make_room=self.neighbours.make_room,
            take_place=self.neighbours.take,
            forget_unproven=self.neighbours.leave,
            drop=lambda name: self.dropped.set(),
            of_gone=lambda *_: None,
            is_lost=lambda *_: False,
        )
        super().__init__(
            settings=SimpleNamespace(directories=("/v",), takes=lambda *_: True),  # type: ignore[arg-type]
            fleet=quiet,
            entries=entries,
            versions=quiet,
            heirs=quiet,
            homes=quiet,
            strays=quiet,
            reads=SimpleNamespace(begin=self.begun.append, let_others=self._let_others),  # type: ignore[arg-type]
            patience=SimpleNamespace(look_at=self._look_at),  # type: ignore[arg-type]
            publish=lambda *_: None,
            look=self._read,
            refresh=print,  # type: ignore[arg-type]
            forget=lambda name, path: entries.forget(name),
        )

    async def _let_others(self, *_: float) -> None:
        if self.begun and self._comes is not None:
            self._comes(self)

    async def _look_at(self, path: str, _: Callable[[], object]) -> bool:
        task = asyncio.current_task()
        if path == self._slow and task is not None and task.get_name() == "slow":
            await self.dropped.wait()
            self.there.add(path)
        return path in self.there

    async def _read(self, name: str, directory: str, file_name: str) -> None:
        self.read.append(f"{directory}/{file_name}")

    async def miss(self) -> None:
        await self.on_missing("blog", "/v", "blog.toml", HOME, None)


def test_other_file_that_comes_when_the_first_was_found_to_be_gone_is_read() -> None:
    async def run() -> list[str]:
        far = Far("/v/blog.ini")
        await asyncio.gather(
            asyncio.create_task(far.miss(), name="slow"), asyncio.create_task(far.miss())
        )
        return far.read

    assert asyncio.run(run()) == ["/v/blog.ini"]


def back(far: Far) -> None:
    far.there.add("/v/blog.toml")


def back_beside_another(far: Far) -> None:
    far.there.add("/v/blog.toml")
    far.neighbours.enter(Holder("shop", 7, None), 7)


def missed(comes: Callable[[Far], None]) -> Far:
    """Return what became of it while shop of the same owner's, which had been put off, was read."""

    async def run() -> Far:
        far = Far(comes=comes)
        with far.newcomers.undecided(7):
            far.newcomers.put_off(7, ("/v", "shop.toml"), "1:x")
            await far.miss()
        return far

    return asyncio.run(run())


def test_file_that_is_back_when_its_place_was_offered_goes_on_if_nobody_took_it() -> None:
    far = missed(back)
    assert not far.dropped.is_set()
    assert far.begun[-1] == ("/v", "blog.toml")
    assert far.neighbours.has("blog")


def test_file_that_is_back_when_its_place_is_taken_is_a_new_one() -> None:
    far = missed(back_beside_another)
    assert far.dropped.is_set()
    assert far.begun[-1] == ("/v", "blog.toml")
    assert not far.neighbours.has("blog")

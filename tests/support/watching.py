"""A watcher whose reports are collected."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from emperor.watch.events import WatchEvent
from emperor.watch.watcher import Watcher

DEADLINE_S = 5.0


class Seen:
    """The reports so far; each is taken out once."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self.watcher: Watcher

    async def next(self) -> WatchEvent:
        """Take the next report; fail the test when none comes."""
        return await asyncio.wait_for(self.queue.get(), DEADLINE_S)

    async def until(self, wanted: WatchEvent) -> None:
        """Take reports up to the one that is wanted; fail the test when it does not come."""
        others = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while (event := await self.queue.get()) != wanted:
                    others.append(event)
        except TimeoutError:
            last = others[-10:]
            raise AssertionError(f"no {wanted} within {DEADLINE_S} s; but {last}") from None

    async def only(self, *wanted: WatchEvent, repeated: bool = False) -> None:
        """Take exactly these reports, in any order; with `repeated` each may come again."""
        events: list[WatchEvent] = []
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not set(wanted) <= set(events):
                    events.append(await self.queue.get())
        except TimeoutError:
            raise AssertionError(f"not all of {wanted} within {DEADLINE_S} s: {events}") from None
        events += await self.settled()
        assert set(events) == set(wanted)
        assert repeated or len(events) == len(wanted), events

    async def settled(self, quiet_s: float = 0.08) -> list[WatchEvent]:
        """Take all reports until there was none for a while."""
        events: list[WatchEvent] = []
        while True:
            try:
                events.append(await asyncio.wait_for(self.queue.get(), quiet_s))
            except TimeoutError:
                return events

    def watched_directories(self) -> set[str]:
        """Return the directories that inotify watches now."""
        tracker = self.watcher.tracker
        return set(tracker.inotify.directories()) if tracker else set()


@asynccontextmanager
async def watching(
    *directories: Path, files: Iterable[str] = (), **options: Any
) -> AsyncIterator[Seen]:
    """Run a watcher over the directories and yield what it reports."""
    seen = Seen()
    seen.watcher = Watcher(map(str, directories), seen.queue.put_nowait, **options)
    seen.watcher.set_files(files)
    await seen.watcher.start()
    try:
        yield seen
    finally:
        await seen.watcher.close()

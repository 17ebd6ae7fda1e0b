"""Reads in the background: what changes while it is read is read once more."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

Key = tuple[str, str]
"""A directory, and the name of a file in it; "" = all of the directory."""


class Reads:
    """Calls `read` in a task for each key, and `after` when nothing of the key is to be read any
    more. Of one event loop."""

    def __init__(
        self, read: Callable[[Key], Awaitable[None]], after: Callable[[Key], None]
    ) -> None:
        self._read = read
        self._after = after
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._giving_way: set[asyncio.Task[None]] = set()
        self._begun = asyncio.Event()
        self._is_closed = False

    def begin(self, key: Key) -> None:
        """There is a reason to read: at once, or once more behind what is being read."""
        if self._is_closed:  # who is cancelled may want something read still
            return
        if key in self._tasks:
            self._again.add(key)
        else:
            self._tasks[key] = asyncio.create_task(self._until_calm(key))
            self._begun.set()

    def close(self) -> None:
        """Read no more."""
        self._is_closed = True
        for task in self._tasks.values():
            task.cancel()

    async def let_others(self, patience_s: float, moment_s: float = 0.0) -> None:
        """Wait for what is being read, but for those that wait here too; if nothing is, for what
        begins to be read within a moment."""
        me = asyncio.current_task()
        assert me is not None  # it is awaited in one
        self._giving_way.add(me)
        try:
            if not self._others() and moment_s:
                self._begun.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._begun.wait(), moment_s)
            if others := self._others():
                await asyncio.wait(others, timeout=patience_s)
        finally:
            self._giving_way.discard(me)

    def _others(self) -> set[asyncio.Task[None]]:
        return set(self._tasks.values()) - self._giving_way

    async def _until_calm(self, key: Key) -> None:
        try:
            while True:
                self._again.discard(key)
                await self._read(key)
                if key not in self._again:
                    self._after(key)
                    return
        finally:
            del self._tasks[key]

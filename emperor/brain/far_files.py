"""Looks again and again at single files that somebody else has to answer for.

inotify is blind there, and who does not answer keeps nobody else waiting: each mount is looked at
by itself, and each user's files.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping

from emperor.brain.patience import Debtor, Patience, Silence
from emperor.touches import Stamp, stamp


class FarFiles:
    """Of one event loop. `seen(path, is_first)` is called for what is seen for the first time, or
    has another stamp than before."""

    def __init__(
        self, patience: Patience, interval_s: float, seen: Callable[[str, bool], None]
    ) -> None:
        self._patience = patience
        self._interval_s = interval_s
        self._seen = seen
        self._files: Mapping[str, int] = {}
        self._stamps: dict[str, Stamp] = {}
        self._tasks: dict[Debtor, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def set(self, files: Mapping[str, int]) -> None:
        """Look at these, each in the name of a user, and at no others. Safe to repeat."""
        self._files = files
        for path in self._stamps.keys() - files.keys():
            del self._stamps[path]
        if files and self._timer is None:
            self._look()

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """How each file looked last, as far as it was seen."""
        return self._stamps

    def presume(self, path: str, stamp: Stamp) -> None:
        """This is how a file looked that was not seen yet: it has changed if it looks different."""
        self._stamps.setdefault(path, stamp)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks.values():
            task.cancel()

    def _look(self) -> None:
        self._timer = None
        if not self._files:
            return
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._look)
        groups: defaultdict[Debtor, list[str]] = defaultdict(list)
        for path, uid in self._files.items():
            groups[self._patience.debtor(path, uid)].append(path)
        for debtor, paths in groups.items():
            if debtor not in self._tasks:
                self._tasks[debtor] = asyncio.create_task(self._look_at(debtor, paths))

    async def _look_at(self, debtor: Debtor, paths: list[str]) -> None:
        def look() -> list[Stamp]:
            return [stamp(path) for path in paths]

        try:
            stamps = await self._patience.look(paths, debtor[1], look)
        except Silence:
            return
        finally:
            del self._tasks[debtor]
        for path, now in zip(paths, stamps, strict=True):
            before = self._stamps.get(path)
            if path in self._files and before != now:
                self._stamps[path] = now
                self._seen(path, before is None)

"""The files that vassals want to be touched at: which, for what, and when each was last."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from emperor.brain.patience import Patience
from emperor.touches import Stamp, Touch, stamp

REMEMBERED_MAX = 32
"""So many files of one vassal the next brain is told of: a tenant may name hundreds."""


class _Wanted(NamedTuple):
    uid: int  # whose choice the paths are
    touches: frozenset[tuple[str, Touch]]
    paths: tuple[str, ...]  # in order


class TouchFiles:
    """Of all vassals of one emperor. Those that somebody else has to answer for are far.

    `recall` returns how a file looked to an earlier brain, None = it did not know.
    """

    def __init__(self, patience: Patience, recall: Callable[[str], Stamp | None]) -> None:
        self._patience = patience
        self._recall = recall
        self._wanted: dict[str, _Wanted] = {}  # of those that name any
        self._wanting: dict[str, dict[str, None]] = {}  # by path, the vassals that name it
        self._stamps: dict[str, Stamp] = {}
        self._unwatched: set[str] = set()

    def want(self, name: str, uid: int, touches: frozenset[tuple[str, Touch]]) -> None:
        """Replace what a vassal wants; nothing, when its file is gone."""
        before = self._wanted.pop(name, None)
        for path in before.paths if before is not None else ():
            del self._wanting[path][name]
            if not self._wanting[path]:
                del self._wanting[path]
        if touches:
            paths = tuple(sorted({path for path, _ in touches}))
            self._wanted[name] = _Wanted(uid, touches, paths)
            for path in paths:
                self._wanting.setdefault(path, {})[name] = None

    def near(self) -> set[str]:
        """Return the paths that can be looked at, and watched, without waiting for anybody."""
        found = set(self._wanting)
        if self._patience.is_needed:
            found = {path for path in found if not self._patience.is_foreign(path)}
        self._stamps = {path: at for path, at in self._stamps.items() if path in found}
        for path in found - self._stamps.keys():
            self._stamps[path] = self._recall(path) or stamp(path)
            self._unwatched.add(path)
        return found

    def take_unwatched(self) -> set[str]:
        """Return, once, those near files that were not among them before: they may have been
        touched until somebody began to watch them."""
        found, self._unwatched = self._unwatched, set()
        return found

    def stamps(self, far: Mapping[str, Stamp]) -> Iterator[tuple[str, Stamp]]:
        """Yield path and stamp of what the next brain is to be told of."""
        for wanted in self._wanted.values():
            for path in wanted.paths[:REMEMBERED_MAX]:
                found = self._stamps.get(path) or far.get(path)
                if found is not None:
                    yield path, found

    def far(self) -> dict[str, int]:
        """Return the other paths, each with a user in whose name it can be looked at."""
        if not self._patience.is_needed:
            return {}
        return {
            path: self._wanted[next(reversed(names))].uid
            for path, names in self._wanting.items()
            if self._patience.is_foreign(path)
        }

    def touched(self, path: str) -> list[tuple[str, Touch]]:
        """Return who wants what of a near file that may have been touched; nothing, if it was
        not."""
        if self._patience.is_foreign(path):
            return []
        now = stamp(path)
        if self._stamps.get(path, now) == now:
            return []
        self._stamps[path] = now
        return self.who_wants(path)

    def who_wants(self, path: str) -> list[tuple[str, Touch]]:
        """Return who wants what of a file that was touched."""
        return [
            (name, touch)
            for name in self._wanting.get(path, ())
            for touch in Touch
            if self.wants(name, path, touch)
        ]

    def wants(self, name: str, path: str, touch: Touch) -> bool:
        """Return whether a vassal wants this of a file."""
        wanted = self._wanted.get(name)
        return wanted is not None and (path, touch) in wanted.touches

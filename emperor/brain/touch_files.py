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


class TouchFiles:
    """Of all vassals of one emperor. Those that somebody else has to answer for are far.

    `recall` returns how a file looked to an earlier brain, None = it did not know.
    """

    def __init__(self, patience: Patience, recall: Callable[[str], Stamp | None]) -> None:
        self._patience = patience
        self._recall = recall
        self._wanted: dict[str, _Wanted] = {}  # of those that name any
        self._stamps: dict[str, Stamp] = {}
        self._unwatched: set[str] = set()

    def want(self, name: str, uid: int, touches: frozenset[tuple[str, Touch]]) -> None:
        """Replace what a vassal wants; nothing, when its file is gone."""
        self._wanted.pop(name, None)
        if touches:
            self._wanted[name] = _Wanted(uid, touches)

    def near(self) -> set[str]:
        """Return the paths that can be looked at, and watched, without waiting for anybody."""
        found = {path for wanted in self._wanted.values() for path, _ in wanted.touches}
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

    def stamps(self, far: Mapping[str, Stamp]) -> Iterator[tuple[str, str, Stamp]]:
        """Yield vassal, path and stamp of what the next brain is to be told of."""
        for name, wanted in self._wanted.items():
            for path in sorted({path for path, _ in wanted.touches})[:REMEMBERED_MAX]:
                found = self._stamps.get(path) or far.get(path)
                if found is not None:
                    yield name, path, found

    def far(self) -> dict[str, int]:
        """Return the other paths, each with a user in whose name it can be looked at."""
        if not self._patience.is_needed:
            return {}
        return {
            path: wanted.uid
            for wanted in self._wanted.values()
            for path, _ in wanted.touches
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
            for name, wanted in self._wanted.items()
            for touch in Touch
            if (path, touch) in wanted.touches
        ]

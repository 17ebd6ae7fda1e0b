"""The files that vassals want to be touched at: which, for what, and when each was last."""

from typing import NamedTuple

from emperor.brain.patience import Patience
from emperor.touches import Stamp, Touch, stamp


class _Wanted(NamedTuple):
    uid: int  # whose choice the paths are
    touches: frozenset[tuple[str, Touch]]


class TouchFiles:
    """Of all vassals of one emperor. Those that somebody else has to answer for are far."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._wanted: dict[str, _Wanted] = {}  # of those that name any
        self._stamps: dict[str, Stamp] = {}

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
            self._stamps[path] = stamp(path)
        return found

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

"""The files that vassals want to be touched at: which, for what, and when each was last."""

from emperor.touches import Stamp, Touch, stamp


class TouchFiles:
    """Of all vassals of one emperor."""

    def __init__(self) -> None:
        self._wanted: dict[str, frozenset[tuple[str, Touch]]] = {}  # of those that name any
        self._stamps: dict[str, Stamp] = {}

    def want(self, name: str, wanted: frozenset[tuple[str, Touch]]) -> None:
        """Replace what a vassal wants; nothing, when its file is gone."""
        self._wanted.pop(name, None)
        if wanted:
            self._wanted[name] = wanted

    @property
    def paths(self) -> set[str]:
        """Every path that some vassal wants to be touched at."""
        found = {path for wanted in self._wanted.values() for path, _ in wanted}
        for path in found - self._stamps.keys():
            self._stamps[path] = stamp(path)
        return found

    def touched(self, path: str) -> list[tuple[str, Touch]]:
        """Return who wants what of a file that may have been touched; nothing, if it was not."""
        now = stamp(path)
        if self._stamps.get(path, now) == now:
            return []
        self._stamps[path] = now
        return [
            (name, touch)
            for name, wanted in self._wanted.items()
            for touch in Touch
            if (path, touch) in wanted
        ]

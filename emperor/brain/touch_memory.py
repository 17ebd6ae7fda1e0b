"""Remembers for the next brain how the files looked that vassals want to be touched at.

Who touches one while no brain lives is heard by the next one, which compares.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping

from emperor.touches import Stamp

PAUSE_S = 1.0
"""Ten thousand files are one value to keep."""

KeptStamps = dict[str, Stamp]
"""By digests of paths, of which tenants may name long ones."""

Known = Callable[[], Iterable[tuple[str, Stamp | None]]]
"""What `TouchMemory.note` is given."""


class TouchMemory:
    """Of one event loop. `kept` is what the brain before has kept, `keep` keeps it for the next."""

    def __init__(self, kept: Mapping[str, Stamp], keep: Callable[[KeptStamps], None]) -> None:
        self._kept = dict(kept)
        self._unclaimed = dict(kept)
        self._keep = keep
        self._timer: asyncio.TimerHandle | None = None
        self._known: Known = tuple
        self._keys: dict[str, str] = {}  # of the paths that were known last

    def recall(self, path: str) -> Stamp | None:
        """Return how a file looked to the brain before, once; None = it did not know."""
        return self._unclaimed.pop(_key(path), None) if self._unclaimed else None

    def note(self, known: Known) -> None:
        """Something may have changed: keep soon what `known` returns then, paths with how the
        files look, None = leave it at what was kept, as a touch is still to be acted on."""
        if self._timer is None:
            self._known = known
            self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self._keep_now)

    def close(self) -> None:
        """Keep at once what was noted, else what this brain has done the next one would repeat."""
        if self._timer is not None:
            self._timer.cancel()
            with contextlib.suppress(OSError):  # then it is repeated; whoever leaves still does
                self._keep_now()

    def _keep_now(self) -> None:
        self._timer = None
        current: KeptStamps = {}
        keys: dict[str, str] = {}
        for path, stamp in self._known():
            key = keys[path] = self._keys.get(path) or _key(path)
            stamp = self._kept.get(key) if stamp is None else stamp
            if stamp is not None:
                current[key] = stamp
        self._keys = keys
        if current != self._kept:
            self._keep(current)
            self._kept = current  # not if that has failed: it is tried again


def _key(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]

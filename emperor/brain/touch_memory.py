"""Remembers for the next brain how the files looked that vassals want to be touched at.

Who touches one while no brain lives is heard by the next one, which compares.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping

from emperor.touches import Stamp

PAUSE_S = 1.0
"""Ten thousand files are one value to keep; and what a touch asks for has been passed on before
the touch counts as known."""

KeptStamps = dict[str, Stamp]
"""By digests of paths, of which tenants may name long ones."""


class TouchMemory:
    """Of one event loop. `kept` is what the brain before has kept, `keep` keeps it for the next."""

    def __init__(self, kept: Mapping[str, Stamp], keep: Callable[[KeptStamps], None]) -> None:
        self._kept = dict(kept)
        self._unclaimed = dict(kept)
        self._keep = keep
        self._timer: asyncio.TimerHandle | None = None

    def recall(self, path: str) -> Stamp | None:
        """Return how a file looked to the brain before, once; None = it did not know."""
        return self._unclaimed.pop(_key(path), None) if self._unclaimed else None

    def note(self, known: Callable[[], Iterable[tuple[str, Stamp | None]]]) -> None:
        """Something may have changed: keep soon what `known` returns then, paths with how the
        files look, None = leave it at what was kept, as a touch is still to be acted on."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PAUSE_S, self._keep_now, known)

    def close(self) -> None:
        """Keep nothing more: what was noted a moment ago may not have been passed on."""
        if self._timer is not None:
            self._timer.cancel()

    def _keep_now(self, known: Callable[[], Iterable[tuple[str, Stamp | None]]]) -> None:
        self._timer = None
        current: KeptStamps = {}
        for path, stamp in known():
            key = _key(path)
            stamp = self._kept.get(key) if stamp is None else stamp
            if stamp is not None:
                current[key] = stamp
        if current != self._kept:
            self._kept = current
            self._keep(current)


def _key(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]

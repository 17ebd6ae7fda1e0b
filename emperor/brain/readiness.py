"""Tells systemd, through the spawner, whether the emperor is ready, and how its vassals are."""

import time
from collections.abc import Callable

from emperor import notify
from emperor.brain.fleet import Fleet
from emperor.brain.roll import Publish
from vassal.messages import Message, NotifySystemd

SETTLE_PATIENCE_S = 60.0
"""READY is said after this time even while vassals are still starting."""


class Readiness:
    """Of one brain; `send` is the way to the spawner."""

    def __init__(self, fleet: Fleet, send: Callable[[Message], None], publish: Publish) -> None:
        self._fleet = fleet
        self._send = send
        self._publish = publish
        self._began = time.monotonic()
        self._is_ready = False
        self._told = ""

    def on_change(self) -> None:
        """Vassals may be in other states: say once that all have settled, and what they are."""
        summary = self._summary()
        waited_s = time.monotonic() - self._began
        if not self._is_ready and (self._fleet.has_settled or waited_s > SETTLE_PATIENCE_S):
            self._is_ready = True
            self._notify(notify.ready(summary))
            self._publish("info", "emperor_ready", None, {"vassals": summary})
        elif self._is_ready and summary != self._told:
            self._told = summary
            self._notify(notify.status(summary))

    def reloading(self) -> None:
        """The emperor looks at its settings, to make way for another."""
        self._notify(notify.reloading(time.monotonic()))

    def stays(self) -> None:
        """This emperor goes on after `reloading`."""
        self._notify(notify.ready(self._summary()))

    def stopping(self) -> None:
        """The emperor stops because somebody told it to."""
        self._notify(notify.STOPPING)

    def _notify(self, state: str) -> None:
        self._send(NotifySystemd(state=state))

    def _summary(self) -> str:
        counts = sorted(self._fleet.counts.items())
        return ", ".join(f"{count} {state}" for state, count in counts if count) or "empty"

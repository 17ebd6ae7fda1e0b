"""Writes what workers tell of clients that break the protocol. Pure.

The words are a tenant's, and so is how often they come.
"""

from collections.abc import Mapping

PAUSE_S = 1.0
"""A worker tells once a minute, if it is ours; then a thousand of them are few lines."""

_PROTOCOLS = ("http", "uwsgi", "fastcgi", "scgi")


class Refusals:
    """Of one master."""

    def __init__(self) -> None:
        self._told_at: float | None = None

    def line(self, slot: int, fields: Mapping[str, str], now: float) -> str | None:
        """Return the line for the log, None = none now; `now` is in monotonic seconds."""
        if self._told_at is not None and now - self._told_at < PAUSE_S:
            return None
        self._told_at = now
        protocol = fields.get("protocol", "")
        return (
            f"event=request_refused slot={slot} "
            f"protocol={protocol if protocol in _PROTOCOLS else '?'} "
            f"status={_number(fields.get('status', ''))} "
            f"count={_number(fields.get('count', ''))} reason={fields.get('reason', '')[:80]!r}"
        )


def _number(text: str) -> str:
    return text if len(text) < 10 and text.isascii() and text.isdigit() else "?"

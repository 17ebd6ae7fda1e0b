"""Decides whether what was asked of a vassal has come to its end, and how. Pure."""

from typing import NamedTuple

from emperor.status import VassalState, VassalStatus

S = VassalState

SETTLED = frozenset({S.READY, S.BACKOFF, S.PARKED, S.STOPPED, S.DORMANT})
"""States in which nothing is on its way."""


class Verdict(NamedTuple):
    """How it ended; `text` is for people."""

    good: bool
    text: str


def verdict(
    action: str, before: VassalStatus, now: VassalStatus, began_at: float
) -> Verdict | None:
    """Return how `action` ended, None = it is under way.

    `before` is the status right before it was asked for, at `began_at` (Unix time).
    """
    if now.state not in SETTLED:
        return None
    failure = now.last_failure
    if failure is not None and failure.at >= began_at and not _is_done(action, before, now):
        what = "the old version serves on" if now.state is S.READY else f"it is {now.state} now"
        trace = f"\n{failure.traceback.rstrip()}" if failure.traceback else ""
        return Verdict(False, f"{now.name}: {action} failed: {failure.message}; {what}{trace}")
    if not _is_done(action, before, now):
        if now.held and not before.held and action != "stop":
            return Verdict(False, f"{now.name}: {action} was cut short: {now.held}")
        return None
    if action == "stop":
        return Verdict(True, f"{now.name} is stopped")
    return Verdict(True, f"{now.name}: generation {now.generation} serves")


def _is_done(action: str, before: VassalStatus, now: VassalStatus) -> bool:
    if action == "stop":
        return now.state is S.STOPPED
    if action == "rollback" and now.state in {S.DORMANT, S.STOPPED} and before.state is now.state:
        return True  # it is what starts next
    if now.state is not S.READY:
        return False
    if action in {"reload", "rollback"}:
        return now.generation > before.generation
    # A new master: the one before had another pid, or there was none.
    return now.pid not in (0, before.pid) or before.state is not S.READY

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
    failure, is_done = now.last_failure, _is_done(action, before, now)
    counts = not is_done or now.state is S.DORMANT
    if failure is not None and failure.at >= began_at and counts:
        what = "the old version serves on" if now.state is S.READY else f"it is {now.state} now"
        trace = f"\n{failure.traceback.rstrip()}" if failure.traceback else ""
        return Verdict(False, f"{now.name}: {action} failed: {failure.message}; {what}{trace}")
    if not is_done:
        if now.held and not before.held and action != "stop":
            return Verdict(False, f"{now.name}: {action} was cut short: {now.held}")
        return None
    if action == "stop":
        return Verdict(True, f"{now.name} is stopped")
    if now.state is S.STOPPED:
        return Verdict(True, f"{now.name} is stopped: this is what starts next")
    if now.state is S.DORMANT:
        return Verdict(True, f"{now.name} sleeps: this is what the first connection starts")
    return Verdict(True, f"{now.name}: generation {now.generation} serves")


def _is_done(action: str, before: VassalStatus, now: VassalStatus) -> bool:
    if action == "stop":
        return now.state is S.STOPPED
    if now.state is S.DORMANT:
        # Nothing of what was before runs; but one that sleeps and is to start is on its way.
        return action != "start" or before.state is not S.DORMANT
    if action == "rollback" and now.state is before.state is S.STOPPED:
        return True
    if now.state is not S.READY:
        return False
    if action in {"reload", "rollback"}:
        return now.generation > before.generation
    # A new master: the one before had another pid, or there was none.
    return now.pid not in (0, before.pid)

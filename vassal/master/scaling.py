"""Decides how many workers a vassal has between its least and its most. Pure: the master acts.

Grows when every worker is busy, by as many as clients wait for; shrinks to the most that were
busy at a time, when that has been less for a while. Times are monotonic seconds.
"""

import math
from typing import NamedTuple

import msgspec

LOOK_S = 0.2
"""How often to look while anything runs. Twice in a row everybody must be busy: one moment
says little, and a fork is cheap but not free."""

PRESSED_LOOKS = 2

CALM_S = 30.0
"""The fewer workers that were enough must have been enough for so long."""

HEADROOM = 0.9
"""Of memory_max: another worker must fit below, by what those that run use on average."""


class Range(NamedTuple):
    """Bounds of a number of workers. `granted` is what others leave of `most`; None = all.

    A vassal begins with `initial`, 0 = the least, and grows by `step` at a time, 0 = by as many
    as clients wait for.
    """

    least: int
    most: int
    granted: int | None = None
    initial: int = 0
    step: int = 0

    @property
    def is_fixed(self) -> bool:
        return self.least >= self.most


class Sample(NamedTuple):
    """What is seen at one look. `memory_max_bytes` 0 = no limit; `waiting` are connections."""

    workers: int  # that are ready
    busy: int  # threads that run a request
    threads: int  # of one worker
    waiting: int
    memory_bytes: int = 0
    memory_max_bytes: int = 0


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The number that is wanted, why, and what leads to the next one.

    `asked` is what would be wanted if more was granted. `pressed` counts the last looks that
    found everybody busy; `peak` is the most workers that were busy at a time since `peak_at`.
    `look_at` None = not before something happens.
    """

    wanted: int
    asked: int = 0
    why: str = "as few as allowed"
    pressed: int = 0
    peak: int = 0
    peak_at: float = 0.0
    look_at: float | None = None


def begin(bounds: Range, before: int | None, now: float) -> Scale:
    """Return the scale of a new generation; `before` is what the one before it had."""
    first = bounds.initial if before is None else before
    wanted = max(bounds.least, min(bounds.most, bounds.granted or bounds.most, first))
    why = "as many as the generation before"
    if before is None:
        why = "workers.initial" if wanted > bounds.least else "as few as allowed"
    return Scale(wanted=wanted, asked=wanted, why=why, peak_at=now)


def review(scale: Scale, bounds: Range, sample: Sample, now: float) -> Scale:
    """Return the scale after one look at `now`."""
    full = sample.workers > 0 and sample.busy >= sample.workers * sample.threads
    pressed = scale.pressed + 1 if full else 0
    needed = math.ceil(sample.busy / sample.threads)
    scale = msgspec.structs.replace(scale, pressed=pressed, peak=max(scale.peak, needed))
    if pressed >= PRESSED_LOOKS and sample.workers >= scale.wanted:
        scale = _grown(scale, bounds, sample, now)
    elif now - scale.peak_at >= CALM_S:
        scale = _shrunk(scale, bounds, needed, now)
    is_quiet = not sample.busy and not sample.waiting
    if not is_quiet:
        return msgspec.structs.replace(scale, look_at=now + LOOK_S)
    # Nothing runs: there is nothing to see before the calm is over.
    is_least = scale.wanted <= bounds.least
    return msgspec.structs.replace(scale, look_at=None if is_least else scale.peak_at + CALM_S)


def _grown(scale: Scale, bounds: Range, sample: Sample, now: float) -> Scale:
    # At most twice as many at once: a burst is over before all of them are there.
    needed = min(max(1, math.ceil(sample.waiting / sample.threads)), scale.wanted)
    wanted = min(bounds.most, scale.wanted + (bounds.step or needed))
    why = f"all {sample.workers} workers were busy, {sample.waiting} connections waited"
    if wanted == scale.wanted:
        why = f"all {sample.workers} workers are busy, and workers.max = {bounds.most}"
    room = _room(sample)
    if room is not None and wanted > scale.wanted + room:
        wanted = scale.wanted + room
        if not room:
            why = "all workers are busy, and another would not fit below memory_max"
    scale = msgspec.structs.replace(scale, asked=wanted, why=why, pressed=0, peak_at=now)
    scale = _within_grant(scale, bounds)
    return msgspec.structs.replace(scale, peak=scale.wanted)


def grant(scale: Scale, bounds: Range, refusal: str = "") -> Scale:
    """Return the scale after `bounds.granted` was answered, with why not all if it is not all.

    The rest is asked for anew, if it is still needed then.
    """
    if bounds.granted is not None and scale.asked > bounds.granted:
        why = f"all workers are busy, and {refusal or 'no more are granted'}"
        scale = msgspec.structs.replace(scale, why=why)
    scale = _within_grant(scale, bounds)
    return msgspec.structs.replace(scale, asked=scale.wanted)


def nudge(scale: Scale, bounds: Range, step: int, why: str, now: float) -> Scale:
    """Return the scale after somebody asked for `step` workers more; the load decides again
    when the calm is over."""
    wanted = max(bounds.least, min(bounds.most, scale.wanted + step))
    look_at = min(scale.look_at or math.inf, now + CALM_S)
    scale = msgspec.structs.replace(
        scale, asked=wanted, why=why, pressed=0, peak_at=now, look_at=look_at
    )
    scale = _within_grant(scale, bounds)
    return msgspec.structs.replace(scale, peak=scale.wanted)


def _within_grant(scale: Scale, bounds: Range) -> Scale:
    """Want what is asked for, as far as it is granted."""
    if bounds.granted is None or scale.asked <= bounds.granted:
        return msgspec.structs.replace(scale, wanted=scale.asked)
    return msgspec.structs.replace(scale, wanted=max(bounds.least, bounds.granted))


def _room(sample: Sample) -> int | None:
    """Return how many more workers fit into the memory; None = there is no limit."""
    if not sample.memory_max_bytes or not sample.workers:
        return None
    one = max(1, sample.memory_bytes // sample.workers)
    return max(0, int(sample.memory_max_bytes * HEADROOM - sample.memory_bytes) // one)


def _shrunk(scale: Scale, bounds: Range, needed: int, now: float) -> Scale:
    """Begin another calm; keep one worker more than were busy at a time."""
    wanted = max(bounds.least, min(scale.wanted, scale.peak + 1))
    why = scale.why
    if wanted < scale.wanted:
        why = f"at most {scale.peak} were busy at a time for {CALM_S:g} s"
    return msgspec.structs.replace(
        scale, wanted=wanted, asked=wanted, why=why, peak=needed, peak_at=now
    )

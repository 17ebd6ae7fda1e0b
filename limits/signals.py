"""Signals by their numbers, for what forks: all blocked, all as the kernel has them at first.

The functions of `signal` make an enum of every number that goes in or out, by an exception where
it has no name, as half of them have none. With all of them at each fork that is a tenth of a birth.
"""

import _signal  # type: ignore[import-not-found]
from collections.abc import Iterable

ALL: frozenset[int] = frozenset(_signal.valid_signals())


def block_all() -> set[int]:
    """Block all signals; return those that were blocked before."""
    before: set[int] = _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL)
    return before


def set_mask(mask: Iterable[int] = ()) -> None:
    """Block these signals and no others."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def reset_all() -> None:
    """Handle and ignore no signal any more. For a child that will exec."""
    for signum in ALL:
        if _signal.getsignal(signum) not in (_signal.SIG_DFL, None):
            _signal.signal(signum, _signal.SIG_DFL)

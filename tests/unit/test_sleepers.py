"""What keeps a tenant's trick from holding the brain up."""

import os
import signal

import pytest

from emperor.brain.sleepers import HeldUpError, at_most


def test_call_that_waits_is_interrupted_though_system_calls_are_begun_again() -> None:
    theirs, ours = os.pipe()
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(HeldUpError), at_most(0.02):
        os.read(theirs, 1)
    os.close(theirs)
    os.close(ours)
    assert signal.getsignal(signal.SIGALRM) is before


def test_what_ends_in_time_is_left_alone() -> None:
    with at_most(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

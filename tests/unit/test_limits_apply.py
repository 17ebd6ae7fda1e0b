import errno
from dataclasses import dataclass

import pytest

from limits.apply import StepFailed, apply
from limits.fds import gaps
from limits.steps import SetOomScore, Step, VerificationFailed


@dataclass(frozen=True)
class Recorded(Step):
    trace: list
    name: str
    error: Exception | None = None

    def describe(self):
        return f"do {self.name}"

    def execute(self):
        self.trace.append(self.name)
        if self.error:
            raise self.error


def test_apply_executes_the_steps_in_order():
    trace = []

    apply([Recorded(trace, "one"), Recorded(trace, "two")])

    assert trace == ["one", "two"]


def test_apply_stops_at_the_first_failure_and_names_step_and_errno():
    trace = []
    denied = PermissionError(errno.EPERM, "Operation not permitted")
    failing = Recorded(trace, "two", denied)

    with pytest.raises(StepFailed) as caught:
        apply([Recorded(trace, "one"), failing, Recorded(trace, "three")])

    assert trace == ["one", "two"]
    assert caught.value.step is failing
    assert caught.value.errno == errno.EPERM
    assert str(caught.value) == "do two: Operation not permitted (EPERM)"


def test_failed_verification_has_no_errno():
    failing = Recorded([], "check", VerificationFailed("uid 0 could be regained"))

    with pytest.raises(StepFailed) as caught:
        apply([failing])

    assert caught.value.errno == 0
    assert str(caught.value) == "do check: uid 0 could be regained"


def test_step_that_writes_a_file_names_path_and_value():
    assert SetOomScore(300).describe() == "write 300 to /proc/self/oom_score_adj"


@pytest.mark.parametrize(
    ("kept", "ranges"),
    [
        ([], [(0, 2**31 - 1)]),
        ([0, 1, 2], [(3, 2**31 - 1)]),
        ([1, 2, 7], [(0, 0), (3, 6), (8, 2**31 - 1)]),
        ([5], [(0, 4), (6, 2**31 - 1)]),
    ],
)
def test_gaps_cover_everything_but_the_kept_descriptors(kept, ranges):
    assert gaps(kept) == ranges

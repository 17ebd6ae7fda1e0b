"""Executes a plan's steps on the calling process, and says which one failed and how."""

import errno as errnos
from collections.abc import Iterable

from limits.steps import Step, VerificationFailed


class StepFailed(Exception):
    """`step` was not possible. `errno` 0 = the kernel agreed, but a check failed."""

    def __init__(self, step: Step, errno: int, detail: str) -> None:
        super().__init__(step, errno, detail)
        self.step = step
        self.errno = errno
        self.detail = detail

    def __str__(self) -> str:
        name = f" ({errnos.errorcode.get(self.errno, self.errno)})" if self.errno else ""
        return f"{self.step.describe()}: {self.detail}{name}"


def apply(steps: Iterable[Step]) -> None:
    """Execute the steps in order; raise StepFailed at the first that fails.

    There is no way back: after StepFailed the process is half confined and must exit.
    """
    for step in steps:
        try:
            step.execute()
        except OSError as error:
            raise StepFailed(step, error.errno or 0, error.strerror or str(error)) from error
        except VerificationFailed as error:
            raise StepFailed(step, 0, str(error)) from error

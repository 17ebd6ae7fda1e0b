"""Changes the limits of processes that run: a master's children, by prlimit(2)."""

import resource
from collections.abc import Iterable

from limits.confinement import Confinement
from limits.facts import probe
from limits.plan import plan
from limits.rlimits import RLIMITS
from limits.steps import SetRlimit

Pairs = dict[str, tuple[int, int]]


def change_rlimits(pids: Iterable[int], rlimits: Pairs) -> tuple[str, ...]:
    """Put `pids`, children of ours that are not reaped, under `rlimits`.

    Returns what could not be done, "KEY: reason" each: a hard limit that was lowered
    cannot be raised again for a process without privileges.
    """
    planned = plan(Confinement(rlimits=rlimits), probe())
    failed = {item.key: item.reason for item in planned.unsupported}
    steps = [step for step in planned.steps if isinstance(step, SetRlimit)]
    for pid in pids:
        for step in steps:
            try:
                # A child's pid is its own until we reap it.
                resource.prlimit(pid, RLIMITS[step.name].number, (step.soft, step.hard))
            except ProcessLookupError:
                break
            except (PermissionError, ValueError):
                failed[step.key] = "running processes cannot raise a hard limit again"
    return tuple(f"{key}: {reason}" for key, reason in failed.items())

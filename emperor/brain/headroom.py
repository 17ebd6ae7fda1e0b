"""What memory a vassal that grows has to fit into: its customer's, our cgroup's, the host's.

Remembers what was promised to those that grew a moment ago: a worker uses its memory later.
"""

import time
from typing import NamedTuple

from emperor.brain.birth import Spec
from emperor.brain.cgroups import Cgroups
from emperor.core.allotment import PROMISE_S, Bound, Grant, Promise, fit
from limits import kernel_files


class _Promised(NamedTuple):
    customer: str
    total_bytes: int  # all that the vassal may come to use
    until: float


class Headroom:
    """Asks the kernel once for each vassal that wants to grow."""

    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        self._promised: dict[str, _Promised] = {}

    def fit(self, grant: Grant, held: int, spec: Spec) -> Grant:
        """Return what is left of a grant to one who has `held` workers already."""
        if grant.workers <= held or not held:
            return grant
        name, now = spec.settings.name, time.monotonic()
        used = self._cgroups.held_bytes(name) or 0
        one = used // held
        bounds = self._cgroups.memory_bounds(spec)
        if (host := host_memory()) is not None:
            bounds.append(host)
        grant = fit(grant, held, one, bounds, self._missing(now))
        if grant.workers > held:
            total = used + one * (grant.workers - held)
            self._promised[name] = _Promised(spec.subject.customer, total, now + PROMISE_S)
        return grant

    def _missing(self, now: float) -> list[Promise]:
        """Return what was promised and is not used yet; forget what is too long ago."""
        self._promised = {name: one for name, one in self._promised.items() if now < one.until}
        return [
            Promise(one.customer, max(0, one.total_bytes - (self._cgroups.held_bytes(name) or 0)))
            for name, one in self._promised.items()
        ]


def host_memory() -> Bound | None:
    """Return the host's memory, as /proc/meminfo tells; None if it does not."""
    try:
        lines = kernel_files.read("/proc/meminfo").splitlines()
    except OSError:
        return None
    words = [line.split() for line in lines]
    found = {row[0]: int(row[1]) * 1024 for row in words if len(row) == 3 and row[1].isdigit()}
    total, available = found.get("MemTotal:"), found.get("MemAvailable:")
    if total is None or available is None:
        return None
    return Bound("the host (MemAvailable)", total, total - available)

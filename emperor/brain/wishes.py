"""What is wanted of a vassal: by its file, and by what people said since. Pure."""

import msgspec

from emperor.brain.birth import Spec
from emperor.core.reconcile import Desired

BY_HAND = "somebody said stop"
EVICTED = "its file has another owner, and cannot be used"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of one name: its latest valid spec, and what people said since.

    `spec` None: the file was never valid. The serials make a reload, a restart or
    a new master by hand look like a change.
    """

    spec: Spec | None = None
    run: bool = True
    why_not: str = BY_HAND
    reload_serial: int = 0
    restart_serial: int = 0
    renew_serial: int = 0

    def desired(self) -> Desired:
        if self.spec is None:
            return Desired(fingerprint=None, run=self.run, why_not=self.why_not)
        return Desired(
            fingerprint=f"{self.spec.generation_digest}:{self.reload_serial}",
            birth=f"{self.spec.birth_digest}:{self.renew_serial}",
            restart_serial=self.restart_serial,
            limits=self.spec.limits_digest,
            run=self.run,
            why_not=self.why_not,
            on_demand=self.spec.settings.on_demand,
        )


def serial_of(fingerprint: str) -> int:
    """Return the serial behind the colon of a fingerprint; 0 for anything else."""
    tail = fingerprint.rpartition(":")[2]
    return int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 10 else 0

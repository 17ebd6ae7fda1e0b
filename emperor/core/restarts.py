"""Decides how long to wait before a vassal that died is started again. Pure."""

import msgspec


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential backoff in seconds; a vassal that was ready for `forgive_after_s` is
    forgiven its past."""

    first_s: float = 0.1
    factor: float = 2.0
    cap_s: float = 60.0
    jitter: float = 0.25
    forgive_after_s: float = 60.0


def failures_after(failures: int, ready_s: float | None, policy: RestartPolicy) -> int:
    """Return the count of failures in a row, with the one that just happened.

    `ready_s` is how long the vassal had been ready; None = it never was.
    """
    forgiven = ready_s is not None and ready_s >= policy.forgive_after_s
    return 1 if forgiven else failures + 1


def delay_s(failures: int, policy: RestartPolicy, chance: float) -> float:
    """Return the seconds to wait after `failures` (at least 1) failures in a row.

    `chance` is a random number in [0, 1): it moves the delay by at most ± `jitter`, so
    that vassals that died together do not come back together.
    """
    # The exponent is bounded: 2.0 ** 1100 overflows.
    delay = min(policy.cap_s, policy.first_s * policy.factor ** min(failures - 1, 64))
    return delay * (1.0 + policy.jitter * (2.0 * chance - 1.0))

"""Decides how many workers a vassal whose number follows the load may have. Pure.

`workers_max` of emperor.toml bounds all vassals together, that of a customer the customer's; and
another worker has to fit into the memory of the customer, of our cgroup and of the host. No vassal
has less than its least, whatever the others have: the bounds stop growth only.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

HEADROOM = 0.1
"""Of a memory limit, so much stays free."""

HEADROOM_BYTES_MAX = 1 << 30
"""More than this need not stay free of a large one."""

PROMISE_S = 10.0
"""So long a worker may take until it uses what it was granted for."""


class Caps(NamedTuple):
    """The most workers of all vassals, and of a customer's; what is not there has no bound."""

    host: int | None = None
    customers: Mapping[str, int] = {}


class Holding(NamedTuple):
    """How many workers one vassal may have now."""

    customer: str
    workers: int


class Bound(NamedTuple):
    """Memory that many vassals share: those of `customer`, or all. `what` is for people."""

    what: str
    max_bytes: int
    used_bytes: int
    customer: str | None = None


class Promise(NamedTuple):
    """What a vassal that was just granted workers does not use yet, and may come to."""

    customer: str
    missing_bytes: int


class Grant(NamedTuple):
    """How many workers one may have, and what stands against more."""

    workers: int
    why: str = ""


def allot(asked: int, least: int, customer: str, others: Iterable[Holding], caps: Caps) -> Grant:
    """Return how many of the `asked` workers one may have beside what the `others` hold."""
    held, held_by_customer = 0, 0
    for other in others:
        held += other.workers
        held_by_customer += other.workers if other.customer == customer else 0
    granted, why = asked, ""
    if caps.host is not None and caps.host - held < granted:
        granted, why = caps.host - held, "no more are granted: workers_max in emperor.toml"
    if customer in caps.customers and caps.customers[customer] - held_by_customer < granted:
        granted = caps.customers[customer] - held_by_customer
        why = f"no more are granted: workers_max of customer {customer} in emperor.toml"
    return Grant(max(least, granted), why if granted < asked else "")


def fit(
    grant: Grant, held: int, one_bytes: int, bounds: Iterable[Bound], promises: Iterable[Promise]
) -> Grant:
    """Return what is left of a grant to one who has `held` workers, if all shall fit into memory.

    `one_bytes` is what one worker uses; `promises` are everybody's, its own among them.
    """
    promises = tuple(promises)
    for bound in bounds:
        kept = min(int(bound.max_bytes * HEADROOM), HEADROOM_BYTES_MAX)
        promised = sum(
            one.missing_bytes for one in promises if bound.customer in (None, one.customer)
        )
        left = bound.max_bytes - kept - bound.used_bytes - promised
        most = held + max(0, left // max(1, one_bytes))
        if most < grant.workers:
            grant = Grant(most, f"another would not fit into the memory of {bound.what}")
    return grant

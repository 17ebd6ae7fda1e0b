"""Decides how many workers a vassal whose number follows the load may have. Pure.

`workers_max` of emperor.toml bounds all vassals together, that of a customer the customer's.
No vassal has less than its least, whatever the others have: the bounds stop growth only.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Caps(NamedTuple):
    """The most workers of all vassals, and of a customer's; what is not there has no bound."""

    host: int | None = None
    customers: Mapping[str, int] = {}

    def binds(self, customer: str) -> bool:
        """Return whether a vassal of this customer has to ask before it grows."""
        return self.host is not None or customer in self.customers


class Holding(NamedTuple):
    """How many workers one vassal may have now."""

    customer: str
    workers: int


def allot(asked: int, least: int, customer: str, others: Iterable[Holding], caps: Caps) -> int:
    """Return how many of the `asked` workers one may have beside what the `others` hold."""
    held, held_by_customer = 0, 0
    for other in others:
        held += other.workers
        held_by_customer += other.workers if other.customer == customer else 0
    granted = asked
    if caps.host is not None:
        granted = min(granted, caps.host - held)
    if customer in caps.customers:
        granted = min(granted, caps.customers[customer] - held_by_customer)
    return max(least, granted)

"""How many locks an application has. Beside its module, which the master does not load. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Tuple

LOCKS_MAX = 64


def lock_count(options: Iterable[Tuple[str, str]]) -> int:
    """Return how many locks a file's options ask for; the one numbered 0 is always there."""
    wanted = [value for name, value in options if name == "locks" and value.isdigit()]
    return min(LOCKS_MAX, 1 + int(wanted[-1])) if wanted else 1

"""The sixteen resource limits: name, kernel number, unit. Pure.

`name` is the kernel's in lower case; a vassal file writes `limit_NAME`.
"""

from typing import NamedTuple

INFINITY = -1


class Rlimit(NamedTuple):
    """One row of the table. `unit`: "bytes", "seconds", "microseconds", "count", "priority"."""

    name: str
    number: int
    unit: str


# Numbers of include/uapi/asm-generic/resource.h; the resource module has no name for LOCKS.
RLIMITS: dict[str, Rlimit] = {
    row[0]: Rlimit(*row)
    for row in (
        ("cpu", 0, "seconds"),
        ("fsize", 1, "bytes"),
        ("data", 2, "bytes"),
        ("stack", 3, "bytes"),
        ("core", 4, "bytes"),
        ("rss", 5, "bytes"),
        ("nproc", 6, "count"),
        ("nofile", 7, "count"),
        ("memlock", 8, "bytes"),
        ("as", 9, "bytes"),
        ("locks", 10, "count"),
        ("sigpending", 11, "count"),
        ("msgqueue", 12, "bytes"),
        ("nice", 13, "priority"),
        ("rtprio", 14, "priority"),
        ("rttime", 15, "microseconds"),
    )
}


def exceeds(value: int, bound: int) -> bool:
    """Return whether `value` allows more than `bound`; -1 is infinity on both sides."""
    if bound == INFINITY:
        return False
    return value == INFINITY or value > bound


def as_text(value: int) -> str:
    """Return the value as a vassal file would say it."""
    return "infinity" if value == INFINITY else str(value)

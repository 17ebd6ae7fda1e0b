"""One row of a table of keys. Pure."""

from collections.abc import Callable
from typing import Any, NamedTuple

from emperor.config.schemas import Schema
from emperor.config.tightness import Rule

Parser = Callable[[object], object]
Writer = Callable[[Any], object]


def as_is(value: object) -> object:
    """Return a value that TOML has by itself; tuples are its arrays."""
    return list(value) if isinstance(value, tuple) else value


class Key(NamedTuple):
    """One key. `default` and `example` are TOML values; no default = none or required.

    `parse` raises problems.Invalid; `write` turns what it returned into a TOML value
    again. `rule` says which values are tighter: None = its author's own affair.
    """

    name: str  # dotted: "limits.limit_nofile"
    parse: Parser
    schema: Schema
    help: str
    default: str = ""
    example: str = ""
    rule: Rule | None = None
    write: Writer = as_is

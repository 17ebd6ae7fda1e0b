"""The keys of [health]: what new code must answer before it takes over, and how it does. Pure."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from emperor.config import values
from emperor.config.key import Key
from emperor.config.network import host_name
from emperor.config.problems import Invalid, described, quoted
from emperor.config.schemas import DURATION, TEXT
from emperor.config.settings import Health

_STATUS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 100, "maximum": 599},
        {"type": "string"},
        {"type": "array"},
    ]
}
_RANGE = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", re.ASCII)
_REMEDY = 'write a status like 200, a range like "200-299", or an array of these'


def url_path(value: object) -> str:
    """Return the path of a request, with its query."""
    path = values.text(value, "a path", '"/healthz"')
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        raise Invalid(
            f"{quoted(path)} is not the path of a URL", 'write one like "/healthz?full=1"'
        )
    return path


def statuses(value: object) -> tuple[tuple[int, int], ...]:
    """Return ranges of HTTP statuses, both ends among them."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise Invalid("no status is expected", _REMEDY)
    return tuple(_range(item) for item in items)


def _range(item: object) -> tuple[int, int]:
    if isinstance(item, bool) or not isinstance(item, str | int):
        raise Invalid(f"{described(item)} is no status", _REMEDY)
    match = _RANGE.fullmatch(str(item))
    if match is None:
        raise Invalid(f"{quoted(str(item)[:80])} is no status", _REMEDY)
    low = int(match.group(1))
    high = int(match.group(2) or low)
    if high < low:
        raise Invalid(f"{quoted(match.group())} is a range from its end to its start", _REMEDY)
    return low, high


def write_statuses(ranges: tuple[tuple[int, int], ...]) -> list[object]:
    """Return the ranges as TOML values."""
    return [low if low == high else f"{low}-{high}" for low, high in ranges]


HEALTH_KEYS = (
    Key(
        "health.path",
        url_path,
        TEXT,
        "A request that the first worker of new code must answer before it takes over.",
        example='"/healthz"',
    ),
    Key(
        "health.expect",
        statuses,
        _STATUS_SCHEMA,
        "Statuses that pass.",
        '"200-399"',
        '[200, "300-399"]',
        write=write_statuses,
    ),
    Key(
        "health.host",
        host_name,
        TEXT,
        "The Host of that request. Default: the first of hosts, else localhost.",
        example='"blog.example"',
    ),
    Key(
        "health.timeout",
        partial(values.duration, minimum=values.SHORTEST_DURATION, maximum=3600.0),
        DURATION,
        "Longest time for the answer.",
        "5",
        '"20s"',
    ),
    Key(
        "health.settle",
        partial(values.duration, maximum=3600.0),
        DURATION,
        "New code whose workers crash twice within this time goes, and the old code returns.",
        "3",
        '"30s"',
    ),
)


def health_of(read: Mapping[str, Any]) -> Health:
    """Return [health] of checked values by dotted key."""
    fields = {
        name: read[f"health.{name}"]
        for name in ("path", "expect", "host", "timeout", "settle")
        if f"health.{name}" in read
    }
    return Health(**fields)


def written_health(health: Health) -> dict[str, object]:
    """Return [health] as it would be written."""
    values = {key.name.partition(".")[2]: key.write for key in HEALTH_KEYS}
    found = {name: (write, getattr(health, name)) for name, write in values.items()}
    return {name: write(value) for name, (write, value) in found.items() if value is not None}

"""What is wrong with a configuration file, in words for its author. Pure."""

import json
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

Path = tuple[str | int, ...]
"""Where a value stands in a TOML document: names of keys, indices of array elements."""

PROBLEMS_MAX = 50
"""A hostile file may hold thousands; its author reads the first few."""

SHOWN_MAX = 60


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to correct. `str()` is the line that people and editors read."""

    file: str
    line: int
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}: {self.key}: {self.problem}; {self.remedy}"


class ConfigError(ValueError):
    """A file that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Fault(NamedTuple):
    """What a parser says of a value; it knows neither file nor key.

    `path` leads from the parsed value to the wrong part of it.
    """

    problem: str
    remedy: str
    path: Path = ()


class Invalid(ValueError):
    """A value that its parser refuses."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.faults: tuple[Fault, ...] = (Fault(problem, remedy),)


class InvalidParts(Invalid):
    """An array or a table of which some parts are wrong."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        faults = tuple(faults)
        super().__init__(faults[0].problem, faults[0].remedy)
        self.faults = faults


def dotted(path: Path) -> str:
    """Return a path as people write it: `env."MY KEY"`, `listen[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + key_text(part)
    return text


def key_text(name: str) -> str:
    """Return `name` as a TOML key: bare, or quoted and escaped where it must be."""
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare and len(name) <= SHOWN_MAX else quoted(name)


def quoted(text: str) -> str:
    """Return `text` in double quotes, shortened, safe for a terminal and a log line."""
    if len(text) > SHOWN_MAX:
        text = text[:SHOWN_MAX] + "…"
    return printable(json.dumps(text, ensure_ascii=False))


def printable(text: str) -> str:
    """Return `text` with everything escaped that could move a cursor or fake a line."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def described(value: object) -> str:
    """Return a short name for a TOML value of any type, for messages."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # str() of a long integer raises since CPython 3.11.
        return str(value) if abs(value) < 10**20 else "a huge number"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return "a date or time"

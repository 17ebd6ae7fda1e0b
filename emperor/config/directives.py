"""Parsers of the values that systemd's directives have, and their way back to TOML. Pure.

What depends on the machine ("50%" of its memory) stays a Share until `resolve`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from emperor.config import values
from emperor.config.problems import Fault, Invalid, InvalidParts, described, quoted
from emperor.config.settings import Machine
from limits.directives import TemporaryFileSystem
from limits.rlimits import INFINITY

TABLE_MAX = 64
LIST_MAX = 256
NUMBER_MAX = 8191
"""The kernel has at most 8192 CPUs."""

INODES_MAX = 2**31
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")
"""A plan or a customer; a customer is part of a path."""

_PAGE = re.compile(r"[1-9][0-9]{0,6}[KMG]B")
_RANGE = re.compile(r"([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?")
_T = TypeVar("_T")


class Share(NamedTuple):
    """A part of what the machine has: of its "memory" or its "tasks"."""

    fraction: float
    of: str


def resolve(share: Share, machine: Machine) -> int:
    """Return the amount that a share is on this machine; raise Invalid."""
    whole = machine.memory_bytes if share.of == "memory" else machine.tasks_max
    if not whole:
        raise Invalid(f"how much {share.of} this machine has is not known", "write a number")
    return max(1, int(whole * share.fraction))


def memory(value: object) -> object:
    """Return bytes, INFINITY, or a Share of the machine's memory."""
    if value == "infinity":
        return INFINITY
    if isinstance(value, str) and value.strip().endswith("%"):
        return Share(values.percent(value.strip(), 100), "memory")
    return values.size(value)


def tasks(value: object) -> object:
    """Return a count, INFINITY, or a Share of the tasks that the machine can have."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return Share(values.percent(value.strip(), 100), "tasks")
    return count(value, 1)


def count(value: object, minimum: int = 0) -> int:
    """Return a count or INFINITY."""
    if value == "infinity":
        return INFINITY
    return values.whole(value, minimum, values.SIZE_MAX, 'write a number like 64, or "infinity"')


def quota(value: object) -> object:
    """Return the number of CPUs, 1.5 for "150%"; None for "infinity"."""
    return None if value == "infinity" else values.percent(value)


def size_or_infinity(value: object) -> int:
    """Return bytes or INFINITY."""
    return INFINITY if value == "infinity" else values.size(value)


def numbers(value: object) -> tuple[int, ...]:
    """Return a set of CPUs or memory nodes, sorted, from 2, "0-3,8", "0 1" or [0, "2-3"]."""
    remedy = 'write numbers like "0-3,8"'
    parts = value if isinstance(value, list) else [value]
    found: set[int] = set()
    if len(parts) > LIST_MAX:
        raise Invalid(f"has {len(parts)} elements", f"write at most {LIST_MAX}")
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (int, str)):
            raise Invalid(f"{described(part)} is not a set of numbers", remedy)
        text = part[: values.TEXT_MAX] if isinstance(part, str) else described(part)
        for word in re.split(r"\s*,\s*|\s+", text.strip()):
            match = _RANGE.fullmatch(word)
            first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
            if not int(first) <= int(last) <= NUMBER_MAX:
                raise Invalid(f"{quoted(word)} is not a number or a range", remedy)
            found.update(range(int(first), int(last) + 1))
    return tuple(sorted(found)) if found else _empty(remedy)


def _empty(remedy: str) -> tuple[int, ...]:
    raise Invalid("the list is empty", remedy)


def numbers_text(found: Iterable[int]) -> str:
    """Return a set of numbers as ranges."""
    runs: list[list[int]] = []
    for number in found:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def table_of(
    value: object,
    name: Callable[[object], str],
    parse: Callable[[object], _T],
    example: str,
) -> dict[str, _T]:
    """Return a table with names and values parsed; InvalidParts with all that are wrong."""
    if not isinstance(value, dict):
        raise Invalid(f"{described(value)} is not a table", f"write {example}")
    if len(value) > TABLE_MAX:
        raise Invalid(f"has {len(value)} entries", f"write at most {TABLE_MAX}")
    found: dict[str, _T] = {}
    faults: list[Fault] = []
    for key, item in value.items():
        try:
            named = name(key)
            if named in found:
                raise Invalid(f"{quoted(named)} is in the table twice", "remove one")
            found[named] = parse(item)
        except Invalid as error:
            faults += [fault._replace(path=(key, *fault.path)) for fault in error.faults]
    if faults:
        raise InvalidParts(faults)
    return found


def folder(value: object) -> str:
    """Return an absolute path in its shortest form, without "..".

    Behind a symlink ".." means another folder than its text says: a bound on paths could
    be evaded with it.
    """
    if isinstance(value, str) and value.startswith("-/"):
        raise Invalid(f"{quoted(value)} is not a path", f"write {quoted(value[1:])}")
    path = values.absolute_path(value)
    if ".." in path.split("/"):
        raise Invalid(f'{quoted(path)} contains ".."', "write the path without it")
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def page_size(value: object) -> str:
    """Return the size of a huge page in the kernel's words."""
    if isinstance(value, str) and _PAGE.fullmatch(value):
        return value
    raise Invalid(f"{described(value)} is not the size of a huge page", 'write "2MB" or "1GB"')


def word(value: object) -> str:
    """Return the name of a plan or of a customer."""
    if isinstance(value, str) and WORD.fullmatch(value):
        return value
    raise Invalid(
        f"{described(value)} is not a name", "use letters, digits, - and _, at most 41 of them"
    )


def bandwidths(value: object) -> dict[str, int]:
    """Return bytes per second by path."""
    return table_of(value, folder, lambda item: values.size(item, 1), '{ "/srv" = "20M" }')


def rates(value: object) -> dict[str, int]:
    """Return operations per second by path."""
    return table_of(
        value,
        folder,
        lambda item: values.whole(item, 1, values.SIZE_MAX),
        '{ "/srv" = 500 }',
    )


def latencies(value: object) -> dict[str, float]:
    """Return seconds by path."""
    return table_of(value, folder, lambda item: values.duration(item, 0.001), '{ "/srv" = "25ms" }')


def hugetlb(value: object) -> dict[str, int]:
    """Return bytes by size of page."""
    return table_of(value, page_size, size_or_infinity, '{ "2MB" = "64M" }')


def file_system(value: object) -> TemporaryFileSystem:
    """Return the bounds of a tmpfs from { size = "64M", inodes = 4096 }, or "64M"."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = {"size": value}
    example = '{ size = "64M", inodes = 4096 }'
    if not isinstance(value, dict):
        raise Invalid(f"{described(value)} is not a table", f"write {example}")
    parsers: Mapping[str, Callable[[object], int]] = {
        "size": lambda item: values.size(item, 4096),
        "inodes": lambda item: values.whole(item, 1, INODES_MAX),
    }
    given: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, item in value.items():
        try:
            if name not in parsers:
                raise Invalid("unknown key", f"write {example}")
            given[name] = parsers[name](item)
        except Invalid as error:
            faults += [fault._replace(path=(name,)) for fault in error.faults]
    if faults:
        raise InvalidParts(faults[:LIST_MAX])
    return TemporaryFileSystem(**given)


def amount_text(value: int) -> object:
    """Return a count or bytes as TOML has it."""
    return "infinity" if value == INFINITY else value


def size_words(value: int) -> object:
    """Return bytes as a person would write them."""
    if value == INFINITY:
        return "infinity"
    text = values.size_text(value)
    return text.strip('"') if text.startswith('"') else value


def quota_text(value: float) -> str:
    """Return CPUs as a percentage of one."""
    return f"{round(value * 100, 3)}".removesuffix(".0") + "%"


def pair_text(pair: tuple[int, int]) -> str:
    """Return soft and hard limit."""
    return ":".join(str(amount_text(part)) for part in pair)


def table_text(write: Callable[[Any], object]) -> Callable[[Mapping[str, Any]], object]:
    """Return the writer of a table whose values `write` writes."""
    return lambda table: {name: write(value) for name, value in table.items()}


def file_system_text(bounds: TemporaryFileSystem | None) -> object:
    """Return the bounds of a tmpfs as a table; false for none."""
    return bounds is not None and {"size": size_words(bounds.size), "inodes": bounds.inodes}

"""Parsers of single values: durations, sizes, modes, names, paths. Pure.

Each takes what TOML gave and returns the value in base units, or raises Invalid with
what is wrong and what to write.
"""

import math
import posixpath
import re
from collections.abc import Callable

from emperor.config.document import Octal
from emperor.config.problems import Fault, Invalid, InvalidParts, described, key_text, quoted
from limits.rlimits import INFINITY

TEXT_MAX = 4096
"""Longest text value; PATH_MAX is the same."""

SIZE_MAX = 2**63 - 1
DURATION_MAX = 366 * 86400.0
SHORTEST_DURATION = 0.001  # less would round to 0, which turns a limit off

_UNIT_SECONDS = {
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400.0),
}
_UNIT_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50, "E": 2**60}
_AMOUNT = re.compile(r"(\d{1,19}(?:\.\d{1,9})?)\s*([^\W\d]{0,12})\s*", re.ASCII)
_USER_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31}\$?")
_ENV_NAME = re.compile(r"[^=\x00-\x1f\x7f-\x9f\u2028\u2029]{1,128}")
"""As the kernel has it: a shell cannot name A-B, but an application reads it."""
_OCTAL_MODE = re.compile(r"0?[0-7]{3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def text(value: object, what: str, example: str) -> str:
    """Return a non-empty string without control characters."""
    if not isinstance(value, str):
        raise Invalid(f"{described(value)} is not {what}", f"write {example}")
    if not value:
        raise Invalid("is empty", f"write {example}, or remove the line")
    if _CONTROL.search(value):
        raise Invalid(f"{quoted(value)} contains a control character", "remove it")
    if len(value) > TEXT_MAX:
        raise Invalid(f"is {len(value)} characters long", f"write at most {TEXT_MAX}")
    return value


def boolean(value: object) -> bool:
    """Return a TOML boolean; words are not taken for one."""
    if isinstance(value, bool):
        return value
    raise Invalid(f"{described(value)} is not true or false", "write true or false")


def whole(
    value: object, minimum: int, maximum: int, remedy: str = "", what: str = "a whole number"
) -> int:
    """Return an integer within the bounds; digits in quotes are taken too."""
    remedy = remedy or f"write a whole number from {minimum} to {maximum}"
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,20}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{described(value)} is not {what}", remedy)
    if not minimum <= value <= maximum:
        raise Invalid(f"{described(value)} is out of range", remedy)
    return int(value)


def number(value: object, minimum: float, maximum: float) -> float:
    """Return an integer or a float within the bounds, as float."""
    remedy = f"write a number from {minimum:g} to {maximum:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Invalid(f"{described(value)} is not a number", remedy)
    if not minimum <= value <= maximum:
        raise Invalid(f"{described(value)} is out of range", remedy)
    return float(value)


def duration(value: object, minimum: float = 0.0, maximum: float = DURATION_MAX) -> float:
    """Return seconds from 30, 1.5, "30", "500ms", "10m" or "1h 30m"."""
    remedy = 'write seconds like 30, or "500ms", "10m", "1h 30m"'
    if isinstance(value, str):
        seconds = _seconds(value, remedy)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise Invalid(f"{value} is not a duration", remedy)
        # A long integer does not fit a float.
        seconds = float(min(max(value, -1), DURATION_MAX + 1)) if abs(value) > 2**53 else value
    else:
        raise Invalid(f"{described(value)} is not a duration", remedy)
    if seconds > maximum:
        raise Invalid(f"{described(value)} is too long", f"write at most {_length(maximum)}")
    if seconds < minimum or 0 < seconds < SHORTEST_DURATION:
        least = max(minimum, SHORTEST_DURATION) if seconds > 0 else minimum
        raise Invalid(f"{described(value)} is too short", f"write at least {_length(least)}")
    return float(seconds)


def _seconds(value: str, remedy: str) -> float:
    total = 0.0
    position = 0
    stripped = value.strip()[:80]
    if not stripped:
        raise Invalid("is empty", remedy)
    while position < len(stripped):
        match = _AMOUNT.match(stripped, position)
        if match is None:
            raise Invalid(f"{quoted(value)} is not a duration", remedy)
        amount, unit = match.groups()
        if unit not in _UNIT_SECONDS:
            raise Invalid(f'{quoted(value)}: unknown unit "{unit}"', remedy)
        total += float(amount) * _UNIT_SECONDS[unit]
        position = match.end()
    # "1500" in thousandths and the like would otherwise read 1.5000000000000002.
    return round(total, 9)


def _length(seconds: float) -> str:
    if seconds and seconds % 86400 == 0:
        return f'"{seconds / 86400:g}d"'
    return f"{seconds:g}"


def size(value: object, minimum: int = 0, maximum: int = SIZE_MAX) -> int:
    """Return bytes from 1048576, "512K", "256M" or "1.5G"; base 1024, as systemd has it."""
    remedy = 'write a size like "256M" or "1G"'
    if isinstance(value, str):
        amount = _bytes(value, remedy)
    elif isinstance(value, int) and not isinstance(value, bool):
        amount = value
    else:
        raise Invalid(f"{described(value)} is not a size", remedy)
    if amount < minimum:
        unit = ' (a number without unit is bytes: for megabytes write "…M")' if minimum else ""
        raise Invalid(
            f"{described(value)} is too small", f"write at least {size_text(minimum)}{unit}"
        )
    if amount > maximum:
        raise Invalid(f"{described(value)} is too large", f"write at most {size_text(maximum)}")
    return int(amount)


def _bytes(value: str, remedy: str) -> int:
    match = _AMOUNT.fullmatch(value.strip())
    if match is None:
        raise Invalid(f"{quoted(value)} is not a size", remedy)
    amount, unit = match.groups()
    if unit not in _UNIT_BYTES:
        short = unit.upper().removesuffix("B").removesuffix("I")
        if short in _UNIT_BYTES:
            raise Invalid(f'{quoted(value)}: unknown unit "{unit}"', f'write "{amount}{short}"')
        raise Invalid(f'{quoted(value)}: unknown unit "{unit}"', remedy)
    if "." in amount:
        return int(float(amount) * _UNIT_BYTES[unit])
    return int(amount) * _UNIT_BYTES[unit]


def size_text(amount: int) -> str:
    """Return bytes as a vassal file would say it."""
    for unit in ("E", "P", "T", "G", "M", "K"):
        if amount and amount % _UNIT_BYTES[unit] == 0:
            return f'"{amount // _UNIT_BYTES[unit]}{unit}"'
    return str(amount)


def percent(value: object, maximum: int = 100_000) -> float:
    """Return 0.5 for "50%"."""
    remedy = 'write a percentage like "50%"'
    match = re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?)\s*%", value) if isinstance(value, str) else None
    if match is None:
        raise Invalid(f"{described(value)} is not a percentage", remedy)
    if not 0 < float(match.group(1)) <= maximum:
        raise Invalid(f"{described(value)} is out of range", remedy)
    return float(match.group(1)) / 100


def file_mode(value: object) -> int:
    """Return permission bits from "660", "0660" or 0o660.

    A plain 660 is 0o1224: nobody means that, so every decimal integer is refused.
    """
    if isinstance(value, Octal):
        if 0 <= value <= 0o777:
            return int(value)
        raise Invalid(f"0o{int(value):o} is not a file mode", 'write "660" or 0o660')
    if isinstance(value, str) and _OCTAL_MODE.fullmatch(value):
        return int(value, 8)
    if isinstance(value, int) and not isinstance(value, bool):
        digits = described(value)
        if _OCTAL_MODE.fullmatch(digits):
            raise Invalid(f"{digits} is a decimal number", f'write "{digits}" or 0o{digits}')
    raise Invalid(f"{described(value)} is not a file mode", 'write "660" or 0o660')


def account_name(value: object) -> str:
    """Return the name (or the number, in quotes) of a user or group."""
    name = text(value, "a name", '"blog"')
    if not _USER_NAME.fullmatch(name):
        raise Invalid(
            f"{quoted(name)} is not a name of a user or group",
            "write the name as it is in /etc/passwd or /etc/group",
        )
    return name


def account_names(value: object) -> tuple[str, ...]:
    """Return names of users or groups; a single string is an array of one."""
    return list_of(value, account_name, '["www-data"]')


def environment(value: object) -> dict[str, str]:
    """Return the table of environment variables."""
    if not isinstance(value, dict):
        raise Invalid(f"{described(value)} is not a table", 'write [env], then NAME = "value"')
    faults: list[Fault] = []
    for name, content in value.items():
        fault = _variable_fault(name, content)
        if fault:
            faults.append(Fault(*fault, (name,)))
    if faults:
        raise InvalidParts(faults)
    return dict(value)


def _variable_fault(name: str, content: object) -> tuple[str, str] | None:
    ours = {"PYTHONPATH": "pythonpath = [...]", "PYTHONHOME": "python = PATH"}.get(name)
    if ours:
        return "is not read, the interpreter starts isolated", f"write {ours} outside [env]"
    if not _ENV_NAME.fullmatch(name):
        return "is not a name for a variable", "write 1 to 128 characters, of which none is ="
    if not isinstance(content, str):
        if isinstance(content, bool):
            return f"{described(content)} is not text", f'write {key_text(name)} = "1" or ""'
        if isinstance(content, (int, float)):
            return (
                f"{described(content)} is not text",
                f'write {key_text(name)} = "{described(content)}"',
            )
        return f"{described(content)} is not text", f'write {key_text(name)} = "value"'
    if "\0" in content:
        return "contains a NUL character", "remove it"
    if len(content) > 32768:
        return f"is {len(content)} characters long", "write at most 32768"
    return None


def path_text(value: object) -> str:
    """Return a path, absolute or relative, as written."""
    path = text(value, "a path", '"/srv/blog"')
    if len(path.encode()) >= TEXT_MAX:
        raise Invalid("is longer than a path can be", f"write at most {TEXT_MAX - 1} bytes")
    if path.startswith("~"):
        raise Invalid(f"{quoted(path)}: ~ is not replaced here", "write the whole path")
    return path


def absolute_path(value: object) -> str:
    """Return a path that begins with /."""
    path = path_text(value)
    if not path.startswith("/"):
        raise Invalid(
            f"{quoted(path)} is not an absolute path", f"write {quoted('/…/' + path.lstrip('./'))}"
        )
    return path


def resolved(path: str, base: str) -> str:
    """Return `path` seen from the folder `base`.

    ".." is left alone: behind a symlink it means another folder than its text says.
    """
    joined = posixpath.join(base, path)
    return joined if ".." in joined.split("/") else posixpath.normpath(joined)


def interpreter(value: object) -> str:
    """Return the path of a virtualenv or an interpreter, as written."""
    path = path_text(value)
    if re.fullmatch(r"(python|pypy)[0-9.]*", path):
        raise Invalid(
            f"{quoted(path)} is not looked up in PATH",
            f'write "/usr/bin/{path}", or the path of a virtualenv',
        )
    return path


def one_of(value: object, choices: tuple[str, ...]) -> str:
    """Return one of the words."""
    if isinstance(value, str) and value in choices:
        return value
    words = ", ".join(f'"{choice}"' for choice in choices[:-1])
    raise Invalid(
        f"{described(value)} is not one of the choices", f'write {words} or "{choices[-1]}"'
    )


def list_of(
    value: object, parse: Callable[[object], str], example: str, length_max: int = 64
) -> tuple[str, ...]:
    """Return the parsed elements of an array; a single string is an array of one."""
    if isinstance(value, str):
        value = [value]
    return tuple(each(value, parse, example, length_max))


def paths(value: object) -> tuple[str, ...]:
    """Return paths as written; a single string is an array of one."""
    return list_of(value, path_text, '["lib"]')


def each(value: object, parse: Callable[[object], str], example: str, length_max: int) -> list[str]:
    """Parse every element of an array; raise InvalidParts with all that are wrong."""
    if not isinstance(value, list):
        raise Invalid(f"{described(value)} is not a list", f"write {example}")
    if len(value) > length_max:
        raise Invalid(f"has {len(value)} elements", f"write at most {length_max}")
    parsed: list[str] = []
    faults: list[Fault] = []
    for index, element in enumerate(value):
        try:
            parsed.append(parse(element))
        except Invalid as error:
            faults += [fault._replace(path=(index, *fault.path)) for fault in error.faults]
    if faults:
        raise InvalidParts(faults)
    return parsed


def rlimit(value: object, unit: str) -> tuple[int, int]:
    """Return soft and hard limit from 1024, "1024:4096", "64K" or "infinity".

    `unit` is that of limits.rlimits.RLIMITS: it says what a part may look like.
    """
    if isinstance(value, str) and ":" in value:
        soft_text, _, hard_text = value.partition(":")
        soft, hard = _rlimit_part(soft_text, unit), _rlimit_part(hard_text, unit)
    else:
        soft = hard = _rlimit_part(value, unit)
    if hard != INFINITY and (soft == INFINITY or soft > hard):
        soft_text, _, hard_text = str(value).partition(":")
        raise Invalid(
            f"{described(value)}: the soft limit is above the hard one",
            f'write "{hard_text.strip()}:{soft_text.strip()}"',
        )
    return soft, hard


_RLIMIT_REMEDIES = {
    "bytes": 'write a size like "64K" or 0, a pair "64K:1M", or "infinity"',
    "seconds": 'write seconds like 60, "10m", a pair "60:70", or "infinity"',
    "microseconds": 'write a duration like "200ms", a pair, or "infinity"',
    "count": 'write a number like 1024, a pair "1024:4096", or "infinity"',
    "priority": 'write a number from 0 to 99, or a pair "0:10"',
}


def _rlimit_part(value: object, unit: str) -> int:
    remedy = _RLIMIT_REMEDIES[unit]
    if isinstance(value, str):
        value = value.strip()
        if value == "infinity":
            return INFINITY
    if value == "unlimited":
        raise Invalid('"unlimited" is not a limit', 'write "infinity"')
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Invalid(f"{described(value)} is not a limit", remedy)
    if value in (-1, "-1"):
        raise Invalid(f"{described(value)} is not a limit", 'write "infinity"')
    try:
        if unit == "bytes":
            return size(value)
        if unit == "seconds":
            return math.ceil(duration(value))
        if unit == "microseconds":
            digits = isinstance(value, int) or value.isdecimal()
            return whole(value, 0, SIZE_MAX) if digits else round(duration(value) * 1e6)
        return whole(value, 0, 99 if unit == "priority" else SIZE_MAX)
    except Invalid:
        raise Invalid(f"{described(value)} is not a limit", remedy) from None

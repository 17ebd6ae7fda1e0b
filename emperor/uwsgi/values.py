"""The values of uWSGI's options, by uWSGI's rules. Pure.

Each takes the text and returns the value, or raises Invalid.
"""

import re

from emperor.config.problems import Invalid, quoted

_NUMBER = re.compile(r"\s*([+-]?\d{1,18})", re.ASCII)
_OFF = ("false", "off", "no")
_BARE = ("true", "1", "")
"""What a key without a value comes to: in INI, and in XML or JSON."""

NUMBER_MAX = 2**31 - 1
"""The largest int of uWSGI's."""


def truth(text: str) -> bool:
    """Return whether a flag is on: whatever is not plainly off."""
    return text.lower() not in _OFF and text != "0"


def is_bare(text: str) -> bool:
    """Return whether the option was written without a value."""
    return text in _BARE


def atoi(text: str) -> int:
    """Return the number that `text` begins with, as C's atoi(): "60 ; note" is 60, "soon" is 0."""
    match = _NUMBER.match(text)
    return int(match.group(1)) if match else 0


def is_number(text: str) -> bool:
    """Return whether atoi() finds a number in it."""
    return _NUMBER.match(text) is not None


def whole(text: str) -> int:
    """Return the same; one below 0 is wrong, as in uWSGI."""
    number = atoi(text)
    if number < 0:
        raise Invalid(f"{number} is less than 0", "write 0 or more")
    return number


def why_taken(text: str, taken: int) -> str:
    """Return, for people, why a number that is not as the text has it was taken; "" = it is."""
    number = atoi(text)
    if not is_number(text):
        what = f"{quoted(text)} is no number" if text else "has no value"
        whose = "as uWSGI does" if taken == number else f"where uWSGI takes {number}"
        return f"{what}: taken as {taken}, {whose}; write a number"
    if number != taken:
        side, rest = ("less", "more") if number < taken else ("more", "less")
        return f"{number} is {side} than {taken}: taken as {taken}; write {taken} or {rest}"
    return ""


def pairs(text: str) -> dict[str, str]:
    """Return the values of "key=value,key=value" by key; a backslash takes a comma for what it is.

    What has no "=" is left out, as in uWSGI.
    """
    items = re.findall(r"((?:\\.|[^,\\])*\\?)(?:,|$)", text, re.DOTALL)
    found = {}
    for item in items:
        key, equals, value = re.sub(r"\\(.)", r"\1", item, flags=re.DOTALL).partition("=")
        if equals:
            found[key.strip()] = value
    return found


def megabytes(amount: int) -> int | str:
    """Return a size that is given in megabytes as we write it."""
    return f"{amount}M" if amount else 0


def socket_mode(text: str) -> str:
    """Return the three octal digits of chmod-socket; without a value everybody may connect."""
    if is_bare(text):
        return "666"
    return mode(text)


def umask(text: str) -> tuple[str | None, str]:
    """Return three octal digits, before which uWSGI skips a fourth, and what is said of them.

    None = it is no mode. uWSGI takes 000 for fewer digits, which makes what the application writes
    everybody's; nobody means that by 22.
    """
    if re.fullmatch(r"0?[0-7]{3}", text):
        return text[-3:], ""
    if re.fullmatch(r"[0-7]{1,2}", text):
        digits = text.zfill(3)
        return (
            digits,
            f"{text} is too short: taken as {digits}, where uWSGI takes 000; write {digits}",
        )
    return None, f"{quoted(text)} is no mode: it has the usual one; write three digits, like 022"


def mode(text: str) -> str:
    """Return three octal digits."""
    if not re.fullmatch(r"[0-7]{3}", text):
        raise Invalid(f"{quoted(text)} is not three octal digits", "write a mode like 660")
    return text

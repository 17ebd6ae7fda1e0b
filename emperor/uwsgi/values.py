"""The values of uWSGI's options, by uWSGI's rules. Pure.

Each takes the text and returns the value, or raises Invalid. uWSGI itself takes 0 for
what begins with no digit; here that is wrong, because nobody means it.
"""

import re

from emperor.config.problems import Invalid, quoted

_NUMBER = re.compile(r"\s*([+-]?\d{1,18})", re.ASCII)
_OFF = ("false", "off", "no")
_BARE = ("true", "1", "")
"""What a key without a value comes to: in INI, and in XML or JSON."""


def truth(text: str) -> bool:
    """Return whether a flag is on: whatever is not plainly off."""
    return text.lower() not in _OFF and text != "0"


def is_bare(text: str) -> bool:
    """Return whether the option was written without a value."""
    return text in _BARE


def whole(text: str, minimum: int = 0) -> int:
    """Return the number that `text` begins with, as atoi() does; "60 ; note" is 60."""
    match = _NUMBER.match(text)
    if match is None and is_bare(text):
        raise Invalid("has no value", "write a number, like 30")
    if match is None:
        raise Invalid(f"{quoted(text)} does not begin with a number", "write a number, like 30")
    number = int(match.group(1))
    if number < minimum:
        raise Invalid(f"{number} is less than {minimum}", f"write {minimum} or more")
    return number


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


def megabytes(text: str) -> int | str:
    """Return a size that is given in megabytes, whatever unit stands behind, as we write it."""
    amount = whole(text)
    return f"{amount}M" if amount else 0


def socket_mode(text: str) -> str:
    """Return the three octal digits of chmod-socket; without a value everybody may connect."""
    if is_bare(text):
        return "666"
    return mode(text)


def umask(text: str) -> str:
    """Return the three octal digits of umask, before which uWSGI skips a fourth."""
    return mode(text[1:] if len(text) == 4 and text.startswith("0") else text)


def mode(text: str) -> str:
    """Return three octal digits."""
    if not re.fullmatch(r"[0-7]{3}", text):
        raise Invalid(f"{quoted(text)} is not three octal digits", "write a mode like 660")
    return text

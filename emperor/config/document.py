"""Turns TOML text into values that know their lines. Pure; never raises on any text."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from emperor.config.locate import Lines, locate
from emperor.config.problems import Path, Problem, printable, quoted


class Octal(int):
    """An integer that the file writes as 0o660, not as 432."""


class Document(NamedTuple):
    """One parsed file. `file` is its name for people; `lines` maps paths to lines from 1."""

    file: str
    values: dict[str, object]
    lines: Mapping[Path, int] = {}

    def located(self, path: Path) -> tuple[Path, int]:
        """Return the longest beginning of `path` that has a line, and the line; or ((), 1)."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return path[:length], line
        return (), 1


def read_document(text: str, file: str) -> Document | Problem:
    """Parse `text`; a syntax error becomes a Problem with its line and what to write."""
    if text.startswith("\ufeff"):
        return Problem(
            file=file,
            line=1,
            key="syntax",
            problem="the file begins with a byte order mark",
            remedy="save it as UTF-8 without BOM",
        )
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if _UWSGI.search(text):
            return _unlocated(
                file, "this is a file of uWSGI's, and no TOML", "let its name end with .ini"
            )
        return _syntax_problem(str(error), text.replace("\r\n", "\n"), file)
    except (ValueError, OverflowError):  # int() refuses more than 4,300 digits
        return _unlocated(file, "a number is out of range", "write a smaller one")
    except RecursionError:
        return _unlocated(
            file, "arrays or tables are nested too deep", "write the keys one level below a table"
        )
    if "0o" in text:
        for path in locate(text).octals:
            _mark_octal(values, path)
    return Document(file, values, Lines(text))


def _mark_octal(container: Any, path: Path) -> None:
    for part in path[:-1]:
        container = container[part]
    container[path[-1]] = Octal(container[path[-1]])


def _unlocated(file: str, problem: str, remedy: str) -> Problem:
    return Problem(file=file, line=1, key="syntax", problem=printable(problem), remedy=remedy)


_UWSGI = re.compile(r"^\[uwsgi\][ \t\r]*$", re.MULTILINE)
_WHERE = re.compile(r" \((?:at line (\d+), column (\d+)|at end of document)\)$")
_UNQUOTED = re.compile(r"\s*([\w.-]+)\s*=\s*([^\s\"'\[{#][^#\n]{0,80}?)\s*(?:#|$)")
_COLON = re.compile(r"\s*([\w-]{1,60})\s*:\s*(\S[^\n]{0,80}?)\s*$")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?$")
_BOOLEANS = {
    "true": "true",
    "yes": "true",
    "on": "true",
    "false": "false",
    "no": "false",
    "off": "false",
}


def _syntax_problem(message: str, text: str, file: str) -> Problem:
    lines = text.rstrip("\n").split("\n")
    match = _WHERE.search(message)
    number = int(match.group(1)) if match and match.group(1) else len(lines)
    what = message[: match.start()] if match else message
    line = lines[number - 1] if number <= len(lines) else ""
    problem, remedy = _explained(what, line)
    return Problem(file=file, line=number, key="syntax", problem=printable(problem), remedy=remedy)


def _explained(what: str, line: str) -> tuple[str, str]:
    """Return problem and remedy for a message of tomllib about `line`."""
    if "\r" in line:
        return "lines end with a carriage return only", "save the file with Unix line ends"
    if what.startswith("Cannot overwrite a value"):
        return "this key or table is in the file twice", "keep one of the two"
    if what.startswith("Cannot declare"):
        return "this table is in the file twice", "put its keys under one heading"
    if what.startswith(("Unterminated string", 'Expected "\'"', "Illegal character '\\n'")):
        return "a string has no end", "close it with the quotes that it began with"
    if what.startswith("Expected ']' at the end of a table"):
        return "the heading of a table has no end", "write it as [limits], on a line of its own"
    if what.startswith("Unescaped '\\'"):
        return "a backslash in double quotes", "write \\\\, or put the text in single quotes"
    if what.startswith("Unclosed"):
        return "an array or inline table has no end", "close it with ] or }; } on the same line"
    if what.startswith("Illegal character"):
        return "a control character", "remove it, or write it as \\u000a inside double quotes"
    if line.lstrip().startswith(";"):
        return "';' begins no comment here", "begin comments with #"
    colon = _COLON.match(line)
    if what.startswith("Expected '='") and colon:
        return "':' stands where '=' belongs", f"write {colon.group(1)} = {_toml(colon.group(2))}"
    if what.startswith(("Expected '='", "Invalid statement")):
        return "this line is no key = value", 'write key = "value", or [table], or # a comment'
    unquoted = _UNQUOTED.match(line)
    if unquoted:
        key, value = unquoted.groups()
        meant = _toml(value)
        if meant == value:
            return "an array above this line has no end", "close it with ]"
        return f"{printable(value)} is no TOML value", f"write {key} = {meant}"
    if what.startswith("Expected newline"):
        return "there is more on this line after the value", "put one key = value on each line"
    if what.startswith("Invalid value"):
        return "there is no value here", 'write text as "text", numbers as 30, lists as ["a", "b"]'
    return what, 'write key = "value", or [table], or # a comment'


def _toml(value: str) -> str:
    """Return what was probably meant by `value`, as TOML."""
    value = value.rstrip(",; ")
    if value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    if _NUMBER.match(value):
        # 0660 is no TOML integer, "0660" is text.
        return value if value == "0" or not value.startswith("0") else quoted(value)
    if value.startswith(("[", "{", '"', "'")):
        return printable(value)
    return quoted(value)

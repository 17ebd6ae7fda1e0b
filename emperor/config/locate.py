"""Finds the line of every key in a TOML text, which tomllib does not tell. Pure.

The text has passed tomllib before, so this scanner only has to recognise where keys,
strings and brackets begin and end. Should it meet something else it stops, and what
it has found so far is still right.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property

from emperor.config.problems import Path

DEPTH_MAX = 8
"""No key of ours is deeper; without a bound a key of 30,000 dots takes gigabytes."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACES = re.compile(r"[ \t]*")
_KEY_PART = re.compile(r"""[ \t]*("(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^\s,\]}#=\[{\"']+(?: \d[^\s,\]}#]*)?")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


class _LostError(Exception):
    """The text is not what the scanner expects."""


class Places:
    """Where the keys of one text are.

    `lines` maps paths to line numbers from 1; `octals` are the paths of integers
    written as 0o….
    """

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.octals: set[Path] = set()


def locate(text: str) -> Places:
    """Return the places of all keys and array elements of a TOML text."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    try:
        scanner.run()
    except (_LostError, RecursionError):
        pass
    return scanner.places


class Lines(Mapping[Path, int]):
    """The lines of a text's keys. They are looked for when the first one is asked for: of ten
    thousand files that an emperor reads at its start, few have a problem to be located."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _found(self) -> dict[Path, int]:
        return locate(self._text).lines

    def __getitem__(self, path: Path) -> int:
        return self._found[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.places = Places()
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.array_sizes: dict[Path, int] = {}

    def run(self) -> None:
        table: Path = ()
        position = self._blank(0)
        while position < len(self.text):
            if self.text[position] == "[":
                table, position = self._header(position)
            else:
                position = self._pair(position, table)
            position = self._blank(position)

    def _blank(self, position: int) -> int:
        match = _BLANK.match(self.text, position)
        return match.end() if match else position

    def _record(self, path: Path, position: int) -> None:
        if len(path) <= DEPTH_MAX:
            self.places.lines.setdefault(path, bisect_right(self.line_starts, position))

    def _header(self, start: int) -> tuple[Path, int]:
        """Read `[table]` or `[[array of tables]]`; return the path of what follows."""
        brackets = 2 if self.text.startswith("[[", start) else 1
        names, position = self._key(start + brackets)
        path: Path = ()
        for name in names[:-1]:
            path = self._entered((*path, name))
            self._record(path, start)
        path = (*path, names[-1])
        self._record(path, start)
        if brackets == 2:
            index = self.array_sizes.get(path, 0)
            self.array_sizes[path] = index + 1
            path = (*path, index)
            self._record(path, start)
        return path, position + brackets

    def _entered(self, path: Path) -> Path:
        """Return the path that `[a.b]` means where `a` may be an array of tables: its last."""
        size = self.array_sizes.get(path)
        return (*path, size - 1) if size else path

    def _key(self, position: int) -> tuple[list[str], int]:
        names: list[str] = []
        while True:
            match = _KEY_PART.match(self.text, position)
            if match is None:
                raise _LostError
            if len(names) <= DEPTH_MAX:
                names.append(_unquoted(match.group(1)))
            position = match.end()
            if not self.text.startswith(".", position):
                return names, position
            position += 1

    def _pair(self, start: int, table: Path) -> int:
        names, position = self._key(start)
        path = table
        for name in names:
            path = (*path, name)
            self._record(path, start)
        if not self.text.startswith("=", position):
            raise _LostError
        return self._value(position + 1, path)

    def _value(self, position: int, path: Path) -> int:
        """Pass over one value; return the position after it."""
        spaces = _SPACES.match(self.text, position)
        position = spaces.end() if spaces else position
        opening = self.text[position : position + 1]
        if opening == "[":
            return self._container(position, path, "]")
        if opening == "{":
            return self._container(position, path, "}")
        if opening in ('"', "'"):
            match = _STRING.match(self.text, position)
        else:
            match = _BARE.match(self.text, position)
            if match and match.group().startswith("0o") and len(path) <= DEPTH_MAX:
                self.places.octals.add(path)
        if match is None:
            raise _LostError
        return match.end()

    def _container(self, position: int, path: Path, closing: str) -> int:
        position = self._blank(position + 1)
        index = 0
        while not self.text.startswith(closing, position):
            if closing == "]":
                element = (*path, index) if len(path) <= DEPTH_MAX else path
                self._record(element, position)
                position = self._value(position, element)
                index += 1
            else:
                position = self._pair(position, path)
            position = self._blank(position)
            if self.text.startswith(",", position):
                position = self._blank(position + 1)
            elif not self.text.startswith(closing, position):
                raise _LostError
        return position + 1


def _unquoted(part: str) -> str:
    if part.startswith("'"):
        return part[1:-1]
    if part.startswith('"'):
        return _ESCAPE.sub(_unescaped, part[1:-1])
    return part


def _unescaped(match: "re.Match[str]") -> str:
    code = match.group(1) or match.group(2)
    if code:
        return chr(int(code, 16))
    return _ESCAPED.get(match.group(3), match.group(3))

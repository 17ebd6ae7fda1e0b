"""The options of all files in their order: a list that grows while files are read. Pure."""

from collections.abc import Container

from emperor.uwsgi.octets import outer
from emperor.uwsgi.option import Option

OPTIONS_MAX = 10_000
BYTES_MAX = 4 * 1024 * 1024
"""Of all values together: honest files have some kilobytes."""


class Entry:
    """One option. `done`: it has acted already, and is not expanded; `doubt` is what is to be
    said of one that names something that is not there."""

    __slots__ = ("done", "doubt", "file", "line", "name", "only_placeholder", "value")

    def __init__(self, name: str, value: str, file: str, line: int) -> None:
        self.name = name
        self.value = value
        self.file = file
        self.line = line
        self.done = False
        self.only_placeholder = False
        self.doubt = ""


class Collected:
    """Text in it is byte by byte; what is returned of it as options is not."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._first: dict[str, Entry] = {}
        self._bytes = 0

    def add(self, entry: Entry) -> None:
        """Put an entry behind all others."""
        self.entries.append(entry)
        self._first.setdefault(entry.name, entry)

    def is_full(self) -> bool:
        """Return whether there are as many options as are allowed."""
        return len(self.entries) >= OPTIONS_MAX

    def grow(self, size: int) -> bool:
        """Count bytes of names and values; return whether all are still as many as allowed."""
        self._bytes += size
        return self._bytes <= BYTES_MAX

    def value_of(self, name: str) -> str | None:
        """Return the value of the first of its name, as it is by now."""
        entry = self._first.get(name)
        return None if entry is None else entry.value

    def options(self) -> list[Option]:
        """Return everything, placeholders too."""
        return [
            Option(outer(entry.name), outer(entry.value), entry.file, entry.line)
            for entry in self.entries
        ]

    def applied(self, known: Container[str], referred: Container[str]) -> list[tuple[Option, str]]:
        """Return what uWSGI applies, each with its doubt: options that it knows, and others that
        are no placeholders; those `referred` to are."""
        return [
            (option, entry.doubt)
            for option, entry in zip(self.options(), self.entries, strict=True)
            if entry.name in known or not (entry.only_placeholder or entry.name in referred)
        ]

"""Reads a document by a table of keys: every value parsed, every problem found. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from emperor.config.document import Document
from emperor.config.key import Key
from emperor.config.problems import (
    PROBLEMS_MAX,
    Invalid,
    Path,
    Problem,
    described,
    dotted,
)
from emperor.config.suggest import remedy_for


class Layers(NamedTuple):
    """A document and what is merged under it."""

    own: Document
    defaults: Document

    def origin(self, path: Path) -> tuple[str, int, Path]:
        """Return file, line and located path of a value: the layer that says it wins."""
        own, own_line = self.own.located(path)
        inherited, inherited_line = self.defaults.located(path)
        if len(inherited) > len(own):
            return self.defaults.file, inherited_line, inherited
        return self.own.file, own_line, own


class Reading:
    """The values that were read, by dotted name, and the problems that were met."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.values: dict[str, object] = {}
        self.problems: list[Problem] = []
        self.failed: set[str] = set()

    def blamed(self, *names: str) -> Path:
        """Return the path of the first of `names` that the file itself says.

        Two values contradict one another: the author of this file can change his own.
        """
        paths = [tuple(name.split(".")) for name in names]
        return next((path for path in paths if self._says(path)), paths[0])

    def _says(self, path: tuple[str, ...]) -> bool:
        container: object = self.layers.own.values
        for part in path:
            if not isinstance(container, dict) or part not in container:
                return False
            container = container[part]
        return True

    def report(self, path: Path, problem: str, remedy: str) -> None:
        """Add a problem at the place that `path` has in its file."""
        if len(self.problems) > PROBLEMS_MAX:
            return
        file, line, located = self.layers.origin(path)
        if len(self.problems) == PROBLEMS_MAX:
            problem, remedy = "there are more problems", "correct those above first"
        key = dotted(located or path)
        self.problems.append(Problem(file=file, line=line, key=key, problem=problem, remedy=remedy))


def merged(own: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """Return `own` with what only `defaults` say; tables are merged key by key."""
    result = {**defaults, **own}
    for name, content in own.items():
        below = defaults.get(name)
        if isinstance(content, dict) and isinstance(below, dict):
            result[name] = {**below, **content}
    return result


def read_table(
    layers: Layers, keys: Mapping[str, Key], elsewhere: Mapping[str, str] = MappingProxyType({})
) -> Reading:
    """Parse all values of both layers; unknown keys are problems.

    `elsewhere` tells of keys of other files what to do with them.
    """
    reading = Reading(layers)
    for name, value in merged(layers.own.values, layers.defaults.values).items():
        # A quoted "log.keep" must not pass for the key keep of table log.
        if name in keys and "." not in name:
            _read_value(reading, keys[name], (name,), value)
        elif not _is_section(name, keys):
            if name in elsewhere:
                reading.report((name,), "this file has no such key", elsewhere[name])
            else:
                _report_unknown(reading, (name,), keys)
        elif not isinstance(value, dict):
            remedy = f"write [{name}] on a line of its own, and its keys below"
            if name == "socket":
                remedy = "write listen for addresses; [socket] has user, group and mode"
            reading.report((name,), f"{described(value)} is not a table", remedy)
        else:
            _read_section(reading, name, value, keys)
    return reading


def _is_section(name: str, keys: Mapping[str, Key]) -> bool:
    return any(key.rpartition(".")[0] == name for key in keys if key.startswith(name))


def _read_section(
    reading: Reading, section: str, values: dict[str, object], keys: Mapping[str, Key]
) -> None:
    for name, value in values.items():
        key = keys.get(f"{section}.{name}")
        if key is None or "." in name:
            _report_unknown(reading, (section, name), keys)
        else:
            _read_value(reading, key, (section, name), value)


def _read_value(reading: Reading, key: Key, path: Path, value: object) -> None:
    try:
        reading.values[key.name] = key.parse(value)
    except Invalid as error:
        reading.failed.add(key.name)
        for fault in error.faults:
            reading.report((*path, *fault.path), fault.problem, fault.remedy)


def _report_unknown(reading: Reading, path: tuple[str, ...], keys: Mapping[str, Key]) -> None:
    # Comparing with every key costs time: in a file of nothing but typos a few are enough.
    compare = len(reading.problems) < PROBLEMS_MAX
    section = path[0] if len(path) == 2 else ""
    reading.report(path, *remedy_for(path[-1], section, keys, compare))

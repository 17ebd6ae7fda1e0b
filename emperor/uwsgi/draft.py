"""The settings that are being made of a uWSGI file, and what became of each option. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from emperor.config.document import Document
from emperor.config.keys import VASSAL_KEYS
from emperor.config.problems import Invalid, Path, Problem
from emperor.uwsgi.native import toml_key, toml_value
from emperor.uwsgi.option import Option
from emperor.uwsgi.rows import Support
from emperor.uwsgi.table import KNOWN
from emperor.uwsgi.values import NUMBER_MAX, atoi, truth, whole, why_taken

_T = TypeVar("_T")
SHOWN_MAX = 160


class Verdict(NamedTuple):
    """What became of one option: the settings it led to, or why it led to none."""

    option: Option
    verdict: Support
    text: str


class Taken(NamedTuple):
    """An option that has a rule, and its place among all of them."""

    place: int
    option: Option

    @property
    def name(self) -> str:
        return self.option.name

    @property
    def value(self) -> str:
        return self.option.value


class Draft:
    """Collects settings, problems and remarks.

    `file` is the vassal's own: an option that another file says has no line in the document.
    `asked` are the names of all options that some rule has looked for; `sources` tells which option
    gave a key, the first of several. In a strict file a name
    that uWSGI does not have is a problem.
    """

    def __init__(self, options: Sequence[Option], file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.asked: set[str] = set()
        self.is_strict = False
        self._options = options
        self._by_name: dict[str, list[Taken]] = {}
        self._values: dict[str, object] = {}
        self._lines: dict[Path, int] = {}
        self.sources: dict[Path, Option] = {}
        self._remarks: dict[int, tuple[Support, str]] = {}
        self._doubts: dict[int, str] = {}
        for place, option in enumerate(options):
            taken = Taken(place, option)
            if _is_unicode(option.value):
                self._by_name.setdefault(option.name, []).append(taken)
            elif option.name in KNOWN:
                self.wrong(taken, "its value is not UTF-8", "save the file that has it as UTF-8")

    def document(self) -> Document:
        """Return what was put so far."""
        return Document(self.file, self._values, self._lines)

    def all(self, *names: str) -> list[Taken]:
        """Return the options of these names, in their order."""
        self.asked.update(names)
        return sorted(taken for name in names for taken in self._by_name.get(name, ()))

    def last(self, *names: str) -> Taken | None:
        """Return the last option of these names, which counts; the others are remarked upon."""
        found = self.all(*names)
        for taken in found[:-1]:
            self.overruled(taken, found[-1])
        return found[-1] if found else None

    def overruled(self, taken: Taken, by: Taken) -> None:
        """Note that another option counts instead."""
        self.remark(
            taken, Support.IGNORED, f"{by.name} in line {by.option.line} counts instead of it"
        )

    def is_on(self, *names: str) -> bool:
        """Return whether the last option of these names is a flag that is on."""
        taken = self.last(*names)
        return taken is not None and truth(taken.value)

    def read(self, taken: Taken | None, parse: Callable[[str], _T]) -> _T | None:
        """Return the parsed value; None = there is no option, or its value is wrong."""
        if taken is None:
            return None
        try:
            return parse(taken.value)
        except Invalid as error:
            self.wrong(taken, error.faults[0].problem, error.faults[0].remedy)
            return None

    def number(self, taken: Taken | None, least: int = 0, most: int = NUMBER_MAX) -> int | None:
        """Return what atoi() makes of the value, and say so if it is none, or beyond the bounds.

        None as for `read`: below 0 is wrong, where `least` is not.
        """
        found = self.read(taken, whole if least >= 0 else atoi)
        if taken is None or found is None:
            return None
        number = min(max(found, least), most)
        why = why_taken(taken.value, number)
        if why:
            self.doubt(taken, why)
        return number

    def wrong(self, taken: Taken, problem: str, remedy: str) -> None:
        """Add a problem of one option."""
        self.remark(taken, Support.UNSUPPORTED, f"{problem}; {remedy}")
        option = taken.option
        self.problems.append(
            Problem(
                file=option.file,
                line=option.line,
                key=option.name,
                problem=problem,
                remedy=remedy,
            )
        )

    def lacks(self, key: str, problem: str, remedy: str) -> None:
        """Add a problem of the whole file: something is not in it."""
        self.problems.append(
            Problem(file=self.file, line=1, key=key, problem=problem, remedy=remedy)
        )

    def remark(self, taken: Taken, support: Support, text: str) -> None:
        """Say what became of an option, in place of what the table says."""
        self._remarks[taken.place] = (support, text)

    def doubt(self, taken: Taken, text: str) -> None:
        """Say that something else was taken than is written, whatever becomes of it."""
        self._doubts[taken.place] = text

    def verdict_of(self, place: int) -> tuple[Support, str] | None:
        """Return what was said of an option."""
        said, doubt = self._remarks.get(place), self._doubts.get(place)
        if doubt is None:
            return said
        return Support.UNSUPPORTED, f"{said[1]}; {doubt}" if said else doubt

    def put(self, key: str, value: object, *sources: Taken) -> None:
        """Set `key`, by its dotted name, because of `sources`; check it as our own loader does.

        The elements of a list are of the sources at their places, if these are as many.
        """
        parts = dict(enumerate(sources)) if _length(value) == len(sources) else {}
        self._store(key, value, sources, parts)

    def put_table(self, key: str, entries: Mapping[str, tuple[object, Taken]]) -> None:
        """Set a table of which each entry is due to an option of its own."""
        value = {name: part for name, (part, _) in entries.items()}
        parts = {name: taken for name, (_, taken) in entries.items()}
        self._store(key, value, tuple(parts.values()), parts)

    def _store(
        self, key: str, value: Any, sources: Sequence[Taken], parts: Mapping[Any, Taken]
    ) -> None:
        try:
            _check(key, value)
        except Invalid as error:
            for fault in error.faults:
                blamed = parts.get(fault.path[0]) if fault.path else None
                if sources:
                    self.wrong(blamed or sources[-1], fault.problem, fault.remedy)
                else:
                    self.lacks(key, fault.problem, fault.remedy)
            return
        path = tuple(key.split("."))
        container: Any = self._values
        for name in path[:-1]:
            container = container.setdefault(name, {})
        container[path[-1]] = value
        for taken in sources:
            self._locate(path, taken)
            if not parts:
                self._note(f"{key} = {toml_value(value)}", taken)
        for part, taken in parts.items():
            self._locate((*path, part), taken)
            shown = f".{toml_key(part)} =" if isinstance(part, str) else " has"
            self._note(f"{key}{shown} {toml_value(value[part])}", taken)

    def _locate(self, path: Path, taken: Taken) -> None:
        self.sources.setdefault(path, taken.option)
        if taken.option.file == self.file:
            self._lines[path] = taken.option.line

    def _note(self, text: str, taken: Taken) -> None:
        text = text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"
        before = self._remarks.get(taken.place)
        said = f"{before[1]}; " if before and before[0] is Support.SUPPORTED else ""
        self._remarks[taken.place] = (Support.SUPPORTED, said + text)


def _is_unicode(text: str) -> bool:
    """Return whether text is whole: bytes that are not UTF-8 were escaped by the reader."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else -1


def _check(key: str, value: object) -> None:
    """Raise Invalid for a value that our own loader would refuse."""
    VASSAL_KEYS[key].parse(value)

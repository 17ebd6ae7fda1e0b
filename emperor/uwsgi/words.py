"""Takes the words of uWSGI's command line apart, as getopt_long(3) does it. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emperor.config.problems import PROBLEMS_MAX, Problem, printable
from emperor.uwsgi.immediate import dialect_of
from emperor.uwsgi.rows import Known
from emperor.uwsgi.suggestions import meant_by

COMMAND_LINE = "command line"
BARE = "true"
"""The value of an option without one, as uWSGI shows it."""

_NAMED_MAX = 5


class Words(NamedTuple):
    """A command line taken apart: options in their order, and what is wrong."""

    options: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]


def take_apart(words: Sequence[str], known: Mapping[str, Known]) -> Words:
    """Return the options of a command line; files that no option names come last."""
    return _Taking(words, known).all()


class _Taking:
    def __init__(self, words: Sequence[str], known: Mapping[str, Known]) -> None:
        self._left = list(words)
        self._known = known
        self._shorts = {each.short: each for each in known.values() if each.short}
        self._options: list[tuple[str, str]] = []
        self._problems: list[Problem] = []

    def all(self) -> Words:
        files: list[str] = []
        while self._left:
            word = self._left.pop(0)
            if word == "--":
                files += self._left
                break
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and len(word) > 1:
                self._shorts_of(word)
            else:
                files.append(word)
        for file in files:
            self._file(file)
        return Words(tuple(self._options), tuple(self._problems[:PROBLEMS_MAX]))

    def _long(self, word: str) -> None:
        name, equal, value = word[2:].partition("=")
        option = self._known.get(name) or self._abbreviated(name)
        if option is None:
            if self._left and not self._left[0].startswith("-") and not dialect_of(self._left[0]):
                self._left.pop(0)  # its value: one complaint is enough
        elif equal and not option.argument:
            self._wrong(f"--{name}", "takes no value", f"write --{name}, or leave it out")
        elif equal:
            self._options.append((option.name, value))
        else:
            self._with_value(option, f"--{name}", "")

    def _abbreviated(self, name: str) -> Known | None:
        """Return the one option that begins so; report it if there is none, or are several."""
        found = [each for each in self._known.values() if name and each.name.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(f"--{each.name}" for each in found[:_NAMED_MAX])
            more = ", …" if len(found) > _NAMED_MAX else ""
            self._wrong(f"--{name}", "is the beginning of several options", f"write {names}{more}")
        else:
            self._unknown(f"--{name}", name)
        return None

    def _shorts_of(self, word: str) -> None:
        """Take several letters behind one dash; the rest behind one with a value is that."""
        for place, letter in enumerate(word[1:], 1):
            option = self._shorts.get(letter)
            if option is None:
                self._unknown(f"-{letter}", word[1:])
                return
            if option.argument:
                self._with_value(option, f"-{letter}", word[place + 1 :])
                return
            self._options.append((option.name, BARE))

    def _with_value(self, option: Known, written: str, rest: str) -> None:
        if option.argument != "=" or rest:
            self._options.append((option.name, rest or BARE))
        elif self._left:
            self._options.append((option.name, self._left.pop(0)))
        else:
            self._wrong(written, "needs a value", f"write {written} VALUE")

    def _file(self, word: str) -> None:
        dialect = dialect_of(word)
        if dialect is not None:
            self._options.append((dialect, word))
        else:
            remedy = "name it by its option: --ini FILE, --wsgi-file FILE, --module MODULE"
            self._wrong(word, "is no configuration file", remedy)

    def _unknown(self, written: str, name: str) -> None:
        meant = meant_by(name, self._known)
        remedy = f"did you mean --{meant}?" if meant else "remove it"
        self._wrong(written, "is no option of uWSGI", remedy)

    def _wrong(self, key: str, problem: str, remedy: str) -> None:
        self._problems.append(on_command_line(key, problem, remedy))


def on_command_line(key: str, problem: str, remedy: str) -> Problem:
    """Return a problem of a word of the command line."""
    key = printable(key)
    return Problem(file=COMMAND_LINE, line=1, key=key, problem=problem, remedy=remedy)

"""From a file in uWSGI's dialect to the options that uWSGI would apply, in their order.

Pure, but for what `Host` answers. As uWSGI: one table of options that grows while files are
read; what is immediate acts while it is read, and is never expanded; what `inherit` names
is read last of all, and is not expanded either. Inside, all text is byte by byte.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import NamedTuple

from emperor.config.problems import PROBLEMS_MAX, Problem, printable, quoted
from emperor.uwsgi.collected import Collected, Entry
from emperor.uwsgi.environment import ENVIRONMENT
from emperor.uwsgi.expand import TooMuchError, computed, expand
from emperor.uwsgi.from_ini import is_empty_ini
from emperor.uwsgi.from_text import BEGIN_WITH, SECTION, read_text
from emperor.uwsgi.host import Facts, Host, absolute
from emperor.uwsgi.immediate import ENDS, IMMEDIATE, LOADERS, PLACEHOLDERS, dialect_of
from emperor.uwsgi.logic import Logic, Surroundings, is_logic
from emperor.uwsgi.magic import OF_FIRST, of_file, of_machine, substitute
from emperor.uwsgi.octets import inner, outer
from emperor.uwsgi.option import Option, Unreadable, Written

FILES_MAX = 64
DEPTH_MAX = 16


class Loaded(NamedTuple):
    """What was read. `files` are all that were asked for, absolute; they count for watching.

    `options` are what uWSGI applies, `everything` what it lists: placeholders too, which
    are set by set-ph, or only referred to. `doubts` are what is to be said of options that
    name something that is not there, by their places.
    """

    options: tuple[Option, ...]
    problems: tuple[Problem, ...]
    files: tuple[str, ...]
    everything: tuple[Option, ...]
    doubts: Mapping[int, str] = {}


class _StopError(Exception):
    """It makes no sense to read on; what is wrong was noted."""


def load(
    file: str,
    host: Host,
    facts: Facts,
    known: Container[str],
    before: Iterable[tuple[str, str]] = (),
    after: Iterable[tuple[str, str]] = (),
) -> Loaded:
    """Return the options of `file`: a path with its suffix, absolute or from `facts.cwd`.

    `before` and `after` are options that the emperor puts around it (vassals-inherit and the
    like); `known` are the names of all of uWSGI's options. Never raises.
    """
    reading = _Reading(host, facts, known)

    def begin() -> None:
        reading.add_all(before, "emperor")
        reading.load_file(inner(file), dialect_of(file) or "ini", None)
        reading.add_all(after, "emperor")

    return reading.finished(begin)


def load_command(
    options: Iterable[tuple[str, str]],
    host: Host,
    facts: Facts,
    known: Container[str],
    before: Iterable[tuple[str, str]] = (),
) -> Loaded:
    """Return the options of a command line, with those of all files in it. `before` are those
    of the environment. Never raises."""
    reading = _Reading(host, facts, known)

    def begin() -> None:
        reading.add_all(before, ENVIRONMENT)
        reading.add_all(options, "command line")

    return reading.finished(begin)


class _Reading:
    def __init__(self, host: Host, facts: Facts, known: Container[str]) -> None:
        self._host = host
        self._facts = facts
        self._known = known
        self._collected = Collected()
        self._problems: list[Problem] = []
        self._at = Entry("", "", "", 1)
        self._files: list[str] = []
        self._depth = 0
        self._sets = 0
        self._magic = of_machine(facts)
        self._last_name = ""
        self._logic: Logic | None = None
        self._running = False
        self._strict = False
        self._forbidden: frozenset[str] = frozenset()
        self._allowed: frozenset[str] | None = None
        self._referred: set[str] = set()
        self._about = Surroundings(host, facts, self._collected.value_of)

    def finished(self, begin: Callable[[], None]) -> Loaded:
        """Read what `begin` reads, do all that comes after, and return what there is then."""
        try:
            begin()
            self._expand_all()
            self._inherit_all()
        except _StopError:
            pass
        return self._loaded()

    def add_all(self, options: Iterable[tuple[str, str]], source: str) -> None:
        """Enter options that no file has; `source` says where they come from."""
        for name, value in options:
            self.add(inner(name), inner(value), source, 1)

    # ── the table ────────────────────────────────────────────────────────────────────

    def add(self, name: str, value: str, file: str, line: int) -> None:
        """Enter an option, as often as the condition or loop around it says."""
        if name in self._forbidden or (self._allowed is not None and name not in self._allowed):
            self._note(file, line, name, "is forbidden by a blacklist or whitelist", "remove it")
            raise _StopError
        if self._running:
            self._enter(name, value, file, line)
            return
        if name in ENDS:
            self._logic = None
        if self._logic is None:
            self._enter(name, value, file, line)
            return
        self._running = True
        try:
            for each in self._logic.values(value, self._about):
                self._enter(name, each, file, line)
        finally:
            self._running = False

    def _enter(self, name: str, value: str, file: str, line: int) -> None:
        if not self._collected.grow(len(name) + len(value)) or self._collected.is_full():
            self._note(file, line, name, "there are too many options", "write fewer")
            raise _StopError
        entry = Entry(name, value, file, line)
        self._collected.add(entry)
        if is_logic(name):
            self._begin_logic(entry)
        elif name in IMMEDIATE:
            entry.done = True
            self._act(entry)
        elif self._strict and name not in self._known:
            self._note(
                file, line, name, "is no option of uWSGI, and strict is on", "remove one of them"
            )

    def _begin_logic(self, entry: Entry) -> None:
        entry.done = True
        if self._logic is not None:
            self._note(
                entry.file,
                entry.line,
                entry.name,
                f"stands inside {self._logic.name}",
                "end the one before: there is no nesting",
            )
            raise _StopError
        self._logic = Logic(entry.name, entry.value)

    def _act(self, entry: Entry) -> None:
        name, value = entry.name, entry.value
        if name in LOADERS:
            self.load_file(value, LOADERS[name], entry)
        elif name == "include":
            self._include(entry)
        elif name in PLACEHOLDERS:
            self._set(entry)
        elif name == "strict":
            self._strict = True
        elif name in ("blacklist", "whitelist"):
            words = frozenset(word for word in value.split(" ") if word)
            if name == "blacklist":
                self._forbidden = words
            else:
                # Else nothing could end it.
                self._allowed = words | {"end-whitelist"}
        elif name == "end-blacklist":
            self._forbidden = frozenset()
        elif name == "end-whitelist":
            self._allowed = None
        elif name == "exit":
            self._note(entry.file, entry.line, name, "ends the vassal here", "remove the file")
            raise _StopError

    def _set(self, entry: Entry) -> None:
        key, equal, value = entry.value.partition("=")
        if not equal:
            self._note(
                entry.file, entry.line, entry.name, "has no =", f"write {entry.name} = NAME=VALUE"
            )
            return
        if entry.name == "set":
            self._set_option(entry, key, value)
            return
        if key in self._known:
            self._note(
                entry.file, entry.line, entry.name, f"{quoted(key)} is an option", "use another"
            )
            return
        # Not through `add`: a placeholder acts on nothing.
        placeholder = Entry(key, value, entry.file, entry.line)
        placeholder.done = placeholder.only_placeholder = True
        self._collected.add(placeholder)

    def _set_option(self, entry: Entry, key: str, value: str) -> None:
        if self._sets >= DEPTH_MAX:
            self._note(entry.file, entry.line, "set", "stands in too many others", "set it at once")
            raise _StopError
        self._sets += 1
        try:
            self.add(key, value, entry.file, entry.line)
        finally:
            self._sets -= 1

    # ── files ────────────────────────────────────────────────────────────────────────

    def _include(self, entry: Entry) -> None:
        dialect = dialect_of(entry.value)
        # "x.ini:section" has no suffix: uWSGI knows it by no loader, and gives up.
        if dialect is None:
            self._note(
                entry.file,
                entry.line,
                entry.name,
                f"{quoted(outer(entry.value))} has no suffix of a configuration file",
                "name a file that ends in .ini, .yaml, .json or .xml",
            )
            raise _StopError
        self.load_file(entry.value, dialect, entry)

    def load_file(self, name: str, dialect: str, asked_by: Entry | None) -> None:
        """Enter all options of a file, named as uWSGI names it: PATH or PATH:SECTION."""
        file, line = (asked_by.file, asked_by.line) if asked_by else (outer(name), 1)
        key = asked_by.name if asked_by else "file"
        if self._depth >= DEPTH_MAX or len(self._files) >= FILES_MAX:
            self._note(file, line, key, "too many files include one another", "remove a circle")
            raise _StopError
        path, section = self._located(name)
        self._files.append(path)
        data = self._host.read(path)
        if data is None:
            self._note(
                file,
                line,
                key,
                f"{printable(path)} cannot be read by the owner of this file, or does not exist",
                "correct the path, or its permissions",
            )
            raise _StopError
        self._fill_magic(name, path, section)
        text = substitute(data.decode("latin-1"), self._magic)
        self._depth += 1
        try:
            for written in self._parsed(text, dialect, section, path, asked_by):
                self.add(written.name, written.value, path, written.line)
        finally:
            self._depth -= 1

    def _located(self, name: str) -> tuple[str, str]:
        """Return the absolute path and the section, "" for the usual one."""
        path, _, section = name.rpartition(":") if ":" in name else (name, "", "")
        path = path or self._last_name
        self._last_name = path
        return absolute(outer(path), self._facts.cwd), section

    def _fill_magic(self, name: str, path: str, section: str) -> None:
        real, inode = self._host.real_path(path)
        own = of_file(name.rpartition(":")[0] or name, inner(real), inode)
        own["o"], own["x"] = name, section
        self._magic |= own
        for first, mine in OF_FIRST.items():
            self._magic.setdefault(first, own[mine])

    def _parsed(
        self, text: str, dialect: str, section: str, path: str, asked_by: Entry | None
    ) -> list[Written]:
        try:
            found = read_text(text, dialect, section)
        except Unreadable as error:
            self._note(path, error.line, "syntax", error.problem, error.remedy)
            raise _StopError from None
        if found is None and asked_by is not None and dialect == "ini" and is_empty_ini(text):
            return []  # such files are there to be filled
        if found is None:
            problem = f"there is no section {quoted(outer(section or SECTION))}"
            if asked_by is not None and dialect == "ini" and asked_by.file not in _LINES:
                # uWSGI warns, and goes on.
                asked_by.doubt = f"{problem} in {printable(path)}: nothing is read of it"
            else:
                self._note(path, 1, "syntax", problem, BEGIN_WITH[dialect])
            return []
        return found

    # ── after everything was read ────────────────────────────────────────────────────

    def _expand_all(self) -> None:
        """Replace references in all values that have not acted yet: three passes."""
        hooks: tuple[tuple[str, Callable[[str], str | None]], ...] = (
            ("$", self._of_environment),
            ("@", self._of_file),
            ("%", self._of_option),
        )
        for symbol, hook in hooks:
            for entry in self._collected.entries:
                if not entry.done and symbol in entry.value:
                    self._expand(entry, symbol, hook)

    def _expand(self, entry: Entry, symbol: str, hook: Callable[[str], str | None]) -> None:
        self._at = entry
        try:
            entry.value = expand(entry.value, symbol, hook)
        except TooMuchError as error:
            self._note(entry.file, entry.line, entry.name, str(error), "write what is meant")
            raise _StopError from None
        if not self._collected.grow(len(entry.value)):
            self._note(entry.file, entry.line, entry.name, "the values are too long", "shorten")
            raise _StopError

    def _of_environment(self, key: str) -> str | None:
        value = self._facts.environ.get(outer(key))
        return None if value is None else inner(value)

    def _of_file(self, key: str) -> str | None:
        scheme, is_url, _ = outer(key).partition("://")
        if is_url and "/" not in scheme:
            at = self._at
            problem = f"{quoted(outer(key))} is no file: nothing is run or fetched to read a file"
            self._note(at.file, at.line, at.name, problem, "write what it would give")
            raise _StopError
        path = absolute(outer(key), self._facts.cwd)
        self._files.append(path)
        data = self._host.read(path)
        if data is None:
            self._note(
                path, 1, "file", "is named in @(…) and cannot be read", "correct path or rights"
            )
            raise _StopError
        text = data.decode("latin-1").split("\0")[0]
        return text[:-1] if text.endswith(("\n", "\r")) else text

    def _of_option(self, key: str) -> str | None:
        self._referred.update(key.split(" "))
        return computed(key, self._collected.value_of)

    def _inherit_all(self) -> None:
        """Read what `inherit` names, now that all else is known."""
        at = 0
        while at < len(self._collected.entries):
            entry = self._collected.entries[at]
            at += 1
            if entry.name == "inherit" and not entry.done:
                entry.done = True
                self._include(entry)

    def _loaded(self) -> Loaded:
        """Return what there is by now."""
        applied = self._collected.applied(self._known, self._referred)
        return Loaded(
            tuple(option for option, _ in applied),
            tuple(self._problems),
            tuple(dict.fromkeys(self._files)),
            tuple(self._collected.options()),
            {place: doubt for place, (_, doubt) in enumerate(applied) if doubt},
        )

    def _note(self, file: str, line: int, key: str, problem: str, remedy: str) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            shown = printable(outer(key))[:60]
            self._problems.append(
                Problem(file=file, line=line, key=shown, problem=problem, remedy=remedy)
            )


_LINES = ("command line", ENVIRONMENT)
"""What is no file: who starts a program sees at once what it says."""

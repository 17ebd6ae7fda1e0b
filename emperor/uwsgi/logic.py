"""Conditions and loops over options: if-env, for-glob, … Pure, but for what `Host` answers.

A condition or loop is about every option behind it, up to `end`. All text is byte by byte.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from emperor.uwsgi.host import Facts, Host, Kind, absolute
from emperor.uwsgi.octets import inner, outer

PLUGINS = frozenset(
    {"python", "http", "corerouter", "fastrouter", "cheaper_busyness", "ping", "rpc"}
    | {"logfile", "logsocket", "rsyslog", "syslog", "signal", "cache", "gevent", "spooler"}
)
"""What uWSGI has of itself where it is installed for Python."""

LINE_BYTES = 1023
SAME = {
    "ifenv": "if-env",
    "ifexists": "if-exists",
    "ifplugin": "if-plugin",
    "ifdir": "if-dir",
    "if-directory": "if-dir",
}
"""Other names of the same."""


class Surroundings(NamedTuple):
    """What a condition can ask about. `option` gives an option's first value."""

    host: Host
    facts: Facts
    option: Callable[[str], str | None]


Test = Callable[[str, Surroundings], bool]
Loop = Callable[[str, Surroundings], Iterable[str]]


def _env(name: str, about: Surroundings) -> str | None:
    value = about.facts.environ.get(outer(name))
    return None if value is None else inner(value)


def _has(found: Callable[[str, Surroundings], str | None]) -> Test:
    """Return a test for NAME or NAME=VALUE."""

    def test(argument: str, about: Surroundings) -> bool:
        name, equal, value = argument.partition("=")
        there = found(name, about)
        return there is not None and (not equal or there == value)

    return test


def _kind(argument: str, about: Surroundings) -> Kind:
    return about.host.kind(absolute(outer(argument), about.facts.cwd))


def _matches(argument: str, about: Surroundings) -> bool:
    try:
        return re.search(argument, about.facts.hostname) is not None
    except (re.error, RecursionError):
        return False


TESTS: dict[str, Test] = {
    "env": _has(_env),
    "opt": _has(lambda name, about: about.option(name)),
    "reload": lambda argument, about: False,
    "hostname": lambda argument, about: outer(argument) == about.facts.hostname,
    "hostname-match": _matches,
    "exists": lambda argument, about: _kind(argument, about) is not Kind.NOTHING,
    "file": lambda argument, about: _kind(argument, about) is Kind.FILE,
    "dir": lambda argument, about: _kind(argument, about) is Kind.FOLDER,
    "plugin": lambda argument, about: re.sub(r"[\d.]+$", "", argument) in PLUGINS,
}


def _glob(pattern: str, about: Surroundings) -> Iterable[str]:
    full = absolute(outer(pattern), about.facts.cwd)
    found = about.host.glob(full)
    if pattern.startswith("/"):
        return map(inner, found)
    return (inner(path.removeprefix(f"{about.facts.cwd.rstrip('/')}/")) for path in found)


def _lines(path: str, about: Surroundings) -> Iterable[str]:
    data = about.host.read(absolute(outer(path), about.facts.cwd)) or b""
    for line in data.decode("latin-1").splitlines(keepends=True):
        for at in range(0, len(line), LINE_BYTES):
            yield line[at : at + LINE_BYTES].split("\0")[0].rstrip("\r\n")


def _times(number: str, about: Surroundings) -> Iterable[str]:
    digits = re.match(r"\s*\+?(\d{1,9})", number)
    return map(str, range(1, int(digits.group(1)) + 1 if digits else 1))


LOOPS: dict[str, Loop] = {
    "for": lambda words, about: (word for word in words.split(" ") if word),
    "for-glob": _glob,
    "for-readline": _lines,
    "for-times": _times,
}


class Logic(NamedTuple):
    """One condition or loop with what it is about."""

    name: str
    argument: str

    def values(self, value: str, about: Surroundings) -> Iterable[str]:
        """Yield the values that an option below it comes with: none, one, or many."""
        loop = LOOPS.get(self.name)
        if loop is not None:
            for item in loop(self.argument, about):
                yield value.replace("%(_)", item)
            return
        subject = SAME.get(self.name, self.name).removeprefix("if-")
        negated = subject.startswith("not-")
        subject = subject.removeprefix("not-")
        if TESTS[subject](self.argument, about) is not negated:
            yield value.replace("%(_)", self._underscore(subject, negated, about))

    def _underscore(self, subject: str, negated: bool, about: Surroundings) -> str:
        if subject in ("env", "opt"):
            find = _env if subject == "env" else (lambda name, about: about.option(name))
            found = find(self.argument.partition("=")[0], about)
            return "%(_)" if found is None else found
        return "%(_)" if subject == "reload" else self.argument


def is_logic(name: str) -> bool:
    """Return whether this option begins a condition or a loop."""
    if name in LOOPS:
        return True
    subject = SAME.get(name, name)
    return subject.startswith("if-") and subject.removeprefix("if-").removeprefix("not-") in TESTS

"""Finds the lines of a file's keys, for what turns out to be wrong only after it was read. Pure.

Where a tenant owns the file, the parser does it: the brain has no use for a tenant's bytes.
"""

from collections.abc import Iterable, Mapping

import msgspec

from emperor.config.document import Document, read_document
from emperor.config.problems import ConfigError, Problem
from emperor.config.settings import EmperorSettings
from emperor.uwsgi.host import Facts, Host

Lines = dict[str, int]
"""Lines from 1 by dotted key, of those keys that the file says something of."""


def lines_of(text: str, file: str, keys: Iterable[str]) -> Lines:
    """Return the lines of `keys` in a file of ours."""
    document = read_document(text, file)
    return {} if isinstance(document, Problem) else _found(document, keys)


def lines_of_uwsgi(
    name: str,
    text: str,
    path: str,
    host: Host,
    facts: Facts,
    emperor: EmperorSettings,
    keys: Iterable[str],
) -> Lines:
    """The same for a file in uWSGI's dialect. Raises what `host` raises."""
    # Most emperors have no such file, and a brain that was killed is missed.
    from emperor.uwsgi.vassal import read_uwsgi

    reading = read_uwsgi(name, text, path, path, host, facts, emperor.uwsgi)
    return {} if isinstance(reading, ConfigError) else _found(reading.translation.document, keys)


def located(
    problems: Iterable[Problem], file: str, lines: Mapping[str, int]
) -> tuple[Problem, ...]:
    """Return the problems with the lines of their keys in `file`, in the order of these."""
    moved = [
        msgspec.structs.replace(problem, line=lines[problem.key])
        if problem.file == file and problem.key in lines
        else problem
        for problem in problems
    ]
    return tuple(sorted(moved, key=lambda problem: (problem.file != file, problem.line)))


def _found(document: Document, keys: Iterable[str]) -> Lines:
    found = {}
    for key in keys:
        path, line = document.located(tuple(key.split(".")))
        if path:
            found[key] = line
    return found

"""Checks files as `emperor check` does: each by itself, then all of them together."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from emperor.config.document import Document, read_document
from emperor.config.emperor_file import default_places, load_emperor
from emperor.config.identity import owner_of
from emperor.config.machine import probe_machine
from emperor.config.network import overlaps
from emperor.config.problems import ConfigError, Problem, dotted, quoted
from emperor.config.problems import Path as KeyPath
from emperor.config.read import Changing, Content, Found, Missing, read_file
from emperor.config.settings import (
    PROVIDER,
    EmperorSettings,
    ListenAddress,
    Owner,
    VassalSettings,
)
from emperor.config.vassal_file import load_vassal, vassal_name

EMPEROR_FILE = "emperor.toml"

_TRIES = 20
_AGAIN_S = 0.05


class _Checked(NamedTuple):
    """A vassal file without problems of its own."""

    document: Document
    settings: VassalSettings

    def problem(self, path: KeyPath, problem: str, remedy: str) -> Problem:
        located, line = self.document.located(path)
        return Problem(
            file=self.document.file,
            line=line,
            key=dotted(located or path),
            problem=problem,
            remedy=remedy,
        )


def check_files(
    paths: Sequence[str],
    emperor_settings: EmperorSettings | None = None,
    owner: str | None = None,
) -> list[Problem]:
    """Return everything that is wrong with the files, in their order.

    A file named emperor.toml is checked as the emperor's own. `owner` is the account whose
    files these are taken for. Else, with settings of an emperor's, their real owners count.
    """
    judge = _judge(emperor_settings, owner)
    emperor = emperor_settings or EmperorSettings(machine=probe_machine())
    problems: list[Problem] = []
    good: list[_Checked] = []
    for path in dict.fromkeys(paths):
        checked = _check(path, emperor, judge)
        if isinstance(checked, _Checked):
            good.append(checked)
        else:
            problems += checked
    return problems + check_across(good)


def _judge(emperor: EmperorSettings | None, owner: str | None) -> Callable[[int], Owner]:
    """Return what tells from the uid of a file who is taken for its owner."""
    if owner is not None:
        # Root's word is the provider's.
        named = Owner(name=owner, tenant=owner != "root")
        return lambda uid: named
    return owner_of if emperor is not None else lambda uid: PROVIDER


def read_emperor(path: str) -> EmperorSettings | list[Problem]:
    """Return the settings of an emperor's file, or what is wrong with it."""
    absolute = Path(path).absolute()
    found = _read(str(absolute.parent), absolute.name)
    if not isinstance(found, Content):
        return [_file_problem(path, found)]
    places = default_places(os.geteuid(), os.environ)
    result = load_emperor(found.text, path, str(absolute.parent), places, probe_machine())
    return list(result.problems) if isinstance(result, ConfigError) else result


def _check(
    path: str, emperor: EmperorSettings, judge: Callable[[int], Owner]
) -> _Checked | list[Problem]:
    absolute = Path(path).absolute()
    found = _read(str(absolute.parent), absolute.name)
    if not isinstance(found, Content):
        return [_file_problem(path, found)]
    folder = str(absolute.parent)
    if absolute.name == EMPEROR_FILE:
        result = read_emperor(path)
        return result if isinstance(result, list) else []
    name = vassal_name(absolute.name)
    if name is None:
        remedy = "write a name like blog.toml: letters, digits, -, _ and single dots, at most 63"
        return [_problem(path, f"{quoted(absolute.name)} is no name of a vassal file", remedy)]
    settings = load_vassal(name, found.text, path, folder, emperor, judge(found.owner_uid))
    if isinstance(settings, ConfigError):
        return list(settings.problems)
    document = read_document(found.text, path)
    # load_vassal has just read the same text.
    return [document] if isinstance(document, Problem) else _Checked(document, settings)


def _read(directory: str, file_name: str) -> Found:
    for _ in range(_TRIES):
        found = read_file(directory, file_name)
        if not isinstance(found, Changing):
            return found
        time.sleep(_AGAIN_S)
    return Changing()


def _file_problem(path: str, found: Found) -> Problem:
    if isinstance(found, Missing):
        return _problem(path, "does not exist", "write the path of a vassal file")
    reason = getattr(found, "reason", "is being written all the time; wait until it is complete")
    problem, _, remedy = reason.partition("; ")
    return _problem(path, problem, remedy or "make it readable")


def _problem(path: str, problem: str, remedy: str) -> Problem:
    return Problem(file=path, line=1, key="file", problem=problem, remedy=remedy)


def check_across(files: Iterable[_Checked]) -> list[Problem]:
    """Return what two files cannot both have: a name, an address, a host."""
    problems: list[Problem] = []
    names: dict[str, str] = {}
    hosts: dict[str, str] = {}
    # By port or path: comparing each with each takes minutes for thousands of files.
    addresses: dict[object, list[tuple[ListenAddress, str]]] = defaultdict(list)
    for checked in files:
        settings, file = checked.settings, checked.document.file
        holder = names.setdefault(settings.name, file)
        if holder != file:
            problems.append(
                _problem(file, f"{holder} describes {settings.name} already", "rename one of them")
            )
        for index, address in enumerate(settings.listen):
            neighbours = addresses[address.path or address.port]
            for other, holder in neighbours:
                if overlaps(address, other):
                    problems.append(
                        checked.problem(
                            ("listen", index),
                            f"{quoted(address.url)} is taken: {holder} listens on"
                            f" {quoted(other.url)}",
                            "write another address",
                        )
                    )
                    break
            neighbours.append((address, file))
        for index, host in enumerate(settings.hosts):
            holder = hosts.setdefault(host, file)
            if holder != file:
                problems.append(
                    checked.problem(
                        ("hosts", index),
                        f"{quoted(host)} is taken by {holder}",
                        "write it in one file only",
                    )
                )
    return problems

"""Checks files as `emperor check` does: each by itself, then all of them together."""

import os
import pwd
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from emperor.brain import interpreter
from emperor.brain.binds import binds_of, without_missing
from emperor.brain.socket_owners import strangers
from emperor.cli.files import file_problem, problem_of, read_settled
from emperor.cli.uwsgi_files import read_content
from emperor.config.default_places import default_places
from emperor.config.document import Document, read_document
from emperor.config.emperor_file import load_emperor
from emperor.config.file_names import NAME_REMEDY, speaks_uwsgi, vassal_name
from emperor.config.identity import Identity, RunAs, decide, find, owner_of
from emperor.config.machine import probe_machine
from emperor.config.network import overlaps
from emperor.config.policy import CUSTOMER, no_such_customer
from emperor.config.problems import ConfigError, Problem, dotted, quoted
from emperor.config.problems import Path as KeyPath
from emperor.config.read import Content
from emperor.config.settings import (
    PROVIDER,
    EmperorSettings,
    ListenAddress,
    Owner,
    Remark,
    VassalSettings,
)
from emperor.config.vassal_file import load_vassal
from emperor.uwsgi.translate import Translation, settle_translation

EMPEROR_FILE = "emperor.toml"


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
    on_translated: Callable[[str, Translation], None] = lambda path, translation: None,
    on_remark: Callable[[str, Remark], None] = lambda path, remark: None,
) -> list[Problem]:
    """Return everything that is wrong with the files, in their order.

    `on_translated` is given each of uWSGI's that could be read, with what it means; `on_remark`
    what else is not done of a file.

    A file named emperor.toml is checked as the emperor's own. `owner` is the account whose
    files these are taken for. Else, with settings of an emperor's, their real owners count.
    """
    judge = _judge(emperor_settings, owner)
    emperor = emperor_settings or EmperorSettings(machine=probe_machine())
    problems: list[Problem] = []
    good: list[_Checked] = []
    for path in dict.fromkeys(paths):
        checked = _check(path, emperor, judge, on_translated)
        if isinstance(checked, _Checked):
            remarks = checked.settings.remarks
            if emperor_settings is not None:
                problems += _judged_customer(checked, emperor)
                refusal, said = _judged_identity(checked, path, emperor, owner)
                problems += refusal
                remarks += said
            good.append(checked)
            for remark in remarks:
                on_remark(path, remark)
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


def _judged_customer(checked: _Checked, emperor: EmperorSettings) -> list[Problem]:
    fault = no_such_customer(checked.settings, emperor)
    path = tuple(CUSTOMER.split("."))
    return [] if fault is None else [checked.problem(path, fault.problem, fault.remedy)]


def _judged_identity(
    checked: _Checked, path: str, emperor: EmperorSettings, owner: str | None
) -> tuple[list[Problem], tuple[Remark, ...]]:
    """Return why the policy or this host refuses whom the vassal shall run as, and remarks.

    For root only: which account an emperor of somebody else's has is not known.
    """
    if os.geteuid() != 0:
        return [], ()
    try:
        owner_uid = os.stat(path).st_uid if owner is None else pwd.getpwnam(owner).pw_uid
    except (OSError, KeyError):
        return [], ()
    file = checked.document.file
    # The file's group never is a reason to refuse.
    decided = decide(owner_uid, 0, 0, checked.settings, emperor.policy, file)
    remarks: tuple[Remark, ...] = ()
    identity: Identity | None = None
    if isinstance(decided, RunAs):
        found = find(decided)
        remarks, problems = found.remarks, found.problems
        identity = found.identity if isinstance(found.identity, Identity) else None
    else:
        problems = [decided]
    problems += strangers(checked.settings.socket, file)
    located = [
        checked.problem(tuple(one.key.split(".")), one.problem, one.remedy) for one in problems
    ]
    return located + _judged_places(checked, identity), remarks


def _judged_places(checked: _Checked, identity: Identity | None) -> list[Problem]:
    """Return what of its own a vassal that runs as `identity` does not find on this host; None =
    whom it is to run as is not known."""
    settings = checked.settings
    on_host = binds_of(without_missing(settings.sandbox)).on_host
    problems = []
    if not os.path.exists(on_host(settings.directory)):
        problem = f"{settings.directory} does not exist"
        problems.append(checked.problem(("directory",), problem, "create it, or correct the path"))
    try:
        if identity is not None:
            interpreter.choose(settings.python, identity, on_host)
        elif settings.python is not None:
            interpreter.locate(settings.python, on_host)
    except interpreter.NoInterpreter as error:
        problems.append(checked.problem(("python",), error.problem, error.remedy))
    return problems


def read_emperor(path: str) -> EmperorSettings | list[Problem]:
    """Return the settings of an emperor's file, or what is wrong with it."""
    absolute = Path(path).absolute()
    # Empty, it says that all is as usual.
    found = read_settled(str(absolute.parent), absolute.name, may_be_empty=True)
    if not isinstance(found, Content):
        return [file_problem(path, found, "the emperor's own file")]
    places = default_places(os.geteuid(), os.environ)
    result = load_emperor(found.text, path, str(absolute.parent), places, probe_machine())
    return list(result.problems) if isinstance(result, ConfigError) else result


def _check(
    path: str,
    emperor: EmperorSettings,
    judge: Callable[[int], Owner],
    on_translated: Callable[[str, Translation], None],
) -> _Checked | list[Problem]:
    absolute = Path(path).absolute()
    if absolute.name == EMPEROR_FILE:
        result = read_emperor(path)
        return result if isinstance(result, list) else []
    found = read_settled(str(absolute.parent), absolute.name)
    if not isinstance(found, Content):
        return [file_problem(path, found)]
    folder = str(absolute.parent)
    name = vassal_name(absolute.name)
    if name is None:
        return [
            problem_of(path, f"{quoted(absolute.name)} is no name of a vassal file", NAME_REMEDY)
        ]
    if speaks_uwsgi(absolute.name):
        source = read_content(name, path, found)
        if isinstance(source, ConfigError):
            return list(source.problems)
        on_translated(path, source.translation)
        return _check_translation(name, folder, source.translation, emperor, judge(found.owner_uid))
    settings = load_vassal(name, found.text, path, folder, emperor, judge(found.owner_uid))
    if isinstance(settings, ConfigError):
        return list(settings.problems)
    document = read_document(found.text, path)
    # load_vassal has just read the same text.
    return [document] if isinstance(document, Problem) else _Checked(document, settings)


def _check_translation(
    name: str, folder: str, translation: Translation, emperor: EmperorSettings, owner: Owner
) -> _Checked | list[Problem]:
    settings = settle_translation(translation, name, folder, emperor, owner)
    if isinstance(settings, ConfigError):
        return list(settings.problems)
    return _Checked(translation.document, settings)


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
                problem_of(
                    file, f"{holder} describes {settings.name} already", "rename one of them"
                )
            )
        keyed = [("listen", *pair) for pair in enumerate(settings.listen)]
        keyed += [("stats", *pair) for pair in enumerate(settings.stats)]
        for key, index, address in keyed:
            neighbours = addresses[address.path or address.port]
            for other, holder in neighbours:
                if overlaps(address, other):
                    problems.append(
                        checked.problem(
                            (key, index),
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

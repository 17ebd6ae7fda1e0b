"""Reads filter lists as systemd writes them: names, @groups, "~" before what is taken out. Pure.

Unlike systemd's, a list never begins with "~": there that means "everything but", and a
provider who wants @hosting without something would get nearly everything.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from limits.seccomp.groups import GROUPS, HOSTING
from limits.seccomp.numbers import NUMBERS

ESSENTIAL = frozenset(("execve", "exit", "exit_group", "rt_sigprocmask", "rt_sigreturn", "write"))
"""Without these no program starts, and none can say why: they cannot be taken out."""

_TABLE = frozenset(name for numbers in NUMBERS.values() for name in numbers)
_NAMES = _TABLE.union(
    name for members in GROUPS.values() for name in members if not name.startswith("@")
)
_GROUP_NAMES = frozenset(GROUPS) | {"@hosting", "@known"}


def check_names(entries: Iterable[str]) -> list[str]:
    """Return what is wrong with a filter list, one text for each wrong entry."""
    entries = tuple(entries)
    problems = [problem for entry in entries if (problem := _problem(entry))]
    if entries and entries[0].startswith("~"):
        problems.append(
            f'"{entries[0][:40]}" comes first, and takes out of nothing: '
            'write "@hosting" before it, or "@known" for every call there is'
        )
    return problems


def allowed_names(entries: Iterable[str]) -> frozenset[str]:
    """Return the names of the calls that a filter list allows.

    @default and ESSENTIAL are always there. Raises ValueError for an unknown name.
    """
    entries = tuple(entries)
    if problems := check_names(entries):
        raise ValueError("; ".join(problems))
    return (_resolve(("@default", *entries)) | ESSENTIAL) & _TABLE


def members(group: str) -> frozenset[str]:
    """Return the names of all calls in a group, those of its groups included."""
    if group == "@known":
        return _TABLE
    return _resolve(HOSTING if group == "@hosting" else GROUPS[group])


def _resolve(entries: Iterable[str]) -> frozenset[str]:
    names: frozenset[str] = frozenset()
    for entry in entries:
        name = entry.removeprefix("~")
        meant = members(name) if name.startswith("@") else frozenset((name,))
        names = names - meant if entry.startswith("~") else names | meant
    return names


def _problem(entry: str) -> str | None:
    name = entry.removeprefix("~")
    shown = f'"{entry[:40]}"'
    known = _GROUP_NAMES if name.startswith("@") else _NAMES
    if name not in known:
        if ":" in name:
            return f"{shown}: an error number cannot be chosen; what is denied fails with EPERM"
        what = "group of system calls" if name.startswith("@") else "system call"
        near = get_close_matches(name[:40], known, 1)
        if f"@{name}" in _GROUP_NAMES:
            near = [f"@{name}"]
        hint = f'; did you mean "{near[0]}"?' if near else ""
        return f"{shown}: there is no such {what}{hint}"
    if entry.startswith("~") and name in ESSENTIAL:
        return f"{shown}: no program starts without it"
    return None

"""What is known of one option of uWSGI, and how the table's rows are written. Pure.

A row gives one verdict and its reason for all names in it. A name is written as getopt
has it: `name` is a flag, `name=` takes a value, `name=?` may take one, and `p|name=`
has a short form, -p.
"""

import re
from enum import StrEnum
from typing import NamedTuple


class Support(StrEnum):
    """What becomes of an option."""

    SUPPORTED = "supported"  # it becomes settings of ours
    SATISFIED = "satisfied"  # it is always so here
    IGNORED = "ignored"  # it is left out, and nobody will miss it
    UNSUPPORTED = "unsupported"  # something is missing that the file asks for
    UNKNOWN = "unknown"  # uWSGI has no such option


class Known(NamedTuple):
    """One option of uWSGI 2.0.31.

    `text`: for what is supported our keys, for the others the reason, and what to use
    instead. `build`: the feature or plugin that uWSGI's build must have for it, "" = none.
    """

    name: str
    short: str  # "p", or "" = none
    argument: str  # "" = a flag, "=" = takes a value, "=?" = may take one
    support: Support
    text: str
    build: str = ""

    @property
    def is_flag(self) -> bool:
        return self.argument == ""


_NAME = re.compile(r"(?:(\w)\|)?([A-Za-z0-9_-]+)(=\??|)")


def _rows(support: Support, text: str, names: str, build: str) -> tuple[Known, ...]:
    found = []
    for word in names.split():
        match = _NAME.fullmatch(word)
        if match is None:
            raise ValueError(f"{word}: not a name of an option")
        short, name, argument = match.groups()
        found.append(Known(name, short or "", argument, support, text, build))
    return tuple(found)


def supported(keys: str, names: str, build: str = "") -> tuple[Known, ...]:
    """Return rows of options that become `keys` of ours."""
    return _rows(Support.SUPPORTED, keys, names, build)


def satisfied(why: str, names: str, build: str = "") -> tuple[Known, ...]:
    """Return rows of options that ask for what is always so."""
    return _rows(Support.SATISFIED, why, names, build)


def ignored(why: str, names: str, build: str = "") -> tuple[Known, ...]:
    """Return rows of options that can be left out."""
    return _rows(Support.IGNORED, why, names, build)


def unsupported(instead: str, names: str, build: str = "") -> tuple[Known, ...]:
    """Return rows of options that we have nothing for; `instead` says what to use."""
    return _rows(Support.UNSUPPORTED, instead, names, build)

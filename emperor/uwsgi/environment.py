"""Options that are variables of the environment: UWSGI_NAME, as uWSGI reads them. Pure."""

from collections.abc import Container, Mapping
from typing import NamedTuple

ENVIRONMENT = "environment"
"""Where such options come from, for people."""

_PREFIX = "UWSGI_"
_VASSAL = "UWSGI_VASSAL_"
_NO_OPTIONS = frozenset(
    f"UWSGI_{name}"
    for name in (
        "RELOADS",
        "VASSALS_DIR",
        "EMPEROR_FD",
        "EMPEROR_FD_CONFIG",
        "EMPEROR_PROXY",
        "BROODLORD_NUM",
        "JAIL_PID",
        "ORIGINAL_PROC_NAME",
    )
)
"""What uWSGI's processes tell one another."""

Pairs = tuple[tuple[str, str], ...]


class FromEnvironment(NamedTuple):
    """Options by name and value: those of the process, and those it has for its vassals."""

    own: Pairs
    for_vassals: Pairs


def from_environment(environ: Mapping[str, str], known: Container[str]) -> FromEnvironment:
    """Return the options in an environment, in its order.

    UWSGI_VASSAL_NAME is for vassals, unless vassal-name is an option itself.
    """
    own: list[tuple[str, str]] = []
    for_vassals: list[tuple[str, str]] = []
    for variable, value in environ.items():
        if not variable.startswith(_PREFIX) or variable in _NO_OPTIONS:
            continue
        name = _option(variable.removeprefix(_PREFIX))
        if variable.startswith(_VASSAL) and name not in known:
            for_vassals.append((_option(variable.removeprefix(_VASSAL)), value))
        else:
            own.append((name, value))
    return FromEnvironment(tuple(own), tuple(for_vassals))


def _option(name: str) -> str:
    return name.lower().replace("_", "-")

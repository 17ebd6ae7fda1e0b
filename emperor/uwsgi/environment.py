"""What the environment of uWSGI's emperor means: options, UWSGI_NAME as uWSGI reads them, and
variables that its vassals inherit. Pure."""

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

INHERITED_BYTES_MAX = 48 * 1024
"""Of all variables that a vassal inherits: they travel in one message with what else it is."""

_EMPERORS = frozenset(
    [
        # What systemd tells the process that it starts, about its unit.
        *("NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID"),
        *("FDSTORE", "PIDFILE", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
        *("CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY"),
        *("LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY"),
        # Of the account, and of the interpreter that the emperor itself runs in.
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "PWD", "OLDPWD", "MAIL"),
        *("VIRTUAL_ENV", "__PYVENV_LAUNCHER__"),
    ]
)
_EMPERORS_PREFIXES = (
    *("LISTEN_", "WATCHDOG_", "SYSTEMD_", "MEMORY_PRESSURE_", "MANAGERPID"),
    *("EMPEROR_", "UWSGI_", "PYTHON", "SUDO_", "SSH_"),
)

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


class Inherited(NamedTuple):
    """What a vassal inherits, and the names of what has no room or is no text."""

    variables: dict[str, str]
    left_out: tuple[str, ...]


def inherited(environ: Mapping[str, str]) -> Inherited:
    """Return what vassals inherit of the environment of uWSGI's emperor: all but its own."""
    found: dict[str, str] = {}
    left_out: list[str] = []
    left = INHERITED_BYTES_MAX
    for name, value in sorted(environ.items()):
        if name in _EMPERORS or name.startswith(_EMPERORS_PREFIXES):
            continue
        size = len(f"{name}{value}".encode("utf-8", "surrogateescape"))
        if size > left or any("\ud800" <= char <= "\udfff" for char in name + value):
            left_out.append(name)
            continue
        found[name] = value
        left -= size
    return Inherited(found, tuple(left_out))


def _option(name: str) -> str:
    return name.lower().replace("_", "-")

"""What an unknown key was probably meant to be. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

from emperor.config.problems import key_text

# Names that other servers, and older habits, have for ours. The words after "write".
_HINTS = {
    "bind": "listen",
    "address": "listen",
    "http": "listen",
    "httpsocket": "listen",
    "fastcgisocket": "listen",
    "uwsgisocket": "listen",
    "port": 'listen = "http://127.0.0.1:8000"',
    "timeout": "harakiri",
    "requesttimeout": "harakiri",
    "gracefultimeout": "stop_timeout",
    "reloadmercy": "stop_timeout",
    "workerreloadmercy": "stop_timeout",
    "sockettimeout": "socket_timeout",
    "keepalive": "keepalive_timeout",
    "httptimeout": "socket_timeout",
    "process": "workers",
    "processes": "workers",
    "numprocs": "workers",
    "chdir": "directory",
    "cwd": "directory",
    "workingdirectory": "directory",
    "module": "app",
    "wsgi": "app",
    "wsgiapp": "app",
    "wsgifile": "app",
    "callable": "app",
    "uid": "user",
    "gid": "group",
    "virtualenv": "python",
    "venv": "python",
    "home": "python",
    "pp": "pythonpath",
    "pythonhome": "python",
    "maxrequestsdelta": "max_requests_jitter",
    "reloadonas": "limit_as under [limits]",
    "limitas": "limit_as under [limits]",
    "limitnproc": "limit_nproc under [limits]",
    "maxfd": "limit_nofile under [limits]",
    "limitrequestline": "max_head",
    "buffersize": "max_head",
    "listenqueue": "backlog",
    "chmodsocket": "mode under [socket]",
    "chownsocket": "user and group under [socket]",
    "umask": "umask under [limits]",
    "logto": "log",
    "logto2": "log",
    "logger": "log",
    "daemonize": "log",
    "errorlog": "log",
    "servername": "hosts",
    "domain": "hosts",
    "domains": "hosts",
    "rawenv": "env",
    "workerconnections": "threads",
    "reload": "autoreload",
    "pyautoreload": "autoreload",
    "environment": "env",
}

# What to do with names of other servers that nothing here corresponds to.
_INSTEAD = {
    "workerclass": "remove it: workers are processes, with as many threads as threads says",
    "name": "remove it: the file's name is the vassal's",
    "loglevel": "remove it: what is logged is the application's affair",
    "certfile": "remove it: TLS is spoken by the web server in front",
    "keyfile": "remove it: TLS is spoken by the web server in front",
    "https": "remove it: TLS is spoken by the web server in front",
}

_HINTS_WITHIN = {
    ("socket", "owner"): "user",
    ("socket", "uid"): "user",
    ("socket", "gid"): "group",
    ("socket", "chmod"): "mode",
}

# Needless here, because it is always so.
_NEEDLESS = frozenset(
    {
        "master",
        "vacuum",
        "vaccum",
        "vacum",
        "dieonterm",
        "needapp",
        "enablethreads",
        "singleinterpreter",
        "thunderlock",
        "noorphans",
        "plugin",
        "plugins",
        "autoprocname",
        "safepidfile",
        "strict",
        "preload",
        "preloadapp",
        "processname",
        "captureoutput",
        "reuseport",
    }
)

_REFUSED = frozenset({"sandbox.user"})
"""Keys that are there to say where else to write it."""

_COMPARED_MAX = 40
"""Longer names are no typos of ours, and comparing them costs time."""


def remedy_for(
    unknown: str, section: str, known: Iterable[str], compare: bool = True
) -> tuple[str, str]:
    """Return problem and remedy for the key `unknown`, which stands in table `section`.

    `known` are all dotted keys. `section` "" is the top of the file. Without `compare`,
    typos are not looked for.
    """
    names = list(known)
    plain = _plain(unknown)
    prefix = f"{section}." if section else ""
    here = [name.removeprefix(prefix) for name in names if _section(name) == section]
    if not section:
        here += sorted({_section(name) for name in names} - {""})
    for name in here:
        if _plain(name) == plain:
            return "unknown key", f"write {name}"
    if not section and plain in _NEEDLESS:
        return "unknown key", "remove the line: it is not needed here"
    if not section and plain in _INSTEAD:
        return "unknown key", _INSTEAD[plain]
    if not section and plain in _HINTS and _is_known(_HINTS[plain], names):
        return "unknown key", f"write {_HINTS[plain]}"
    if (section, plain) in _HINTS_WITHIN:
        return "unknown key", f"write {_HINTS_WITHIN[section, plain]}"
    for name in names:
        if _plain(name.rpartition(".")[2]) == plain and name not in _REFUSED:
            return "unknown key here", _elsewhere(name)
    if compare and len(unknown) <= _COMPARED_MAX:
        close = get_close_matches(unknown.lower(), here, n=1, cutoff=0.7)
        if close:
            return "unknown key", f"did you mean {close[0]}?"
    where = f"[{key_text(section)}]" if section else "this file"
    return f"{where} has no such key", "remove it, or see: emperor schema"


def close_to(unknown: str, known: Iterable[str]) -> str:
    """Return the one of the `known` words that was probably meant, or ""."""
    words = {_plain(word): word for word in known}
    if len(unknown) > _COMPARED_MAX:
        return ""
    close = get_close_matches(_plain(unknown), words, n=1, cutoff=0.7)
    return words[close[0]] if close else ""


def _plain(name: str) -> str:
    """Return what max_requests, max-requests and MaxRequests have in common."""
    return name.lower().replace("_", "").replace("-", "")


def _section(name: str) -> str:
    return name.rpartition(".")[0]


def _elsewhere(name: str) -> str:
    section, _, last = name.rpartition(".")
    if section:
        return f"write {last} under [{section}]"
    return f"write {last} above the first [table]"


def _is_known(hint: str, names: list[str]) -> bool:
    """Tell whether the file at hand has what the hint names; emperor.toml has its own keys."""
    first = hint.partition(" ")[0]
    return any(name.split(".")[0] == first or name.rpartition(".")[2] == first for name in names)

"""What an option was probably meant to be that uWSGI does not have. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

# Seen in public files, and too far from what was meant, or as close to something else.
_MEANT = {
    "gui": "uid or gid",
    "process": "processes",
    "worker": "workers",
    "vaccum": "vacuum",
    "vacum": "vacuum",
    "mod-socket": "chmod-socket",
    "py-callos-afterfork": "py-call-osafterfork",
    "timeout": "harakiri",
    "user": "uid",
    "group": "gid",
    "python-home": "home",
    "wsgi_file": "wsgi-file",
    "static": "static-map",
    "log": "logto",
    "bind": "socket or http-socket",
    "port": "http-socket",
}
_COMPARED_MAX = 40
_CUTOFF = 0.8


def meant_by(unknown: str, names: Iterable[str]) -> str:
    """Return the option, or options, that `unknown` was meant to be; "" = nothing is close."""
    if unknown in _MEANT:
        return _MEANT[unknown]
    if len(unknown) > _COMPARED_MAX:
        return ""
    plain = {_plain(name): name for name in names}
    close = get_close_matches(_plain(unknown), plain, n=1, cutoff=_CUTOFF)
    return plain[close[0]] if close else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").lstrip("-")

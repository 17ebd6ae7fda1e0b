"""The key access_log: which requests have a line in the log, and what it says. Pure."""

from typing import Any

from emperor.config import values
from emperor.config.key import Key
from emperor.config.problems import Fault, Invalid, InvalidParts, described, quoted
from emperor.config.schemas import BOOLEAN, DURATION, TEXT
from emperor.config.settings import AccessLog
from vassal.runtime import log_format

_REMEDY = 'write "on", "off", or a table like { format = "%(method) %(uri) %(status)" }'


def access_log(value: object) -> AccessLog | None:
    """Return what is written; None = nothing."""
    if value == "off":
        return None
    if value == "on":
        return AccessLog()
    if not isinstance(value, dict):
        raise Invalid(f"{described(value)} is not one of the choices", _REMEDY)
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, content in value.items():
        try:
            if name not in _PARTS:
                raise Invalid("unknown key", f"write one of {', '.join(_PARTS)}")
            found[name] = _PARTS[name](content)
        except Invalid as error:
            faults += (fault._replace(path=(name, *fault.path)) for fault in error.faults)
    if faults:
        raise InvalidParts(faults)
    return AccessLog(**found)


def log_line(value: object) -> str:
    """Return a format of which every variable is known."""
    text = values.text(value, "a format", '"%(method) %(uri) %(status)"')
    if len(text) > 2048:
        raise Invalid(f"is {len(text)} characters long", "write at most 2048")
    if text.startswith(f"{log_format.UWSGI}+") and log_format.uwsgi_words(text) is None:
        raise Invalid(f"{quoted(text)} is no line of uWSGI's", 'write "uwsgi+micros+memory"')
    for name, is_variable in log_format.split(text):
        if is_variable and not log_format.is_known(name):
            known = ", ".join(sorted(log_format.NAMES))
            remedy = f"write one of {known}, var.NAME or logvar.NAME"
            raise Invalid(f"%({name[:40]}) is not known", remedy)
    return text


def write_access_log(found: AccessLog | None) -> object:
    """Return the value as TOML has it."""
    if found is None or found == AccessLog():
        return "off" if found is None else "on"
    usual = AccessLog()
    parts = {name: getattr(found, name) for name in _PARTS}
    return {name: part for name, part in parts.items() if part != getattr(usual, name)}


_PARTS: dict[str, Any] = {
    "format": log_line,
    "log_4xx": values.boolean,
    "log_5xx": values.boolean,
    "log_slow": values.duration,
}

ACCESS_LOG = Key(
    "access_log",
    access_log,
    {
        "anyOf": [
            {"enum": ["off", "on"]},
            {
                "type": "object",
                "properties": {
                    "format": TEXT,
                    "log_4xx": BOOLEAN,
                    "log_5xx": BOOLEAN,
                    "log_slow": DURATION,
                },
                "additionalProperties": False,
            },
        ]
    },
    'Requests in the log: "on", or a table of format ("uwsgi" is uWSGI\'s own line), log_4xx,'
    " log_5xx, log_slow for only those.",
    '"off"',
    "{ log_5xx = true, log_slow = 2 }",
    write=write_access_log,
)

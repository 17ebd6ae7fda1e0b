"""The keys of tasks beside requests: cron and daemon. They are read and kept; nothing runs them
yet, and status and `emperor check` say so. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from emperor.config import values
from emperor.config.command_keys import COMMANDS_BYTES_MAX
from emperor.config.key import Key, as_is
from emperor.config.problems import Fault, Invalid, InvalidParts, described, quoted
from emperor.config.schemas import BOOLEAN, DURATION, PATH, PATHS, TEXT, Schema, integer
from emperor.config.settings import Cron, Daemon, Remark, VassalSettings

TASKS_MAX = 64
SIGNAL_MAX = 64
NOT_YET: Mapping[str, str] = {
    "cron": "kept, and not run yet: let a systemd timer or cron run it, as the vassal's user",
    "daemon": "kept, and not run yet: make it a service of systemd, of the vassal's user",
}

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", re.ASCII)
_SCHEDULE = '"*/5 * * * *": minute, hour, day, month, weekday'
_T = TypeVar("_T")

Parsers = Mapping[str, Callable[[object], object]]


def schedule(value: object) -> str:
    """Return the five fields of a crontab's line, with one space between two."""
    words = values.text(value, "a schedule", _SCHEDULE).split()
    if len(words) != len(_FIELDS):
        raise Invalid(f"{described(value)} has {len(words)} fields, not 5", f"write {_SCHEDULE}")
    for word, (name, least, most) in zip(words, _FIELDS, strict=True):
        if not all(_is_part(part, least, most) for part in word.split(",")):
            remedy = f"write numbers from {least} to {most}, or * or */N"
            raise Invalid(f"{quoted(word)} is no {name}", remedy)
    return " ".join(words)


def _is_part(part: str, least: int, most: int) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    first, last, step = (None if text is None else int(text) for text in match.groups())
    if first is not None and not least <= first <= (first if last is None else last) <= most:
        return False
    return step is None or 1 <= step <= most


def shell_line(value: object) -> str:
    """Return a command."""
    return values.text(value, "a command", '"./manage.py clearsessions"')


_CRON: Parsers = {
    "schedule": schedule,
    "command": shell_line,
    "unique": values.boolean,
    "timeout": values.duration,
}
_signal = partial(values.whole, minimum=1, maximum=SIGNAL_MAX)
_DAEMON: Parsers = {
    "command": shell_line,
    "directory": values.path_text,
    "pidfile": values.path_text,
    "daemonizes": values.boolean,
    "kill_signal": _signal,
    "reload_signal": _signal,
    "touch_reload": lambda value: values.list_of(value, values.path_text, '["reload.txt"]'),
}
_CRON_EXAMPLE = '[{ schedule = "*/5 * * * *", command = "./manage.py clearsessions" }]'
_DAEMON_EXAMPLE = '[{ command = "./worker" }]'


def crons(value: object) -> tuple[Cron, ...]:
    """Return commands with the times at which they are to run."""
    return _tables(value, _CRON, ("schedule", "command"), Cron, _CRON_EXAMPLE)


def daemons(value: object) -> tuple[Daemon, ...]:
    """Return commands that are to run beside the application."""
    return _tables(value, _DAEMON, ("command",), Daemon, _DAEMON_EXAMPLE)


def _tables(
    value: object, parsers: Parsers, required: Sequence[str], make: Callable[..., _T], example: str
) -> tuple[_T, ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Invalid(f"{described(value)} is not an array of tables", f"write {example}")
    if len(value) > TASKS_MAX or len(str(value)) > COMMANDS_BYTES_MAX:
        remedy = f"write at most {TASKS_MAX}, of {COMMANDS_BYTES_MAX} characters together"
        raise Invalid("is too long", remedy)
    found: list[_T] = []
    faults: list[Fault] = []
    for index, item in enumerate(value):
        fields: dict[str, Any] = {}
        for name in (*item, *(name for name in required if name not in item)):
            try:
                fields[name] = _field(item, str(name), parsers)
            except Invalid as error:
                faults += [
                    fault._replace(path=(index, str(name), *fault.path)) for fault in error.faults
                ]
        if not faults:
            found.append(make(**fields))
    if faults:
        raise InvalidParts(faults[:TASKS_MAX])
    return tuple(found)


def _field(item: Mapping[Any, object], name: str, parsers: Parsers) -> object:
    if name not in parsers:
        raise Invalid("unknown key", f"write one of {', '.join(parsers)}")
    if name not in item:
        raise Invalid("is missing", f"write {name} = …")
    return parsers[name](item[name])


def write_tables(found: Sequence[Cron | Daemon]) -> list[object]:
    """Return the tables as TOML values: what differs from the built-in."""
    return [
        {name: as_is(value) for name, value in msgspec.to_builtins(each).items()} for each in found
    ]


def task_remarks(settings: VassalSettings) -> tuple[Remark, ...]:
    """Return what is said of tasks that a file of ours has."""
    named = (("cron", settings.cron), ("daemon", settings.daemon))
    return tuple(
        Remark(key=f"{key}.{index}", reason=NOT_YET[key])
        for key, found in named
        for index in range(len(found))
    )


def _array_of(properties: Mapping[str, Schema], *required: str) -> Schema:
    item = {"type": "object", "properties": dict(properties), "required": list(required)}
    return {"type": "array", "items": {**item, "additionalProperties": False}}


TASK_KEYS = (
    Key(
        "cron",
        crons,
        _array_of(
            {"schedule": TEXT, "command": TEXT, "unique": BOOLEAN, "timeout": DURATION},
            "schedule",
            "command",
        ),
        "Commands by time, as in a crontab. Kept; nothing runs them yet.",
        "[]",
        _CRON_EXAMPLE,
        write=write_tables,
    ),
    Key(
        "daemon",
        daemons,
        _array_of(
            {
                "command": TEXT,
                "directory": PATH,
                "pidfile": PATH,
                "daemonizes": BOOLEAN,
                "kill_signal": integer(1, SIGNAL_MAX),
                "reload_signal": integer(1, SIGNAL_MAX),
                "touch_reload": PATHS,
            },
            "command",
        ),
        "Commands beside the application. Kept; nothing runs them yet.",
        "[]",
        _DAEMON_EXAMPLE,
        write=write_tables,
    ),
)

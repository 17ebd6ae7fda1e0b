"""What a uWSGI file wants to run by time, or beside its workers: read, checked and kept. Pure."""

import re
from collections.abc import Callable

from emperor.config.keys import VASSAL_KEYS
from emperor.config.problems import Invalid, quoted
from emperor.config.task_keys import NOT_YET
from emperor.uwsgi.draft import Draft, Taken
from emperor.uwsgi.dropped_keys import dropped
from emperor.uwsgi.rows import Support
from emperor.uwsgi.values import atoi, is_number, pairs

_CRON = re.compile(r"\s*" + r"([+-]?\d{1,9})\s+" * 5 + r"(\S.*)", re.DOTALL)
_FIELDS = ("minute", "hour", "day", "month", "week")
_COUNTED_FROM_1 = ("day", "month")
_MOST = {"day": 31, "month": 12}
_NUMBERS = {
    "cron2": (*_FIELDS, "unique", "harakiri"),
    "attach-daemon2": ("stopsignal", "stop_signal", "reloadsignal", "reload_signal"),
}
_NAMES = {
    **dict.fromkeys(("cmd", "exec"), "command"),
    "daemon": "daemonize",
    "stop_signal": "stopsignal",
    "reload_signal": "reloadsignal",
}

Table = dict[str, object]


def put_tasks(draft: Draft) -> None:
    """Set cron and daemon; say of each that it is not run yet."""
    crons = (("cron", _cron), ("unique-cron", _unique_cron), ("cron2", _cron2))
    daemons = (
        ("attach-daemon", _daemon),
        ("attach-control-daemon", _daemon),
        ("smart-attach-daemon", _smart_daemon),
        ("smart-attach-daemon2", _plain_daemon),
        ("attach-daemon2", _daemon2),
    )
    for key, rules in (("cron", crons), ("daemon", daemons)):
        _put(draft, key, dict(rules))


def _put(draft: Draft, key: str, rules: dict[str, Callable[[str], Table]]) -> None:
    tables: list[Table] = []
    sources: list[Taken] = []
    for taken in draft.all(*rules):
        table = draft.read(taken, rules[taken.name])
        refusal = _refusal(key, table) if table is not None else ""
        if refusal:
            draft.remark(taken, Support.UNSUPPORTED, refusal)
        elif table is not None:
            tables.append(table)
            sources.append(taken)
    wrong = len(draft.problems)
    if tables:
        draft.put(key, tables, *sources)
    for taken in sources if len(draft.problems) == wrong else ():
        left_out = "; ".join(filter(None, (dropped(taken.name, taken.value), _no_numbers(taken))))
        text = f"{NOT_YET[key]}; left out: {left_out}" if left_out else NOT_YET[key]
        draft.remark(taken, Support.UNSUPPORTED, text)


def _refusal(key: str, table: Table) -> str:
    """Return why nothing is kept of an option; uWSGI takes it, and never does what it says."""
    try:
        VASSAL_KEYS[key].parse([table])
    except Invalid as error:
        fault = error.faults[0]
        return f"{fault.problem}, so it is left out; {fault.remedy}"
    return ""


def _no_numbers(taken: Taken) -> str:
    """Return which keys of an option should be numbers and are none: uWSGI takes 0."""
    given = pairs(taken.value.partition(" ")[0] if taken.name == "cron2" else taken.value)
    return "; ".join(
        f"{key}={quoted(given[key])} is no number: taken as 0, as uWSGI does"
        for key in _NUMBERS.get(taken.name, ())
        if key in given and not is_number(given[key])
    )


def _field(name: str, number: int) -> str:
    """Return a field of a crontab: -1 is always, and -5 what can be divided by 5."""
    if number >= 0:
        return str(number)
    if number == -1:
        return "*"
    if name in _COUNTED_FROM_1:
        return f"{-number}-{_MOST[name]}/{-number}"
    return f"*/{-number}"


def _cron(text: str) -> Table:
    match = _CRON.fullmatch(text)
    if match is None:
        remedy = "write minute, hour, day, month, weekday (-1 = every) and a command"
        raise Invalid(f"{quoted(text)} is not five numbers and a command", remedy)
    numbers = [int(number) for number in match.groups()[:5]]
    fields = [_field(*pair) for pair in zip(_FIELDS, numbers, strict=True)]
    return {"schedule": " ".join(fields), "command": match[6]}


def _unique_cron(text: str) -> Table:
    return {**_cron(text), "unique": True}


def _cron2(text: str) -> Table:
    head, space, command = text.partition(" ")
    if "=" not in head:
        head, command = "", text
    elif not space or not command.strip():
        raise Invalid(f"{quoted(text)} has no command", "write minute=0,hour=3 COMMAND")
    given = pairs(head)
    numbers = {name: atoi(given.get(name, "-1")) for name in _FIELDS}
    table: Table = {
        "schedule": " ".join(_field(name, number) for name, number in numbers.items()),
        "command": command.strip(),
    }
    if atoi(given.get("unique", "0")):
        table["unique"] = True
    if atoi(given.get("harakiri", "0")) > 0:
        table["timeout"] = atoi(given["harakiri"])
    return table


def _daemon(text: str) -> Table:
    return {"command": text}


def _smart_daemon(text: str) -> Table:
    return {**_plain_daemon(text), "daemonizes": True}


def _plain_daemon(text: str) -> Table:
    place, space, command = text.partition(" ")
    pidfile = place.partition(",")[0]
    if not space or not pidfile or not command.strip():
        raise Invalid(f"{quoted(text)} is no pidfile and command", "write /srv/a.pid ./daemon")
    return {"pidfile": pidfile, "command": command.strip()}


def _daemon2(text: str) -> Table:
    given = {_NAMES.get(key, key): value for key, value in pairs(text).items()}
    if not given.get("command"):
        raise Invalid("command is missing", "write command=./daemon,pidfile=/srv/a.pid")
    table: Table = {"command": given["command"]}
    for key, ours in (("chdir", "directory"), ("pidfile", "pidfile")):
        if given.get(key):
            table[ours] = given[key]
    # In uWSGI it is uWSGI that daemonizes: the command itself does so where there is none.
    if given.get("pidfile") and "daemonize" not in given:
        table["daemonizes"] = True
    for key, ours in (("stopsignal", "kill_signal"), ("reloadsignal", "reload_signal")):
        if atoi(given.get(key, "")):
            table[ours] = atoi(given[key])
    if given.get("touch"):
        table["touch_reload"] = [path for path in given["touch"].split(";") if path]
    return table

"""Turns the text of a vassal file into settings, or into everything that is wrong. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from emperor.config.access_log import write_access_log
from emperor.config.application import seen_from
from emperor.config.command_keys import COMMAND_KEYS
from emperor.config.contradictions import check_directives, resolve_shares
from emperor.config.document import Document, read_document
from emperor.config.fields import LOG_FIELDS, limits_of, sandbox_of, written_directives
from emperor.config.file_names import NATIVE_SUFFIX, vassal_name
from emperor.config.health_keys import health_of, written_health
from emperor.config.key import Key
from emperor.config.keys import NOT_IN_DEFAULTS, ONE_OF, REQUIRED, VASSAL_KEYS
from emperor.config.log_keys import LOG_WORDS
from emperor.config.network import overlaps
from emperor.config.policy import (
    LOGS,
    Choice,
    Excess,
    base,
    bounded_keys,
    choose,
    excesses,
    how_to_grant,
    name_excesses,
)
from emperor.config.problems import ConfigError, Path, Problem, quoted
from emperor.config.serving_keys import SERVING_KEYS
from emperor.config.settings import (
    PROVIDER,
    EmperorSettings,
    LogConfig,
    Machine,
    Owner,
    SocketMode,
    VassalSettings,
    Workers,
)
from emperor.config.table import Layers, Reading, read_table
from emperor.config.task_keys import TASK_KEYS, task_remarks
from emperor.config.values import TEXT_MAX, resolved
from emperor.config.worker_keys import write_workers

SLOTS_MAX = 4096
"""Workers times threads: the size of the scoreboard."""

VASSAL_DEFAULTS = VassalSettings(name="", app="", directory="/", listen=())
"""The values of all keys that a file leaves out."""

_NOTHING = Document("", {})

_TOUCHED = ("touch_reload", "log.touch_reopen", "log.touch_rotate")

_EXAMPLES = {
    "app": 'write app = "blog.wsgi:application"',
    "listen": 'write listen = "http://127.0.0.1:8000"',
}


def load_vassal(
    name: str,
    text: str,
    file: str,
    folder: str,
    emperor: EmperorSettings,
    owner: Owner = PROVIDER,
) -> VassalSettings | ConfigError:
    """Return the settings that `text` describes, or all that is wrong with it.

    `file` is the file's name for people, `folder` the absolute path that a relative
    `directory` starts from; what a tenant who is `owner` may not have is wrong too.
    Never raises.
    """
    if vassal_name(name + NATIVE_SUFFIX) is None:
        problem = Problem(
            file=file,
            line=1,
            key="name",
            problem=f"{quoted(name)} is not a name for a vassal",
            remedy="name the file with letters, digits, - and _, at most 63, and .toml",
        )
        return ConfigError([problem])
    document = read_document(text, file)
    if isinstance(document, Problem):
        return ConfigError([document])
    return settle(name, document, folder, emperor, owner)


def settle(
    name: str,
    document: Document,
    folder: str,
    emperor: EmperorSettings,
    owner: Owner = PROVIDER,
) -> VassalSettings | ConfigError:
    """Return the settings of a document that was read, or all that is wrong with it."""
    own = document.values
    choice = choose(own.get("plan"), own.get("user"), emperor, owner)
    reading = _read_together(document, emperor, choice)
    written_keys = _written_keys(reading)
    _resolve_paths(reading, folder)
    settings = None if reading.problems else _settings(name, reading, choice.plan, written_keys)
    if settings is not None and owner.tenant:
        for excess in beyond(settings, emperor, choice):
            reading.report(excess.path, excess.problem, excess.remedy)
    if settings is None or reading.problems:
        return ConfigError(
            sorted(reading.problems, key=lambda each: (each.file != document.file, each.line))
        )
    return msgspec.structs.replace(settings, remarks=task_remarks(settings))


class Bounded(NamedTuple):
    """Settings that have what is granted where more was asked for; what that was, each with what
    the provider writes to grant it."""

    settings: VassalSettings | ConfigError
    more: tuple[tuple[Excess, str], ...] = ()


def settle_bounded(
    name: str,
    document: Document,
    folder: str,
    emperor: EmperorSettings,
    owner: Owner = PROVIDER,
) -> Bounded:
    """Return the same as `settle`, where what is beyond the owner's grant does not count.

    Addresses and host names that the owner may not claim are wrong all the same.
    """
    settings = settle(name, document, folder, emperor, owner)
    if not owner.tenant or not isinstance(settings, ConfigError):
        return Bounded(settings)
    choice = choose(document.values.get("plan"), None, emperor, owner)
    reading = _read_together(document, emperor, choice)
    if reading.problems:
        return Bounded(settings)
    asked = _settings(name, reading, choice.plan, frozenset())
    more = tuple(excesses(asked, grant_of(emperor, choice), bounded_keys(emperor, choice)))
    instead = {excess.path: excess.instead for excess in more}
    if ("harakiri",) in instead:
        instead["harakiri_soft",] = None  # it may be no shorter than what is granted
    granted = settle(name, _with(document, instead), folder, emperor, owner)
    return Bounded(
        granted, tuple((each, how_to_grant(each, choice, emperor, owner)) for each in more)
    )


def _with(document: Document, changes: Mapping[Path, object]) -> Document:
    """Return a document with other values at these keys, which are at most two names long; None =
    it says nothing of one."""
    values: dict[str, Any] = {
        key: dict(value) if isinstance(value, dict) else value
        for key, value in document.values.items()
    }
    for path, value in changes.items():
        *above, last = map(str, path)
        table = values.get(above[0], {}) if above else values
        table.pop(last, None)
        if value is not None:
            table[last] = value
    return document._replace(values=values)


def _read_together(document: Document, emperor: EmperorSettings, choice: Choice) -> Reading:
    """Return a document over the plan and the defaults, with what is wrong with that."""
    layers = Layers(with_short_forms(document), with_short_forms(base(emperor, choice)))
    reading = read_table(layers, VASSAL_KEYS)
    # Whoever wrote `bind` is told to write `listen`, and need not be told so twice.
    remedies = {problem.remedy for problem in reading.problems}
    meant = {key for key in (*REQUIRED, *ONE_OF) if f"write {key}" in remedies}
    for key in REQUIRED:
        if key not in reading.values and key not in reading.failed | meant:
            reading.report((key,), *_missing(key, document))
    if not any(reading.values.get(key) or key in reading.failed | meant for key in ONE_OF):
        reading.report((ONE_OF[0],), *_missing(ONE_OF[0], document))
    if choice.fault is not None and "plan" not in reading.failed:
        reading.report(("plan",), choice.fault.problem, choice.fault.remedy)
    resolve_shares(reading, emperor.machine)
    check_together(reading, emperor.machine)
    return reading


def _missing(key: str, document: Document) -> tuple[str, str]:
    """Return the problem and the remedy of a key that is not there, or stands too far below."""
    for table, values in document.values.items():
        if isinstance(values, dict) and key in values:
            _, line = document.located((table, key))
            return (
                f"is missing: in line {line} it is part of [{table}]",
                f"write it above [{table}], if it is the one that is meant",
            )
    return "is missing", _EXAMPLES[key]


def grant_of(emperor: EmperorSettings, choice: Choice) -> VassalSettings:
    """Return what a file has that says nothing itself."""
    granted = read_table(Layers(with_short_forms(base(emperor, choice)), _NOTHING), VASSAL_KEYS)
    resolve_shares(granted, emperor.machine)
    return _settings("", granted, choice.plan, _written_keys(granted))


def beyond(settings: VassalSettings, emperor: EmperorSettings, choice: Choice) -> list[Excess]:
    """Return what a tenant's settings have that its plan and policy do not grant."""
    grant = grant_of(emperor, choice)
    found = excesses(settings, grant, bounded_keys(emperor, choice))
    return found + name_excesses(settings, choice.policy)


def _resolve_paths(reading: Reading, folder: str) -> None:
    """Make every path absolute: `directory` from `folder`, the others from `directory`."""
    values: dict[str, Any] = reading.values
    directory = values["directory"] = resolved(values.get("directory", ""), folder)
    for key in ("python", *LOGS, "pidfile"):
        if key in values and not (key in LOGS and values[key] in LOG_WORDS):
            values[key] = resolved(values[key], directory)
    if "app" in values:
        values["app"] = seen_from(values["app"], directory)
    if "mounts" in values:
        mounts = values["mounts"]
        values["mounts"] = {at: seen_from(app, directory) for at, app in mounts.items()}
    if "static" in values:
        static = values["static"]
        values["static"] = {at: resolved(path, directory) for at, path in static.items()}
    for key in (*_TOUCHED, "pythonpath", "check_static", "fifo"):
        if key in values:
            values[key] = tuple(resolved(path, directory) for path in values[key])
    for key in (*_TOUCHED, *LOGS, "directory", "python", "pythonpath", "pidfile", "fifo"):
        found = values.get(key, ())
        paths = (found,) if isinstance(found, str) else found
        if any(len(path.encode()) >= TEXT_MAX for path in paths):
            reading.report(
                tuple(key.split(".")), "is longer than a path can be", "choose a shorter path"
            )


def check_defaults(document: Document, machine: Machine) -> list[Problem]:
    """Return what is wrong with the table [defaults] of an emperor's file."""
    reading = check_layer(document, VASSAL_KEYS, machine)
    for key in NOT_IN_DEFAULTS:
        if key in document.values:
            reading.report((key,), "two vassals cannot share it", "write it in the vassals' files")
    if "plan" in document.values:
        reading.report(("plan",), "does nothing here", "write default_plan under [policy]")
    return reading.problems


def check_layer(document: Document, keys: Mapping[str, Key], machine: Machine) -> Reading:
    """Read a table that is merged under vassal files, and find what is wrong with it.

    `document.values` are that table's, `document.lines` too.
    """
    reading = read_table(Layers(with_short_forms(document), _NOTHING), keys)
    resolve_shares(reading, machine)
    check_together(reading, machine)
    return reading


def with_log_table(document: Document) -> Document:
    """Return the document with `log = "journal"` written as `[log] target = "journal"`."""
    log = document.values.get("log")
    if log is None or isinstance(log, dict):
        return document
    return document._replace(values={**document.values, "log": {"target": log}})


def with_short_forms(document: Document) -> Document:
    """Return the document with short forms written in full.

    `log = "journal"` is `[log] target = "journal"`; private_network = true is
    network = "none", where the same table has no network.
    """
    document = with_log_table(document)
    sandbox = document.values.get("sandbox")
    if not isinstance(sandbox, dict) or sandbox.get("private_network") is not True:
        return document
    if "network" in sandbox:
        return document
    full = {**sandbox, "network": "none"}
    del full["private_network"]
    line = document.located(("sandbox", "private_network"))[1]
    return document._replace(
        values={**document.values, "sandbox": full},
        lines={**document.lines, ("sandbox", "network"): line},
    )


def check_together(reading: Reading, machine: Machine) -> None:
    """Report values that are right alone and contradict one another."""
    check_directives(reading, machine)
    values: dict[str, Any] = reading.values
    if "harakiri" not in reading.failed:
        _check_harakiri(reading, values.get("harakiri", VASSAL_DEFAULTS.harakiri))
    jitter = values.get("max_requests_jitter", 0)
    requests = values.get("max_requests", 0)
    if jitter > requests and "max_requests" not in reading.failed:
        reading.report(
            reading.blamed("max_requests_jitter", "max_requests"),
            f"max_requests_jitter = {jitter} is more than max_requests = {requests}",
            "write a smaller jitter, or remove it",
        )
    if (
        values.get("idle_stop")
        and not values.get("on_demand")
        and "on_demand" not in reading.failed
    ):
        reading.report(
            reading.blamed("idle_stop", "on_demand"),
            "idle_stop does nothing without on_demand",
            "write on_demand = true, or remove it",
        )
    workers, threads = values.get("workers", Workers(1, 1)).max, values.get("threads", 1)
    if workers * threads > SLOTS_MAX:
        reading.report(
            reading.blamed("threads", "workers"),
            f"{workers} workers of {threads} threads are too many",
            f"write workers and threads so that their product is at most {SLOTS_MAX}",
        )
    listen = values.get("listen", ())
    for index, address in enumerate(values.get("stats", ())):
        if any(overlaps(address, other) for other in listen):
            reading.report(
                ("stats", index),
                f"{quoted(address.url)} is an address of listen",
                "write another one",
            )
    if values.get("hosts") and listen and not any(address.file for address in listen):
        reading.report(
            ("hosts",),
            "there is no unix socket that these names could lead to",
            'add "uwsgi+unix:///run/emperor/NAME.sock" to listen',
        )


def _check_harakiri(reading: Reading, harakiri: float) -> None:
    values: dict[str, Any] = reading.values
    soft, longest = values.get("harakiri_soft", 0.0), values.get("harakiri_max", 0.0)
    for name, value in (("harakiri_soft", soft), ("harakiri_max", longest)):
        if value and not harakiri:
            reading.report(
                reading.blamed(name, "harakiri"),
                f"{name} does nothing while harakiri is 0",
                f"give harakiri a time, or write {name} = 0",
            )
    if soft and harakiri and soft >= harakiri:
        reading.report(
            reading.blamed("harakiri_soft", "harakiri"),
            f"harakiri_soft = {soft:g} is not shorter than harakiri = {harakiri:g}",
            "write less than harakiri, or 0 to turn it off",
        )
    if longest and longest < harakiri:
        reading.report(
            reading.blamed("harakiri_max", "harakiri"),
            f"harakiri_max = {longest:g} is shorter than harakiri = {harakiri:g}",
            f"write at least {harakiri:g}, or 0",
        )


# Top-level keys go into the field of the same name.
_SAME_NAME = tuple(name for name in VASSAL_KEYS if "." not in name)


def _settings(
    name: str, reading: Reading, plan: str | None, written_keys: frozenset[str]
) -> VassalSettings:
    values: Mapping[str, Any] = {"app": "", "directory": "/", "listen": (), **reading.values}
    fields = {field: values[field] for field in _SAME_NAME if field in values}
    log = {
        field: values[f"log.{key}"] for key, field in LOG_FIELDS.items() if f"log.{key}" in values
    }
    socket = {
        field: values[f"socket.{field}"]
        for field in ("user", "group", "mode")
        if f"socket.{field}" in values
    }
    return VassalSettings(
        name=name,
        socket=SocketMode(**socket),
        log=LogConfig(**log),
        health=health_of(values),
        limits=limits_of(values),
        sandbox=sandbox_of(values),
        written=written_keys,
        **{**fields, "plan": plan},
    )


def _written_keys(reading: Reading) -> frozenset[str]:
    """Return the keys that somebody wrote; landlock = "auto" asks for nothing."""
    found = set(reading.values)
    for document in (reading.layers.own, reading.layers.defaults):
        sandbox = document.values.get("sandbox")
        if isinstance(sandbox, dict) and "landlock" in sandbox:
            if sandbox["landlock"] == "auto":
                found.discard("sandbox.landlock")
            break
    return frozenset(found)


def written(settings: VassalSettings) -> dict[str, object]:
    """Return the values of a file that would give `settings`, whatever is merged under it.

    Of [limits] and [sandbox] only what differs from the built-in.
    """
    values: dict[str, object] = {field: getattr(settings, field) for field in _SAME_NAME}
    for key in (*SERVING_KEYS, *COMMAND_KEYS, *TASK_KEYS):
        values[key.name] = key.write(values[key.name])
    if not settings.app:
        del values["app"]
    values["access_log"] = write_access_log(settings.access_log)
    values["workers"] = write_workers(settings.workers)
    for field in ("pythonpath", "touch_reload", "hosts"):
        values[field] = list(getattr(settings, field))
    values["listen"] = [address.url for address in settings.listen]
    values["stats"] = [address.url for address in settings.stats]
    socket = {"user": settings.socket.user, "group": settings.socket.group}
    named = {key: value for key, value in socket.items() if value is not None}
    values["socket"] = {**named, "mode": f"{settings.socket.mode:03o}"}
    log = {key: getattr(settings.log, field) for key, field in LOG_FIELDS.items()}
    values["log"] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in log.items()
        if value is not None
    }
    values["health"] = written_health(settings.health)
    values |= written_directives(settings)
    return {key: value for key, value in values.items() if value is not None}

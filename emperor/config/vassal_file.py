"""Turns the text of a vassal file into settings, or into everything that is wrong. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from emperor.config.document import Document, read_document
from emperor.config.keys import LOG_WORDS, NOT_IN_DEFAULTS, REQUIRED, VASSAL_KEYS
from emperor.config.problems import ConfigError, Path, Problem, quoted
from emperor.config.settings import EmperorSettings, LogConfig, SocketMode, VassalSettings
from emperor.config.table import Layers, Reading, read_table
from emperor.config.values import TEXT_MAX, resolved

SUFFIX = ".toml"
SLOTS_MAX = 4096
"""Workers times threads: the size of the scoreboard."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

VASSAL_DEFAULTS = VassalSettings(name="", app="", directory="/", listen=())
"""The values of all keys that a file leaves out."""

_EXAMPLES = {
    "app": 'write app = "blog.wsgi:application"',
    "listen": 'write listen = "http://127.0.0.1:8000"',
}


def vassal_name(file_name: str) -> str | None:
    """Return the name of the vassal that `file_name` describes; None = it is no vassal file.

    The name becomes part of paths, so nothing but letters, digits, "_", "-" and dots.
    """
    name = file_name.removesuffix(SUFFIX)
    if name == file_name or not _NAME.fullmatch(name) or ".." in name:
        return None
    return name


def load_vassal(
    name: str, text: str, file: str, folder: str, emperor: EmperorSettings
) -> VassalSettings | ConfigError:
    """Return the settings that `text` describes, or all that is wrong with it.

    `file` is the file's name for people, `folder` the absolute path that a relative
    `directory` starts from. Never raises.
    """
    if vassal_name(name + SUFFIX) is None:
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
    return settle(name, document, folder, emperor)


def settle(
    name: str, document: Document, folder: str, emperor: EmperorSettings
) -> VassalSettings | ConfigError:
    """Return the settings of a document that was read, or all that is wrong with it."""
    defaults = Document(emperor.file, emperor.defaults, _paths(emperor.defaults_lines))
    reading = read_table(Layers(with_log_table(document), with_log_table(defaults)), VASSAL_KEYS)
    for key in REQUIRED:
        if key not in reading.values and key not in reading.failed:
            reading.report((key,), "is missing", _EXAMPLES[key])
    check_together(reading)
    _resolve_paths(reading, folder)
    if reading.problems:
        return ConfigError(
            sorted(reading.problems, key=lambda each: (each.file != document.file, each.line))
        )
    return _settings(name, reading.values)


def _resolve_paths(reading: Reading, folder: str) -> None:
    """Make every path absolute: `directory` from `folder`, the others from `directory`."""
    values: dict[str, Any] = reading.values
    directory = values["directory"] = resolved(values.get("directory", ""), folder)
    for key in ("python", "log.target"):
        if key in values and not (key == "log.target" and values[key] in LOG_WORDS):
            values[key] = resolved(values[key], directory)
    for key in ("pythonpath", "touch_reload"):
        if key in values:
            values[key] = tuple(resolved(path, directory) for path in values[key])
    for key in ("directory", "python", "pythonpath", "touch_reload", "log.target"):
        found = values.get(key, ())
        paths = (found,) if isinstance(found, str) else found
        if any(len(path.encode()) >= TEXT_MAX for path in paths):
            reading.report(
                tuple(key.split(".")), "is longer than a path can be", "choose a shorter path"
            )


def check_defaults(document: Document) -> list[Problem]:
    """Return what is wrong with the table [defaults] of an emperor's file.

    `document.values` are that table's, `document.lines` too.
    """
    layers = Layers(with_log_table(document), Document(document.file, {}))
    reading = read_table(layers, VASSAL_KEYS)
    for key in NOT_IN_DEFAULTS:
        if key in document.values:
            reading.report((key,), "two vassals cannot share it", "write it in the vassals' files")
    check_together(reading)
    return reading.problems


def with_log_table(document: Document) -> Document:
    """Return the document with `log = "journal"` written as `[log] target = "journal"`."""
    log = document.values.get("log")
    if log is None or isinstance(log, dict):
        return document
    return document._replace(values={**document.values, "log": {"target": log}})


def _paths(lines: Mapping[str, int]) -> dict[Path, int]:
    """Return lines by path, from lines by dotted key. No key of ours contains a dot."""
    return {tuple(key.split(".")): line for key, line in lines.items()}


def check_together(reading: Reading) -> None:
    """Report values that are right alone and contradict one another."""
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
    workers, threads = values.get("workers", 1), values.get("threads", 1)
    if workers * threads > SLOTS_MAX:
        reading.report(
            reading.blamed("threads", "workers"),
            f"{workers} workers of {threads} threads are too many",
            f"write workers and threads so that their product is at most {SLOTS_MAX}",
        )
    listen = values.get("listen", ())
    if values.get("hosts") and listen and not any(address.path for address in listen):
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


_LOG_FIELDS = {
    "target": "target",
    "max_size": "max_bytes",
    "keep": "keep",
    "rate": "lines_per_second",
}
# Top-level keys go into the field of the same name.
_SAME_NAME = tuple(name for name in VASSAL_KEYS if "." not in name)


def _settings(name: str, values: Mapping[str, Any]) -> VassalSettings:
    fields = {field: values[field] for field in _SAME_NAME if field in values}
    log = {
        field: values[f"log.{key}"] for key, field in _LOG_FIELDS.items() if f"log.{key}" in values
    }
    socket = {
        field: values[f"socket.{field}"]
        for field in ("user", "group", "mode")
        if f"socket.{field}" in values
    }
    prefix = "limits.limit_"
    return VassalSettings(
        name=name,
        socket=SocketMode(**socket),
        log=LogConfig(**log),
        limits={
            key.removeprefix(prefix): pair for key, pair in values.items() if key.startswith(prefix)
        },
        not_applied=tuple(key for key in values if not VASSAL_KEYS[key].applied),
        **fields,
    )


def written(settings: VassalSettings) -> dict[str, object]:
    """Return the values of a file that would give `settings`, but for what is not applied."""
    values: dict[str, object] = {field: getattr(settings, field) for field in _SAME_NAME}
    for field in ("pythonpath", "touch_reload", "hosts"):
        values[field] = list(getattr(settings, field))
    values["listen"] = [address.url for address in settings.listen]
    socket = {"user": settings.socket.user, "group": settings.socket.group}
    named = {key: value for key, value in socket.items() if value is not None}
    values["socket"] = {**named, "mode": f"{settings.socket.mode:03o}"}
    values["log"] = {key: getattr(settings.log, field) for key, field in _LOG_FIELDS.items()}
    values["limits"] = {
        f"limit_{name}": f"{_limit(pair.soft)}:{_limit(pair.hard)}"
        for name, pair in settings.limits.items()
    }
    return {key: value for key, value in values.items() if value is not None}


def _limit(value: int) -> str:
    return "infinity" if value < 0 else str(value)

"""The options of `emperor serve`: the keys of a vassal file, on the command line. Pure.

Names, checks, defaults and help are the vassal file's own, so that an application can
move into a file word by word. Imported for `emperor serve` only.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

from emperor.cli.errors import UsageError
from emperor.config.application import seen_from
from emperor.config.keys import VASSAL_KEYS
from emperor.config.problems import Invalid, dotted
from emperor.config.settings import LogConfig, VassalSettings, Workers
from emperor.config.values import resolved

_TEXT_KEYS = ("directory", "python", "access_log")
_LISTEN = "http://127.0.0.1:8000"
"""Where who is told no address listens, as gunicorn does: to be seen from this machine alone."""
_HELP = {
    "app": "MODULE:CALLABLE or FILE.py:CALLABLE, or a FACTORY(ARGUMENTS) instead of CALLABLE.",
    "directory": "Working directory, on the import path. Default: the current one.",
    "listen": "PROTOCOL://HOST:PORT or PROTOCOL+unix:///PATH; http, uwsgi, fastcgi or scgi. "
    f"May be given more than once. Default: {_LISTEN}.",
    "access_log": "A line for each request: on or off.",
    "autoreload": "The application is loaded anew when its files change, looked at so often. "
    "0 = never.",
    "workers": "Processes.",
    "env": "Environment variable of the application. May be given more than once.",
    "pythonpath": "One more folder on the import path. May be given more than once.",
}
_NUMBER_KEYS = (
    "workers",
    "threads",
    "harakiri",
    "harakiri_max",
    "harakiri_soft",
    "spawn_timeout",
    "stop_timeout",
    "socket_timeout",
    "keepalive_timeout",
    "max_requests",
    "max_requests_jitter",
    "max_worker_lifetime",
    "reload_on_rss",
    "reload_on_as",
    "autoreload",
    "max_head",
    "max_body",
    "backlog",
)
_GUNICORN = {
    ("-b", "--bind"): "write --listen http://HOST:PORT",
    ("-w",): "write --workers N",
    ("-t", "--timeout"): "write --harakiri S",
    ("-e",): "write --env K=V",
    ("--chdir",): "write --directory PATH",
    ("--graceful-timeout",): "write --stop-timeout S",
    ("--keep-alive",): "write --keepalive-timeout S",
    ("--reload",): "write --autoreload S",
    ("--access-logfile",): "write --access-log on",
    ("-c", "--config"): "write a vassal file, for an emperor",
    ("-D", "--daemon"): "leave it out: let systemd run it in the background",
    ("-u", "--user", "-g", "--group"): "leave it out: it runs as who starts it",
    ("-k", "--worker-class", "--preload", "--error-logfile", "--log-file", "--log-level"): (
        "leave it out: there is no choice"
    ),
}
"""What those who come from gunicorn write, and what to do instead."""


@dataclass(frozen=True)
class ServeOptions:
    """What `emperor serve` was asked to do.

    `settings` is as complete as a vassal file's; user, group, hosts, limits and
    touch_reload stand at their defaults, and output is inherited. Without `master` one
    process serves, and harakiri is alarm().
    """

    settings: VassalSettings
    master: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; every value stays text until `parse`."""
    parser.add_argument("app", metavar="APP", help=_HELP["app"])
    parser.add_argument("--listen", metavar="URL", action="append", help=_HELP["listen"])
    for name in (*_TEXT_KEYS, *_NUMBER_KEYS):
        parser.add_argument(_option(name), metavar=_metavar(name), help=_help(name))
    parser.add_argument(
        "--pythonpath", metavar="DIR", action="append", default=[], help=_HELP["pythonpath"]
    )
    parser.add_argument("--env", metavar="K=V", action="append", default=[], help=_HELP["env"])
    parser.add_argument(
        "--no-master",
        dest="master",
        action="store_false",
        help="Serve in one process without supervision. Harakiri is then alarm(): "
        "unreliable, an application can block or reset it.",
    )


def parse(arguments: argparse.Namespace, current_directory: str) -> ServeOptions:
    """Return the checked options; raise UsageError that names everything wrong.

    Relative paths are seen from `current_directory`.
    """
    faults: list[str] = []
    given: dict[str, object] = {"app": arguments.app, "listen": arguments.listen or [_LISTEN]}
    for name in (*_TEXT_KEYS, *_NUMBER_KEYS):
        text = getattr(arguments, name)
        if text is not None:
            # A bare number is one for the parsers of a TOML file too.
            is_number = name in _NUMBER_KEYS and text.isascii() and text.isdigit()
            given[name] = int(text[:20]) if is_number else text
    given["pythonpath"] = arguments.pythonpath
    given["env"] = _environment(arguments.env, faults)
    values = _checked(given, faults)
    if not arguments.master and values.get("workers", Workers(1, 1)) != Workers(1, 1):
        faults.append("--no-master: one process serves; leave out --workers")
    if not arguments.master and values.get("autoreload"):
        faults.append("--no-master: nobody loads it anew; leave out --autoreload")
    if faults:
        raise UsageError("\n".join(faults))
    return ServeOptions(_settings(values, current_directory), arguments.master)


def not_understood(words: Iterable[str]) -> str:
    """Return, for what argparse could not place, what to write instead, in a line for each."""
    remedies = {option: remedy for options, remedy in _GUNICORN.items() for option in options}
    faults = []
    for word in words:
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        if name.startswith("-") and name != "-":
            remedy = remedies.get(name, "see: emperor serve --help")
            faults.append(f"{name}: unknown option; {remedy}")
    return "\n".join(faults)


def _checked(given: dict[str, object], faults: list[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in given.items():
        try:
            values[name] = VASSAL_KEYS[name].parse(value)
        except Invalid as error:
            where = "APP" if name == "app" else _option(name)
            for fault in error.faults:
                # [0] is the first --listen; only names, as those of --env, tell more.
                part = dotted(tuple(p for p in fault.path if isinstance(p, str)))
                faults.append(f"{where}: {part and part + ': '}{fault.problem}; {fault.remedy}")
    return values


def _settings(values: dict[str, object], current_directory: str) -> VassalSettings:
    values["directory"] = resolved(str(values.get("directory", ".")), current_directory)
    if "python" in values:
        values["python"] = resolved(str(values["python"]), current_directory)
    paths = values["pythonpath"]
    assert isinstance(paths, tuple)
    values["pythonpath"] = tuple(resolved(path, current_directory) for path in paths)
    app = values["app"] = seen_from(str(values["app"]), str(values["directory"]))
    name = app.partition(":")[0].rpartition("/")[2].partition(".")[0] or "app"
    return VassalSettings(name=name, log=LogConfig(target="inherit"), **values)  # type: ignore[arg-type]


def _environment(pairs: Iterable[str], faults: list[str]) -> dict[str, str]:
    environment = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            faults.append(f"--env: {pair[:60]!r} has no value; write --env {pair[:60]}=VALUE")
        environment[name] = value
    return environment


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _metavar(name: str) -> str:
    if name == "access_log":
        return "on|off"
    if name in _TEXT_KEYS:
        return "PATH"
    if name in ("reload_on_rss", "reload_on_as", "max_head", "max_body"):
        return "SIZE"
    is_time = any(word in name for word in ("timeout", "harakiri", "lifetime", "autoreload"))
    return "S" if is_time else "N"


def _help(name: str) -> str:
    key = VASSAL_KEYS[name]
    text = _HELP.get(name, key.help)
    if key.default:
        text += " Default: " + key.default.strip('"') + "."
    return text.replace("%", "%%")

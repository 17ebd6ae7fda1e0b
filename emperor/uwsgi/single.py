"""The command line of one application without an emperor, in our terms. Pure.

It goes through the same rules as a vassal's file. What is different is said here: there is no
brain that could start it again, wake it, or make a folder for its log.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from emperor.config.file_names import NATIVE_SUFFIX, vassal_name
from emperor.config.problems import ConfigError
from emperor.config.settings import EmperorSettings, LogConfig, VassalSettings
from emperor.config.values import resolved
from emperor.uwsgi.applications import Glob
from emperor.uwsgi.draft import Verdict
from emperor.uwsgi.environment import ENVIRONMENT
from emperor.uwsgi.immediate import LOADERS
from emperor.uwsgi.option import Option
from emperor.uwsgi.read import Loaded
from emperor.uwsgi.rows import Support
from emperor.uwsgi.translate import settle_translation, translate
from emperor.uwsgi.values import truth
from emperor.uwsgi.vassal import options_of
from emperor.uwsgi.words import COMMAND_LINE
from vassal.master.commands import ALONE, Command, by_signal

_ASLEEP = "it serves all the time: only under an emperor does the first connection start it"
_FOREGROUND = (
    "it stays in the foreground: let systemd run it, with Type=notify in the unit and without "
    "this option"
)
_SAID: Mapping[str, tuple[Support, str]] = {
    "daemonize": (Support.UNSUPPORTED, _FOREGROUND),
    "daemonize2": (Support.UNSUPPORTED, _FOREGROUND),
    "cheap": (Support.UNSUPPORTED, _ASLEEP),
    "vacuum": (Support.SATISFIED, "at its end the files of its sockets are removed"),
    "exit-on-reload": (Support.UNSUPPORTED, "let the supervisor send SIGINT instead"),
}
_PRIVATE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")
"""Variables by which systemd speaks with the master, and with nobody else."""


class Single(NamedTuple):
    """One application. `environ` is the whole environment that it sees; `signals` are heard.
    It ends when nothing was asked for the settings' idle_stop.
    """

    settings: VassalSettings
    environ: Mapping[str, str]
    signals: Mapping[int, Command]
    verdicts: tuple[Verdict, ...]


def single_app(
    loaded: Loaded,
    cwd: str,
    environ: Mapping[str, str],
    emperor: EmperorSettings,
    glob: Glob,
) -> Single | ConfigError:
    """Return what a command line means that was read without problems, started in `cwd` and in
    this environment. `glob` is a Host's."""
    options = loaded.options
    name = _name(options)
    translation = translate(name, options, cwd, COMMAND_LINE, glob)
    settings = settle_translation(translation, name, cwd, emperor)
    if isinstance(settings, ConfigError):
        return settings
    flags = {option.name: truth(option.value) for option in options}
    ends_idle = flags.get("die-on-idle", False) and bool(settings.idle_stop)
    settings = msgspec.structs.replace(
        settings,
        on_demand=False,
        idle_stop=settings.idle_stop if ends_idle else 0.0,
        log=_log(settings.log),
        pythonpath=settings.pythonpath + _paths(environ, cwd, settings.directory),
        uwsgi_options=options_of(loaded.everything),
    )
    signals = by_signal(settings.signals) if flags.get("master") else ALONE
    return Single(
        settings,
        _environment(environ, settings.env, options),
        signals,
        tuple(_judged(each, ends_idle) for each in translation.verdicts),
    )


def _name(options: Sequence[Option]) -> str:
    """Return a name for log and processes: that of its file, else of its module."""
    for option in options:
        if option.name in LOADERS and option.file in (COMMAND_LINE, ENVIRONMENT):
            found = _name_in(option.value)
            if found:
                return found
    for option in options:
        if option.name in ("module", "wsgi", "wsgi-file", "file"):
            found = _name_in(option.value)
            if found:
                return found
    return "app"


def _name_in(path: str) -> str:
    stem = path.rpartition("/")[2].partition(":")[0].partition(".")[0]
    return vassal_name(stem + NATIVE_SUFFIX) or ""


def _log(log: LogConfig) -> LogConfig:
    """Return the same; there is no log directory, so it goes where it comes from."""
    if log.requests == "file":
        log = msgspec.structs.replace(log, requests=None)
    return msgspec.structs.replace(log, target="inherit") if log.target == "file" else log


def _paths(environ: Mapping[str, str], cwd: str, directory: str) -> tuple[str, ...]:
    """Return what PYTHONPATH adds; an isolated interpreter does not read it itself."""
    found = [resolved(path, cwd) for path in environ.get("PYTHONPATH", "").split(":") if path]
    return (directory, *found) if found else ()


def _environment(
    environ: Mapping[str, str], env: Mapping[str, str], options: Sequence[Option]
) -> dict[str, str]:
    hidden = {option.value.partition("=")[0] for option in options if option.name == "unenv"}
    hidden.update(_PRIVATE)
    return {name: text for name, text in environ.items() if name not in hidden} | dict(env)


def _judged(verdict: Verdict, ends_idle: bool) -> Verdict:
    """Return the verdict as it is without an emperor."""
    name = verdict.option.name
    if name in _SAID and verdict.verdict is not Support.IGNORED:
        return verdict._replace(verdict=_SAID[name][0], text=_SAID[name][1])
    if name in ("idle", "die-on-idle") and verdict.verdict is not Support.IGNORED:
        if ends_idle:
            return verdict._replace(verdict=Support.SUPPORTED, text="idle_stop: it ends then")
        return verdict._replace(verdict=Support.UNSUPPORTED, text=_ASLEEP)
    return verdict

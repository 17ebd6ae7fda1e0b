"""`emperor uwsgi …`: the command line that uWSGI had, so that in a unit only the program's name
changes. With --emperor it is an emperor, without it one application."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from emperor.cli.errors import FAILED, UsageError
from emperor.cli.runtime_dir import named_runtime_dir, runtime_dir
from emperor.cli.uwsgi_steer import steer
from emperor.config.machine import probe_machine
from emperor.config.problems import ConfigError, printable
from emperor.config.resolve import why_not_made
from emperor.config.settings import EmperorSettings
from emperor.run import run_emperor
from emperor.uwsgi.command_line import PIDFILES, SETTINGS_FILE, EmperorsOwn, emperors_own
from emperor.uwsgi.draft import Verdict
from emperor.uwsgi.environment import from_environment
from emperor.uwsgi.option import Option
from emperor.uwsgi.read import Loaded, load_command
from emperor.uwsgi.real_host import RealHost, facts_of
from emperor.uwsgi.report import NEEDS_A_PERSON, verdict_line
from emperor.uwsgi.rows import Support
from emperor.uwsgi.single import Single, single_app
from emperor.uwsgi.table import KNOWN
from emperor.uwsgi.words import take_apart

_MADE = {"master-fifo": "fifo", **dict.fromkeys(PIDFILES, "pidfile")}
"""What the emperor makes where an option says so."""


def run_uwsgi(words: Sequence[str]) -> int:
    """Run in the foreground until stopped; return the exit status."""
    status = steer(take_apart(words, KNOWN).options)
    if status is not None:
        return status
    cwd = str(Path.cwd())
    found = _read(words, cwd)
    if isinstance(found, ConfigError):
        print(found, file=sys.stderr)
        return FAILED
    if any(option.name == "emperor" for option in found.options):
        for_vassals = from_environment(os.environ, KNOWN).for_vassals
        return _run_emperor(found.options, for_vassals, cwd)
    from emperor.serve_uwsgi import serve_uwsgi

    return serve_uwsgi(lambda: _single(words, cwd))


def _read(words: Sequence[str], cwd: str) -> Loaded | ConfigError:
    """Return all options of the environment, the command line and the files they name."""
    taken = take_apart(words, KNOWN)
    if taken.problems:
        return ConfigError(taken.problems)
    facts = facts_of(cwd, os.geteuid(), os.getegid(), os.environ)
    before = from_environment(os.environ, KNOWN).own
    loaded = load_command(taken.options, RealHost(), facts, KNOWN, before)
    return ConfigError(loaded.problems) if loaded.problems else loaded


def _single(words: Sequence[str], cwd: str) -> Single | ConfigError:
    found = _read(words, cwd)
    if isinstance(found, ConfigError):
        return found
    emperor = EmperorSettings(machine=probe_machine())
    return single_app(found, cwd, os.environ, emperor, RealHost().glob)


def _run_emperor(
    options: Sequence[Option], for_vassals: Sequence[tuple[str, str]], cwd: str
) -> int:
    own = emperors_own(options, KNOWN, cwd, for_vassals)
    if own.problems:
        print(ConfigError(own.problems), file=sys.stderr)
        return FAILED
    for verdict in _placed(own):
        if verdict.verdict in NEEDS_A_PERSON:
            print(f"emperor: {verdict_line(verdict)}", file=sys.stderr)
    where = runtime_dir(None, os.environ, os.geteuid())
    try:
        settings_file = _write(where, own.text)
        if own.log:
            _log_to(own.log)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    try:
        return run_emperor(str(settings_file), named_runtime_dir(None, os.environ), [])
    finally:
        settings_file.unlink(missing_ok=True)


def _placed(own: EmperorsOwn) -> list[Verdict]:
    """Return the verdicts, and on a fifo or pidfile that the brain will not make the contrary."""
    wrong = {name: why_not_made(path, _MADE[name]) for name, path in own.made.items()}
    return [
        verdict._replace(verdict=Support.UNSUPPORTED, text=problem)
        if (problem := wrong.get(verdict.option.name))
        else verdict
        for verdict in own.verdicts
    ]


def _write(where: Path, text: str) -> Path:
    """Replace the settings file; whoever reads it meanwhile sees the old one or the new one."""
    where.mkdir(parents=True, exist_ok=True)
    path, new = where / SETTINGS_FILE, where / f".{SETTINGS_FILE}.new"
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        command = printable(" ".join(sys.argv[1:]))
        file.write(f"# Made by: emperor {command}\n{text}")
    new.replace(path)
    return path


def _log_to(path: str) -> None:
    """Let everything that this process and the brain say go to the end of a file."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    os.dup2(fd, sys.stdout.fileno())
    os.dup2(fd, sys.stderr.fileno())
    os.close(fd)

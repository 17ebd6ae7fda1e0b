"""The command `emperor`: reads the command line and calls what does the work.

What a command needs is imported when it is called for: a status must be there at once.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from functools import partial

from emperor.cli.errors import DONE, FAILED, NO_EMPEROR, USAGE, UsageError
from emperor.cli.runtime_dir import VARIABLE, named_runtime_dir

_EPILOG = f"""\
exit status:
  {DONE}  done
  {FAILED}  a problem was found, or the emperor refused
  {USAGE}  the command line is wrong
  {NO_EMPEROR}  no emperor could be reached

environment:
  {VARIABLE}  where the emperor keeps its control socket; default: /run/emperor
                       for root, else $XDG_RUNTIME_DIR/emperor, or without that
                       ~/.local/state/run/emperor
  NO_COLOR             no colours on the terminal
"""
_UWSGI = """\
In a unit that started uWSGI only the program has to be changed.

With --emperor DIR it is an emperor. Options that count: --emperor DIR, --emperor-tyrant,
--uid USER, --logto FILE, --vassals-inherit FILE, --vassals-include FILE,
--vassals-inherit-before FILE, --vassals-include-before FILE, --vassal-set NAME=VALUE, and
--ini FILE and the like for a file that has them. The runtime directory is that of
EMPEROR_RUNTIME_DIR.

Without it one application is served, by the same options as in a vassal's file: --ini FILE, or
--http :8000 --wsgi-file app.py --processes 4. It stays in the foreground. --reload PIDFILE and
--stop PIDFILE signal one that runs.

Of every option that is not done it says what becomes of it.
"""
LOG_LINES_DEFAULT = 100
WAIT_TIMEOUT_S = 300.0
LOG_LINES_MAX = 10_000


def main(words: Sequence[str] | None = None) -> int:
    """Run one command, that of the command line without `words`; return the exit status."""
    if words is None:
        words = sys.argv[1:]
        _open_standard_streams()
    if list(words[:1]) == ["uwsgi"] and words[1:2] not in (["-h"], ["--help"]):
        arguments = argparse.Namespace(command="uwsgi", words=words[1:], more=[])
    else:
        arguments, more = build_parser(words).parse_known_args(words)
        arguments.more = more
    try:
        _refuse_more(arguments)
        status = _run(arguments)
        sys.stdout.flush()
    except UsageError as error:
        for line in str(error).split("\n"):
            print(f"emperor {arguments.command}: {line}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        _forget_output()  # `emperor status | head`
        return DONE
    except OSError as error:
        prints = arguments.command not in ("run", "serve", "uwsgi")
        if not prints or error.errno != errno.ENOSPC or error.filename is not None:
            raise
        _forget_output()
        print(f"emperor {arguments.command}: standard output: {error.strerror}", file=sys.stderr)
        return FAILED
    return status


def _refuse_more(arguments: argparse.Namespace) -> None:
    """Raise UsageError for words that the command has no use for."""
    if not arguments.more:
        return
    told = ""
    if arguments.command == "serve":
        from emperor.cli.serve_options import not_understood

        told = not_understood(arguments.more)
    raise UsageError(told or "\n".join(map(partial(_too_much, arguments.command), arguments.more)))


def _too_much(command: str, word: str) -> str:
    what = "is too much"
    if word.startswith("-"):
        what = "is no option here (options stand behind the command)"
    return f"{word}: {what}; see: emperor {command} --help"


def _forget_output() -> None:
    """Write no more to standard output. At exit Python would flush again, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_standard_streams() -> None:
    """Fill descriptors 0 to 2 that were closed: a socket or a pipe of ours would get the number
    of standard error, and what is logged."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for `words`; only the options of `serve` depend on them."""
    parser = argparse.ArgumentParser(
        prog="emperor",
        description="Supervises and limits applications: one emperor, many vassals.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--runtime-dir", metavar="DIR", help="where the emperor is")
    patience = argparse.ArgumentParser(add_help=False)
    patience.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=WAIT_TIMEOUT_S,
        help=f"wait no longer than this for each vassal (default: {WAIT_TIMEOUT_S:g})",
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")

    run = commands.add_parser("run", parents=[where], help="run an emperor in the foreground")
    run.add_argument("--config", metavar="FILE", help="the emperor's own settings, emperor.toml")
    run.add_argument("directories", metavar="DIR", nargs="*", help="a folder of vassal files")

    # Its words are uWSGI's: they do not come this far.
    commands.add_parser(
        "uwsgi",
        help="run an emperor, or one application, with uWSGI's options",
        usage="emperor uwsgi [OPTION ...]",
        description=_UWSGI,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    serve = commands.add_parser(
        "serve",
        help="serve one application without an emperor",
        usage="emperor serve [OPTION ...] APP",
        allow_abbrev=False,
    )
    if list(words[:1]) == ["serve"]:
        from emperor.cli.serve_options import add_arguments

        add_arguments(serve)

    check = commands.add_parser("check", help="say everything that is wrong with vassal files")
    check.add_argument("files", metavar="FILE", nargs="+")
    check.add_argument(
        "--config", metavar="FILE", help="judge by the plans and policy of this emperor.toml"
    )
    check.add_argument("--owner", metavar="NAME", help="judge as if this account owned the files")
    schema = commands.add_parser("schema", help="print the JSON Schema of vassal files")
    schema.add_argument("--emperor", action="store_true", help="print that of emperor.toml instead")

    show = commands.add_parser("show-config", help="print a vassal file, uWSGI's too, as ours")
    show.add_argument("file", metavar="FILE")
    migrate = commands.add_parser("migrate", help="write files of ours for uWSGI's in a folder")
    migrate.add_argument("folder", metavar="DIR", help="the folder of uWSGI's vassal files")
    migrate.add_argument("--to", metavar="DIR", help="where to write them (default: DIR/native)")

    status = commands.add_parser(
        "status", parents=[where, as_json], help="show all vassals, or one in detail"
    )
    status.add_argument("name", type=_name, metavar="NAME", nargs="?")
    for action, text in (
        ("reload", "replace a vassal's processes without refusing a connection"),
        ("rollback", "go back to the last other version of a vassal's file that served"),
        ("restart", "stop a vassal and start it anew"),
        ("stop", "stop a vassal until it is started again"),
        ("start", "start a stopped, parked or waiting vassal now"),
    ):
        steer = commands.add_parser(action, parents=[where, patience], help=text)
        steer.add_argument("name", type=_name, metavar="NAME")
        steer.add_argument(
            "--wait", action="store_true", help="wait for the end; exit status 1 = it failed"
        )
    reopen = commands.add_parser(
        "reopen", parents=[where], help="open log files anew, after somebody has moved them away"
    )
    reopen.add_argument(
        "name", type=_name, metavar="NAME", nargs="?", help="the vassal; default: all"
    )
    upgrade = commands.add_parser(
        "upgrade", parents=[where, patience], help="take new code and settings in; vassals serve on"
    )
    upgrade.add_argument(
        "--vassals", action="store_true", help="then give each vassal a new master, one by one"
    )
    commands.add_parser("events", parents=[where, as_json], help="print what happens")
    logs = commands.add_parser("logs", parents=[where], help="print a vassal's log")
    logs.add_argument("name", type=_name, metavar="NAME")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    logs.add_argument(
        "-n",
        "--lines",
        metavar="N",
        type=_line_count,
        default=LOG_LINES_DEFAULT,
        help=f"begin N lines before the end (default: {LOG_LINES_DEFAULT})",
    )
    explain = commands.add_parser(
        "explain", parents=[where, as_json], help="what is wanted of a vassal, what is, and why"
    )
    explain.add_argument("name", type=_name, metavar="NAME")
    explain.add_argument(
        "--steps", action="store_true", help="how it is confined, step by step, and no more"
    )
    commands.add_parser("version", help="print the version")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "version":
        from emperor import __version__

        print(f"emperor {__version__}")
        return DONE
    if arguments.command == "uwsgi":
        from emperor.cli.uwsgi_line import run_uwsgi

        return run_uwsgi(arguments.words)
    if arguments.command in ("run", "serve"):
        return _start(arguments)
    if arguments.command in ("check", "schema"):
        from emperor.cli import file_commands

        return file_commands.COMMANDS[arguments.command](arguments)
    if arguments.command in ("show-config", "migrate"):
        from emperor.cli import uwsgi_commands

        return uwsgi_commands.COMMANDS[arguments.command](arguments)
    return _ask(arguments)


def _start(arguments: argparse.Namespace) -> int:
    if arguments.command == "serve":
        from emperor.cli.serve_options import parse
        from emperor.serve import serve

        return serve(parse(arguments, os.getcwd()))
    if not arguments.directories and arguments.config is None:
        raise UsageError("name a folder of vassal files, or --config FILE")
    from emperor.run import run_emperor

    named = named_runtime_dir(arguments.runtime_dir, os.environ)
    return run_emperor(arguments.config, named, arguments.directories)


def _ask(arguments: argparse.Namespace) -> int:
    from emperor.cli import client_commands, upgrade_command
    from emperor.control.client import ControlError, NotReachable

    commands = {
        "status": client_commands.status,
        "explain": client_commands.explain,
        "events": client_commands.events,
        "logs": client_commands.logs,
        "reopen": client_commands.reopen,
        "upgrade": upgrade_command.upgrade,
    }
    try:
        return commands.get(arguments.command, client_commands.steer)(arguments)
    except ControlError as error:
        from emperor.cli.view import printable_lines

        print(f"emperor: {printable_lines(str(error))}", file=sys.stderr)
        return NO_EMPEROR if isinstance(error, NotReachable) else FAILED


def _name(text: str) -> str:
    """Return the name of a vassal; refuse the empty one that a script's unset variable makes."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; write the name of a vassal")
    return text


def _line_count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > LOG_LINES_MAX:
        raise argparse.ArgumentTypeError(f"write a whole number from 0 to {LOG_LINES_MAX}")
    return int(text)

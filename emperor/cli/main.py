"""The command `emperor`: reads the command line and calls what does the work.

What a command needs is imported when it is called for: a status must be there at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from emperor.cli.errors import DONE, FAILED, INTERRUPTED, NO_EMPEROR, USAGE, UsageError
from emperor.cli.runtime_dir import VARIABLE, named_runtime_dir

_EPILOG = f"""\
exit status:
  {DONE}  done
  {FAILED}  a problem was found, or the emperor refused
  {USAGE}  the command line is wrong
  {NO_EMPEROR}  no emperor could be reached

environment:
  {VARIABLE}  where the emperor keeps its control socket; default: /run/emperor
                       for root, else $XDG_RUNTIME_DIR/emperor
  NO_COLOR             no colours on the terminal
"""
LOG_LINES_DEFAULT = 100
WAIT_TIMEOUT_S = 300.0
LOG_LINES_MAX = 10_000


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    words = sys.argv[1:] if words is None else words
    arguments = build_parser(words).parse_args(words)
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except UsageError as error:
        for line in str(error).split("\n"):
            print(f"emperor {arguments.command}: {line}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # `emperor status | head`. At exit Python would flush again, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


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
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")

    run = commands.add_parser("run", parents=[where], help="run an emperor in the foreground")
    run.add_argument("--config", metavar="FILE", help="the emperor's own settings, emperor.toml")
    run.add_argument("directories", metavar="DIR", nargs="*", help="a folder of vassal files")

    serve = commands.add_parser("serve", help="serve one application without an emperor")
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

    status = commands.add_parser(
        "status", parents=[where, as_json], help="show all vassals, or one in detail"
    )
    status.add_argument("name", metavar="NAME", nargs="?")
    for action, text in (
        ("reload", "replace a vassal's processes without refusing a connection"),
        ("restart", "stop a vassal and start it anew"),
        ("stop", "stop a vassal until it is started again"),
        ("start", "start a stopped, parked or waiting vassal now"),
    ):
        steer = commands.add_parser(action, parents=[where], help=text)
        steer.add_argument("name", metavar="NAME")
        steer.add_argument(
            "--wait", action="store_true", help="wait for the end; exit status 1 = it failed"
        )
        steer.add_argument(
            "--timeout",
            metavar="SECONDS",
            type=float,
            default=WAIT_TIMEOUT_S,
            help=f"wait no longer than this (default: {WAIT_TIMEOUT_S:g})",
        )
    commands.add_parser("events", parents=[where, as_json], help="print what happens")
    logs = commands.add_parser("logs", parents=[where], help="print a vassal's log")
    logs.add_argument("name", metavar="NAME")
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
    explain.add_argument("name", metavar="NAME")
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
    if arguments.command in ("run", "serve"):
        return _start(arguments)
    if arguments.command in ("check", "schema"):
        from emperor.cli import file_commands

        return file_commands.COMMANDS[arguments.command](arguments)
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
    from emperor.cli import client_commands
    from emperor.control.client import ControlError, NotReachable

    commands = {
        "status": client_commands.status,
        "explain": client_commands.explain,
        "events": client_commands.events,
        "logs": client_commands.logs,
    }
    try:
        return commands.get(arguments.command, client_commands.steer)(arguments)
    except ControlError as error:
        from emperor.cli.view import printable_line

        print(f"emperor: {printable_line(str(error))}", file=sys.stderr)
        return NO_EMPEROR if isinstance(error, NotReachable) else FAILED


def _line_count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > LOG_LINES_MAX:
        raise argparse.ArgumentTypeError(f"write a whole number from 0 to {LOG_LINES_MAX}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

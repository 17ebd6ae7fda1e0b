"""The commands that ask a running emperor: status, explain, events, logs, steering."""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator

import msgspec

from emperor.cli import tables
from emperor.cli.errors import DONE, FAILED, NO_EMPEROR
from emperor.cli.runtime_dir import runtime_dir
from emperor.cli.verdict import verdict
from emperor.cli.view import View, plain, printable_line, printable_lines
from emperor.control.client import ControlClient, NotReachable

LINE_BYTES_MAX = 64 * 1024
WAIT_LOOK_S = 0.1


def status(arguments: argparse.Namespace) -> int:
    """Show all vassals, or one in detail."""
    client = client_of(arguments)
    now = time.time()
    if arguments.name is None:
        all_of_them = client.status()
        _show(all_of_them, tables.status_view(all_of_them, now), arguments.json)
    else:
        one = client.vassal(arguments.name)
        _show(one, tables.vassal_view(one, now), arguments.json)
    return DONE


def explain(arguments: argparse.Namespace) -> int:
    """Show what is wanted of a vassal, what is, what comes next and why."""
    explanation = client_of(arguments).explain(arguments.name)
    if arguments.steps:
        view = tables.steps_view(explanation)
    else:
        view = tables.explanation_view(explanation, time.time())
    _show(explanation, view, arguments.json)
    return DONE


def steer(arguments: argparse.Namespace) -> int:
    """Reload, restart, stop or start a vassal."""
    client = client_of(arguments)
    if arguments.wait:
        return steer_and_wait(client, arguments.name, arguments.command, arguments.timeout)
    print(printable_line(client.steer(arguments.name, arguments.command)))
    return DONE


def reopen(arguments: argparse.Namespace) -> int:
    """Let a vassal's log, or all of them, be opened anew."""
    client = client_of(arguments)
    if arguments.name is None:
        print(printable_line(client.reopen_all()))
    else:
        print(printable_line(client.steer(arguments.name, "reopen")))
    return DONE


def steer_and_wait(client: ControlClient, name: str, action: str, timeout_s: float) -> int:
    """Ask, and come back with the verdict, so that deploy scripts can rely on the status.

    A brain that is lost meanwhile is waited for: the next one knows how it ended, or it is never
    told and the time runs out. Raises NotReachable if nobody answers until then.
    """
    before, began_at = client.vassal(name), time.time()
    print(printable_line(client.steer(name, action)), flush=True)
    give_up_at = time.monotonic() + timeout_s
    now = before
    while True:
        try:
            now = client.vassal(name)
            found = verdict(action, before, now, began_at)
        except NotReachable:
            if time.monotonic() >= give_up_at:
                raise
            found = None
        if found is not None:
            print(printable_lines(found.text))
            return DONE if found.good else FAILED
        if time.monotonic() >= give_up_at:
            text = f"emperor: {name}: no verdict within {timeout_s:g} s: it is {now.state}"
            print(text, file=sys.stderr)
            return FAILED
        time.sleep(WAIT_LOOK_S)


def events(arguments: argparse.Namespace) -> int:
    """Print what happens, line by line, until the emperor ends."""
    for event in client_of(arguments).events():
        text = json_text(event) if arguments.json else tables.event_line(event)
        print(text, flush=True)
    print("emperor: the emperor ended the stream.", file=sys.stderr)
    return NO_EMPEROR


def logs(arguments: argparse.Namespace) -> int:
    """Print the end of a vassal's log, and with -f what comes after."""
    pieces = client_of(arguments).logs(arguments.name, arguments.lines, arguments.follow)
    for text in log_lines(pieces):
        print(text, flush=arguments.follow)
    if arguments.follow:
        print("emperor: the emperor ended the stream.", file=sys.stderr)
        return FAILED
    return DONE


def log_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines that the pieces make up, printable; a giant one in parts."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            lines, rest = [*lines, rest], b""
        for line in lines:
            yield _decoded(line)
    if rest:
        yield _decoded(rest)


def json_text(value: object, indent: int = 0) -> str:
    """Return JSON of printable characters only: it too ends up on terminals."""
    encoded = msgspec.json.encode(value)
    text = (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()
    return "\n".join(
        part if part.isprintable() else "".join(map(_escaped, part)) for part in text.split("\n")
    )


def _escaped(char: str) -> str:
    # Outside of strings JSON is ASCII, so every such character may be written so.
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4))


def _decoded(line: bytes) -> str:
    return printable_line(line.decode("utf-8", "backslashreplace"))


def client_of(arguments: argparse.Namespace) -> ControlClient:
    return ControlClient(runtime_dir(arguments.runtime_dir, os.environ, os.geteuid()))


def _show(value: object, view: View, as_json: bool) -> None:
    if as_json:
        print(json_text(value, indent=2))
    elif sys.stdout.isatty():
        from emperor.cli import terminal

        terminal.show(view, terminal.new_console())
    else:
        print(plain(view), end="")

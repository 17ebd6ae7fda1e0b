"""What a uWSGI file runs before and behind its application: exec-* and hook-* options. Pure.

The order is uWSGI's: phase by phase, and in each the hooks before the commands. All of it is run
as the vassal's user, for which uWSGI itself has no phase before exec-as-user.
"""

import re
import shlex
from collections.abc import Callable, Mapping

from emperor.config.command_keys import MAY_FAIL
from emperor.config.problems import Invalid, quoted
from emperor.uwsgi.draft import Draft, Taken
from emperor.uwsgi.rows import Support
from emperor.uwsgi.values import is_bare

_PHASES: Mapping[str, tuple[str, ...]] = {
    "exec_start_pre": (
        *("hook-asap", "exec-asap", "hook-pre-jail", "exec-pre-jail"),
        *("hook-in-jail", "exec-in-jail", "hook-post-jail", "exec-post-jail"),
        *("hook-as-user", "exec-as-user", "hook-pre-app", "exec-pre-app"),
    ),
    "exec_start_post": ("hook-post-app", "exec-post-app"),
    "exec_stop_post": ("hook-as-user-atexit", "exec-as-user-atexit"),
}
_ALWAYS_GO_ON = "exec_stop_post"
"""Of its commands uWSGI runs all, whatever comes of them."""


def put_hooks(draft: Draft) -> None:
    """Set the commands around the application."""
    for key, names in _PHASES.items():
        lines: list[str] = []
        sources: list[Taken] = []
        for taken in (taken for name in names for taken in draft.all(name)):
            read = _hook if taken.name.startswith("hook-") else _command
            line = _said(draft, taken, read)
            if line is None:
                continue
            if key == _ALWAYS_GO_ON and not line.startswith(MAY_FAIL):
                line = MAY_FAIL + line
            lines.append(line)
            sources.append(taken)
        if lines:
            draft.put(key, lines, *sources)


def _said(draft: Draft, taken: Taken, read: Callable[[str], str]) -> str | None:
    """Return the line for the shell; None = there is none, and why is said."""
    try:
        return read(taken.value)
    except Invalid as error:
        draft.wrong(taken, error.faults[0].problem, error.faults[0].remedy)
    except _NotDone as error:
        draft.remark(taken, Support.UNSUPPORTED, str(error))
    return None


class _NotDone(Exception):
    """An action that uWSGI has and we have not; str() says what to use."""


def _command(value: str) -> str:
    if is_bare(value) or value.startswith(MAY_FAIL):
        raise Invalid(f"{quoted(value)} is no command", "write a line for /bin/sh, like ./prepare")
    return value


def _hook(value: str) -> str:
    """Return what an ACTION:ARGUMENTS is to the shell."""
    action, colon, rest = value.removeprefix("!").partition(":")
    if not colon:
        raise Invalid(f"{quoted(value)} has no action", "write one like exec:./prepare")
    if action in _ELSEWHERE:
        raise _NotDone(_ELSEWHERE[action])
    if action not in _ACTIONS:
        raise Invalid(f"{quoted(action)} is no action of uWSGI's", "write one like exec: or mkdir:")
    return _ACTIONS[action](rest)


def _of_file(words: str) -> Callable[[str], str]:
    return lambda path: f"{words} {shlex.quote(path)}"


def _print(text: str) -> str:
    return f"printf '%s\\n' {shlex.quote(text)}"


def _write(form: str, arrow: str) -> Callable[[str], str]:
    def line(rest: str) -> str:
        path, space, text = rest.partition(" ")
        if not space:
            raise Invalid(f"{quoted(rest)} has no text", "write FILE TEXT")
        return f"printf '{form}' {shlex.quote(text)} {arrow} {shlex.quote(path)}"

    return line


def _append_line(rest: str) -> str:
    path, _, text = rest.partition(" ")
    return f"printf '%s\\n' {shlex.quote(text)} >> {shlex.quote(path)}"


def _chmod(rest: str) -> str:
    path, _, mode = rest.partition(" ")
    if not re.fullmatch(r"[0-7]{3}", mode):
        raise Invalid(
            f"{quoted(mode)} is not three octal digits", "write FILE MODE, like a.sock 660"
        )
    return f"chmod {mode} {shlex.quote(path)}"


_ACTIONS: Mapping[str, Callable[[str], str]] = {
    "exec": _command,
    "safeexec": lambda rest: MAY_FAIL + _command(rest),
    "mkdir": _of_file("mkdir --"),
    "unlink": _of_file("rm --"),
    "create": _of_file(": >"),
    "creat": _of_file(": >"),
    "sticky": _of_file("chmod +t --"),
    "chmod": _chmod,
    "write": _write("%s", ">"),
    "writen": _write("%s\\n", ">"),
    "append": _write("%s", ">>"),
    "appendn": _append_line,
    "print": _print,
    "log": _print,
}

_CODE = "call it in the application's module"
_WAIT = "let the unit wait: After= and Requires= of systemd; or exec: a command that waits"
_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("cd", "chdir"), "write chdir: it is where all of it runs"),
    "putenv": "write env = NAME=VALUE",
    **dict.fromkeys(("chown", "chown2", "hostname"), "it needs root: let the unit do it"),
    **dict.fromkeys(
        ("mount", "umount"), "write bind_paths and temporary_file_system under [sandbox]"
    ),
    **dict.fromkeys(("call", "callret", "callint", "callintret", "rpc", "retryrpc"), _CODE),
    **dict.fromkeys(("wait_for_fs", "wait_for_file", "wait_for_dir"), _WAIT),
    "writefifo": "write exec: and a command that writes it",
    "alarm": "there are no alarms: write exec: and a command that tells somebody",
    "exit": "write exec:exit and a number: the start fails with it",
}
"""Actions that are not commands of the application's user, and what to write instead."""

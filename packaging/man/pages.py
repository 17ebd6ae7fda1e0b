"""Prints a man page: the roff beside this file, with its tables made from the code's own.

    python packaging/man/pages.py emperor.1

The line `.\\" TABLE: NAME` stands in the roff where the table NAME goes.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from emperor import __version__
from emperor.cli.main import build_parser
from emperor.config.emperor_file import EMPEROR_KEYS
from emperor.config.emperor_tables import CUSTOMER_KEYS, OWNER_KEYS
from emperor.config.key import Key
from emperor.config.keys import NOT_IN_DEFAULTS, PLAN_KEYS, REQUIRED, VASSAL_KEYS, is_directive

HERE = Path(__file__).parent
PAGES = ("emperor.1", "emperor.toml.5", "emperor-vassal.5")


def page(name: str) -> str:
    """Return the whole page as roff."""
    lines: list[str] = []
    for line in (HERE / f"{name}.in").read_text(encoding="utf-8").splitlines():
        table = re.fullmatch(r'\.\\" TABLE: (.*)', line)
        lines += TABLES[table[1]]() if table else [line.replace("@VERSION@", __version__)]
    return "\n".join(lines) + "\n"


# ── keys ─────────────────────────────────────────────────────────────────────────────────


def emperor_keys() -> Iterator[str]:
    """Yield an entry for every key of the emperor's own file, by its dotted name."""
    for key in EMPEROR_KEYS.values():
        yield from entry(key, key.name)


def vassal_keys(section: str) -> Iterator[str]:
    """Yield an entry for every key of one TOML table of a vassal file; "" is the first one."""
    for name, key in VASSAL_KEYS.items():
        table, dot, rest = name.partition(".")
        if (table if dot else "") == section:
            yield from entry(key, rest or name)


def entry(key: Key, name: str) -> Iterator[str]:
    """Yield one key with its help, default and example."""
    yield ".TP"
    yield rf"\fB{literal(name)}\fR"
    yield text(key.help)
    if key.name in REQUIRED:
        yield "Required."
    if key.default:
        yield rf"Default: \fB{literal(key.default)}\fR."
    if key.example:
        yield rf"Example: \fB{literal(key.example)}\fR"


def owner_keys() -> Iterator[str]:
    """Yield an entry for every key of [owner.ACCOUNT] that is not in [limits] or [sandbox]."""
    for name, key in OWNER_KEYS.items():
        if not is_directive(name):
            yield from entry(key, name)


def names(keys: Iterable[str]) -> Iterator[str]:
    """Yield one line that lists the keys."""
    *most, last = (rf"\fB{literal(key)}\fR" for key in keys)
    yield f"{', '.join(most)} and {last}"


# ── commands ─────────────────────────────────────────────────────────────────────────────


def commands() -> Iterator[str]:
    """Yield an entry for every command, and below it one for each of its options."""
    listed, parsers = command_tree()
    for name, parser in parsers.items():
        actions = [action for action in parser._actions if action.dest != "help"]
        options = [action for action in actions if action.option_strings]
        words = [rf"\fBemperor {literal(name)}\fR"]
        if options:
            words.append(r"[\fIOPTION\fR]\|.\|.\|.")
        words += [positional(action) for action in actions if not action.option_strings]
        yield ".TP"
        yield " ".join(words)
        yield sentence(listed[name])
        yield ".RS"
        for action in options:
            yield ".TP"
            yield ", ".join(rf"\fB{literal(word)}\fR" for word in action.option_strings) + (
                rf" \fI{literal(action.metavar)}\fR" if isinstance(action.metavar, str) else ""
            )
            yield sentence((action.help or "").replace("%%", "%"))
        yield ".RE"


def command_tree() -> tuple[dict[str, str], dict[str, argparse.ArgumentParser]]:
    """Return the help and the parser of every command, the options of `serve` included."""
    for action in build_parser(["serve"])._actions:
        if isinstance(action, argparse._SubParsersAction):
            listed = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return listed, dict(action.choices)
    raise LookupError("no commands")


def positional(action: argparse.Action) -> str:
    name = rf"\fI{literal(str(action.metavar))}\fR"
    return {"?": f"[{name}]", "*": rf"[{name}]\|.\|.\|.", "+": rf"{name}\|.\|.\|."}.get(
        str(action.nargs), name
    )


# ── roff ─────────────────────────────────────────────────────────────────────────────────


def text(plain: str) -> str:
    """Return text as roff: no word of it is an escape or a request."""
    escaped = plain.replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti")
    escaped = escaped.replace("^", r"\(ha").replace("`", r"\(ga").replace("'", r"\(aq")
    return rf"\&{escaped}" if escaped[:1] == "." else escaped


def literal(code: str) -> str:
    """Return text that people may copy: quotes stay what they are."""
    return text(code).replace('"', r"\(dq")


def sentence(help_text: str) -> str:
    """Return a help text as a sentence."""
    whole = help_text[:1].upper() + help_text[1:]
    return text(whole if whole.endswith((".", ")")) else f"{whole}.")


TABLES = {
    "commands": commands,
    "emperor keys": emperor_keys,
    "owner keys": owner_keys,
    "customer keys": lambda: names(name.removeprefix("limits.") for name in CUSTOMER_KEYS),
    "plan keys": lambda: names(name for name in PLAN_KEYS if not is_directive(name)),
    "required": lambda: names(REQUIRED),
    "not in defaults": lambda: names(NOT_IN_DEFAULTS),
    "vassal keys": lambda: vassal_keys(""),
} | {
    f"vassal keys: {section}": lambda section=section: vassal_keys(section)
    for section in dict.fromkeys(name.partition(".")[0] for name in VASSAL_KEYS if "." in name)
}


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1]))

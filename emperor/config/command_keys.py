"""The keys of commands that run around the application, by their names in systemd's units. Pure."""

import re

from emperor.config import values
from emperor.config.key import Key
from emperor.config.problems import Invalid, quoted
from emperor.config.schemas import TEXTS

COMMANDS_MAX = 32
COMMANDS_BYTES_MAX = 16 * 1024
"""Of one key: they travel in one message."""

MAY_FAIL = "-"

_PREFIX = re.compile(r"[-@:+!|]+(?=/)")
_EXAMPLE = '["./manage.py migrate --noinput"]'


def commands(value: object) -> tuple[str, ...]:
    """Return lines for /bin/sh; a single string is an array of one."""
    found = values.list_of(value, command, _EXAMPLE, COMMANDS_MAX)
    size = sum(len(line.encode()) for line in found)
    if size > COMMANDS_BYTES_MAX:
        remedy = "put them into a script, and write its path"
        raise Invalid(f"has {size} bytes of commands, more than {COMMANDS_BYTES_MAX}", remedy)
    return found


def command(value: object) -> str:
    """Return what /bin/sh is given, which may have several lines; with "-" before it, it may
    fail."""
    shown = re.sub(r"[\t\n]", " ", value) if isinstance(value, str) else value
    values.text(shown, "a command", '"./manage.py migrate --noinput"')
    line = str(value)
    prefix = _PREFIX.match(line)
    if prefix is not None and prefix.group() != MAY_FAIL:
        strange = prefix.group().replace(MAY_FAIL, "")
        raise Invalid(
            f"{quoted(line)} begins with {quoted(strange)}, which only systemd knows",
            'write the command, or "-" before one that may fail; it runs as the vassal\'s user',
        )
    if not line.removeprefix(MAY_FAIL).strip():
        raise Invalid(f"{quoted(line)} is no command", f"write {_EXAMPLE}")
    return line


COMMAND_KEYS = (
    Key(
        "exec_start_pre",
        commands,
        TEXTS,
        "Commands before the application is loaded, each a line for /bin/sh, as the vassal's user"
        " and in its confinement. If one fails, the start fails, and what served before serves on;"
        ' one with "-" before it may fail. Within spawn_timeout.',
        "[]",
        _EXAMPLE,
    ),
    Key(
        "exec_start_post",
        commands,
        TEXTS,
        "The same when the application is loaded, before it serves; with lazy_apps when its first"
        " worker is ready.",
        "[]",
        '["./warm-the-cache"]',
    ),
    Key(
        "exec_stop_post",
        commands,
        TEXTS,
        "The same when all processes of these workers are gone, whatever ended them; also when"
        " their start failed. Each time within spawn_timeout.",
        "[]",
        '["-rm -r /srv/blog/scratch"]',
    ),
)

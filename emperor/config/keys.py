"""The one table of everything that a vassal file can say. Pure.

The loader, "did you mean", the JSON Schema and the documentation are all made from it.
To add a key: one entry here, one field in settings.VassalSettings.
"""

from collections.abc import Mapping
from functools import partial

from emperor.config import directives, values
from emperor.config import tightness as tight
from emperor.config.application import application
from emperor.config.health_keys import HEALTH_KEYS
from emperor.config.key import Key, Parser
from emperor.config.limits_keys import LIMITS_KEYS
from emperor.config.network import host_names, listen_addresses
from emperor.config.problems import Invalid, quoted
from emperor.config.sandbox_keys import SANDBOX_KEYS
from emperor.config.schemas import (
    ACCOUNT,
    BOOLEAN,
    DURATION,
    ENVIRONMENT,
    MODE,
    PATH,
    PATHS,
    SIZE,
    TEXT,
    TEXTS,
    WORD,
    WORKERS,
    choice,
    integer,
)
from emperor.config.settings import Workers

LOG_WORDS = ("file", "journal", "inherit")
WORKERS_MAX = 1024
THREADS_MAX = 1024


def log_target(value: object) -> str:
    """Return "file", "journal", "inherit" or a path as written."""
    remedy = 'write "journal", "inherit", "file", or a path like "/var/log/blog.log"'
    if isinstance(value, str) and value not in LOG_WORDS and "/" not in value:
        raise Invalid(f"{quoted(value)} is no place for a log", remedy)
    return values.path_text(value) if value not in LOG_WORDS else str(value)


def number_of_workers(value: object) -> Workers:
    """Return the bounds from a number, or from a table of min and max."""
    if not isinstance(value, dict):
        count = values.whole(value, minimum=1, maximum=WORKERS_MAX)
        return Workers(count, count)
    remedy = "write a number, or { min = 1, max = 8 }"
    unknown = [name for name in value if name not in Workers._fields]
    if unknown or "max" not in value:
        problem = f"{quoted(str(unknown[0]))} is no bound" if unknown else "max is missing"
        raise Invalid(problem, remedy)
    most = values.whole(value["max"], minimum=1, maximum=WORKERS_MAX)
    least = values.whole(value.get("min", 1), minimum=1, maximum=WORKERS_MAX)
    if least > most:
        raise Invalid(f"min = {least} is more than max = {most}", remedy)
    return Workers(least, most)


def write_workers(bounds: Workers) -> object:
    """Return the bounds as a TOML value."""
    return bounds.max if bounds.min == bounds.max else {"min": bounds.min, "max": bounds.max}


def paths(value: object) -> tuple[str, ...]:
    """Return paths as written; a single string is an array of one."""
    return values.list_of(value, values.path_text, '["lib"]')


def _count(minimum: int, maximum: int) -> Parser:
    return partial(values.whole, minimum=minimum, maximum=maximum)


def _seconds(minimum: float = 0.0) -> Parser:
    return partial(values.duration, minimum=minimum)


_POSITIVE = values.SHORTEST_DURATION

_APPLICATION = (
    Key(
        "app",
        application,
        TEXT,
        "The WSGI application: MODULE:CALLABLE, or MODULE:FACTORY(ARGUMENTS).",
        example='"blog.wsgi:application"',
    ),
    Key(
        "directory",
        values.path_text,
        PATH,
        "Working directory, on the import path. Default: the folder of this file.",
        example='"/srv/blog"',
    ),
    Key(
        "python",
        values.interpreter,
        PATH,
        "A virtualenv or an interpreter (CPython 3.9 or later). Default: the emperor's own.",
        example='"/srv/blog/.venv"',
    ),
    Key(
        "pythonpath",
        paths,
        PATHS,
        "More folders on the import path, before the interpreter's own.",
        default="[]",
        example='["lib"]',
    ),
    Key(
        "env",
        values.environment,
        ENVIRONMENT,
        "Environment variables of the application.",
        default="{}",
        example='{ DJANGO_SETTINGS_MODULE = "blog.settings" }',
    ),
    Key(
        "user",
        values.account_name,
        ACCOUNT,
        "The account to run as. Default: the owner of a tenant's file, else default_user.",
        example='"blog"',
    ),
    Key(
        "group",
        values.account_name,
        ACCOUNT,
        "The group to run as. Default: the user's own.",
        example='"blog"',
    ),
    Key(
        "touch_reload",
        paths,
        PATHS,
        "Files that reload the vassal when they are touched.",
        default="[]",
        example='["reload.txt"]',
    ),
)

_NETWORK = (
    Key(
        "listen",
        listen_addresses,
        TEXTS,
        "Addresses: PROTOCOL://HOST:PORT or PROTOCOL+unix:///PATH; http, uwsgi, fastcgi or scgi.",
        example='["uwsgi+unix:///run/emperor/blog.sock", "http://127.0.0.1:8000"]',
        write=lambda addresses: [address.url for address in addresses],
    ),
    Key(
        "hosts",
        host_names,
        TEXTS,
        "Names that the web server routes here through RUNTIME_DIR/hosts/NAME.sock.",
        default="[]",
        example='["blog.example"]',
    ),
    Key(
        "backlog",
        _count(1, 65535),
        integer(1, 65535),
        "Length of the queue.",
        "1024",
        "4096",
        rule=tight.AT_MOST,
    ),
    Key("socket.user", values.account_name, ACCOUNT, "Owner of unix sockets.", "", '"blog"'),
    Key("socket.group", values.account_name, ACCOUNT, "Group of unix sockets.", "", '"www-data"'),
    Key(
        "socket.mode",
        values.file_mode,
        MODE,
        "Mode of unix sockets.",
        '"660"',
        '"666"',
        write=lambda mode: f"{mode:03o}",
    ),
    Key(
        "socket_timeout",
        _seconds(_POSITIVE),
        DURATION,
        "Longest wait for a client that sends or takes nothing.",
        "30",
        '"1m"',
    ),
    Key(
        "keepalive_timeout",
        _seconds(_POSITIVE),
        DURATION,
        "Longest wait for the next request on an HTTP connection.",
        "15",
        "5",
    ),
    Key(
        "max_head",
        partial(values.size, minimum=1024, maximum=1024 * 1024),
        SIZE,
        "Largest request head; more is answered 431.",
        '"32K"',
        '"64K"',
        rule=tight.AT_MOST,
    ),
    Key(
        "max_body",
        values.size,
        SIZE,
        "Largest request body; more is answered 413. 0 = no limit.",
        "0",
        '"20M"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
)

_WORKERS = (
    Key(
        "workers",
        number_of_workers,
        WORKERS,
        "Processes: a number, or bounds between which it follows the load.",
        "1",
        "{ min = 1, max = 8 }",
        rule=tight.WORKERS,
        write=write_workers,
    ),
    Key(
        "threads",
        _count(1, THREADS_MAX),
        integer(1, THREADS_MAX),
        "Per worker.",
        "1",
        "2",
        rule=tight.AT_MOST,
    ),
    Key(
        "harakiri",
        _seconds(),
        DURATION,
        "A request that runs longer is killed with its worker. 0 = never.",
        "30",
        '"2m"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
    Key(
        "harakiri_max",
        _seconds(),
        DURATION,
        "The longest limit that the application may ask for. 0 = it may only shorten.",
        "0",
        '"10m"',
        rule=tight.AT_MOST,
    ),
    Key(
        "harakiri_soft",
        _seconds(),
        DURATION,
        "After this time an exception is raised in the request. 0 = never.",
        "0",
        "25",
    ),
    Key(
        "spawn_timeout",
        _seconds(_POSITIVE),
        DURATION,
        "Longest time for loading the application.",
        "60",
        '"2m"',
        rule=tight.AT_MOST,
    ),
    Key(
        "stop_timeout",
        _seconds(),
        DURATION,
        "Time for running requests to finish before a stop kills them.",
        "30",
        "5",
        rule=tight.AT_MOST,
    ),
    Key(
        "on_demand",
        values.boolean,
        BOOLEAN,
        "No process runs before the first connection.",
        "false",
        "true",
    ),
    Key(
        "idle_stop",
        _seconds(),
        DURATION,
        "With on_demand: after so long without a request, all of it stops again. 0 = never.",
        "0",
        '"10m"',
    ),
    Key(
        "max_unavailable",
        _count(0, WORKERS_MAX),
        integer(0, WORKERS_MAX),
        "So many workers may be missing while new ones take over; more need less memory.",
        "0",
        "1",
    ),
    Key(
        "max_requests",
        _count(0, 2**31 - 1),
        integer(0, 2**31 - 1),
        "A worker is replaced after this many requests. 0 = never.",
        "0",
        "5000",
    ),
    Key(
        "max_requests_jitter",
        _count(0, 2**31 - 1),
        integer(0, 2**31 - 1),
        "At most this many requests later, by chance. Default: a tenth of max_requests.",
        "",
        "500",
    ),
    Key(
        "max_worker_lifetime",
        _seconds(),
        DURATION,
        "A worker is replaced after this time. 0 = never.",
        "0",
        '"6h"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
    Key(
        "reload_on_rss",
        lambda value: values.size(value, 0 if value == 0 else 1024 * 1024),
        SIZE,
        "A worker larger than this is replaced after its request. 0 = never.",
        "0",
        '"300M"',
        rule=tight.AT_MOST_ZERO_IS_NONE,
    ),
)

_LOG = (
    Key(
        "log.target",
        log_target,
        TEXT,
        'Where output goes: "file" (in the emperor\'s log_dir), "journal", "inherit" or a path.',
        '"file"',
        '"/srv/blog/log/app.log"',
    ),
    Key(
        "log.max_size",
        partial(values.size, minimum=4096),
        SIZE,
        "A log file is rotated at this size.",
        '"10M"',
        '"100M"',
        rule=tight.AT_MOST,
    ),
    Key(
        "log.keep",
        _count(0, 100),
        integer(0, 100),
        "Rotated files to keep.",
        "3",
        "10",
        rule=tight.AT_MOST,
    ),
    Key(
        "log.rate",
        partial(values.number, minimum=1, maximum=1_000_000),
        {"type": "number", "minimum": 1, "maximum": 1_000_000},
        "Lines per second; what is more is dropped and counted.",
        "1000",
        "100",
        rule=tight.AT_MOST,
    ),
)

_POLICY = (
    Key(
        "plan",
        directives.word,
        WORD,
        'The plan of the emperor\'s file that is merged under this one; "none" = no plan.',
        "",
        '"small"',
    ),
    Key(
        "on_unsupported",
        partial(values.one_of, choices=("fail", "warn")),
        choice("fail", "warn"),
        "What a key of [limits] or [sandbox] that this machine cannot do leads to."
        ' Default: "fail" for keys that somebody wrote, "warn" for the others.',
        "",
        '"warn"',
        tight.ON_UNSUPPORTED,
    ),
)

VASSAL_KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        *_APPLICATION,
        *_POLICY,
        *_NETWORK,
        *_WORKERS,
        *_LOG,
        *HEALTH_KEYS,
        *LIMITS_KEYS,
        *SANDBOX_KEYS,
    )
}

REQUIRED = ("app", "listen")
NOT_IN_DEFAULTS = ("listen", "hosts")
"""Two vassals cannot share these."""

DIRECTIVE_TABLES = ("limits.", "sandbox.")
"""In these tables a tenant may have what it has without a word, and tighten it."""


def is_directive(name: str) -> bool:
    """Return whether a dotted name is a key of [limits] or [sandbox]."""
    return name.startswith(DIRECTIVE_TABLES)


PLAN_KEYS: Mapping[str, Key] = {
    name: key
    for name, key in VASSAL_KEYS.items()
    if is_directive(name) or key.rule is not None or name == "log.target"
}
"""What a plan can say: directives, bounds of other keys, and where logs go."""

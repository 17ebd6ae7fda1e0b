"""Turns the text of the emperor's own file into settings, or into its problems. Pure."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from emperor.config import values
from emperor.config.default_places import Places
from emperor.config.directives import word
from emperor.config.document import Document, read_document
from emperor.config.emperor_tables import below, layer_of, read_tables, within, workers_max
from emperor.config.key import Key
from emperor.config.keys import VASSAL_KEYS
from emperor.config.problems import PROBLEMS_MAX, ConfigError, Invalid, Problem, described
from emperor.config.schemas import (
    ACCOUNT,
    ACCOUNTS,
    BOOLEAN,
    DURATION,
    PATH,
    PATHS,
    TABLE,
    TEXTS,
    WORD,
    choice,
    integer,
)
from emperor.config.serving_keys import file_path
from emperor.config.settings import EmperorSettings, Machine, Policy, Templates, WatchMode
from emperor.config.stats_addresses import stats_addresses
from emperor.config.table import Layers, Reading, read_table
from emperor.config.vassal_file import check_defaults

RUNTIME_DIR_BYTES_MAX = 94
"""RUNTIME_DIR/control.sock must fit into a socket's address: 107 bytes."""

_WATCH_MODES = tuple(mode.value for mode in WatchMode)


def _table(value: object) -> object:
    """Accept [defaults] here: check_defaults reports what is wrong in it."""
    if not isinstance(value, dict):
        raise Invalid("is not a table", "write [defaults] on a line of its own")
    return value


def _tables(value: object) -> object:
    """Accept [plan.NAME] and the like here: read_tables reports what is wrong in them."""
    if not isinstance(value, dict):
        raise Invalid("is not a table", "write [plan.NAME], [owner.NAME] or [customer.NAME]")
    return value


def _settings_to_set(value: object) -> tuple[str, ...]:
    """Return options for every file of uWSGI's, each NAME=VALUE."""
    return values.list_of(value, _option_to_set, '["chmod-socket=660"]')


def _option_to_set(value: object) -> str:
    if not isinstance(value, str) or "=" not in value:
        raise Invalid(f"{described(value)} has no =", 'write "chmod-socket=660"')
    return value


_TEMPLATES = (
    ("vassals_inherit", "Inherited by every file of uWSGI's.", '["/etc/uwsgi/all.ini"]'),
    ("vassals_include", "Included by every file of uWSGI's.", '["/etc/uwsgi/all.ini"]'),
    ("vassals_inherit_before", "Inherited before each of uWSGI's files.", '["/etc/uwsgi/all.ini"]'),
    ("vassals_include_before", "Included before each of uWSGI's files.", '["/etc/uwsgi/all.ini"]'),
    ("vassals_set", "Options of every file of uWSGI's.", '["chmod-socket=660"]'),
    ("vassals_options", "The same, before all others.", '["master=true"]'),
)
OPTION_TEMPLATES = ("vassals_set", "vassals_options")
"""Those of the table `uwsgi` that are NAME=VALUE, not paths."""

EMPEROR_KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        Key(
            "directories",
            values.paths,
            PATHS,
            "Folders of vassal files.",
            "[]",
            '["/etc/emperor/vassals"]',
        ),
        Key(
            "files",
            values.paths,
            PATHS,
            "Patterns: of a folder that one is in, only files that match are vassals.",
            "[]",
            '["/etc/emperor/vassals/live-*.toml"]',
        ),
        Key(
            "runtime_dir",
            values.path_text,
            PATH,
            "Control socket and host links. Default: /run/emperor, or under XDG_RUNTIME_DIR.",
            example='"/run/emperor"',
        ),
        Key(
            "log_dir",
            values.path_text,
            PATH,
            "Log files of vassals. Default: /var/log/emperor, or under XDG_STATE_HOME.",
            example='"/var/log/emperor"',
        ),
        Key(
            "state_dir",
            values.path_text,
            PATH,
            "The last versions of vassal files that served. Default: /var/lib/emperor, or under "
            "XDG_STATE_HOME.",
            example='"/var/lib/emperor"',
        ),
        Key(
            "spawn_concurrency",
            partial(values.whole, minimum=1, maximum=256),
            integer(1, 256),
            "Vassals that may be starting at one time.",
            "4",
            "8",
        ),
        workers_max(example="64"),
        Key(
            "stats",
            stats_addresses,
            TEXTS,
            "Addresses that tell of emperor and vassals in the form of uWSGI's emperor-stats.",
            "[]",
            '["tcp://127.0.0.1:9190"]',
            write=lambda addresses: [address.url for address in addresses],
        ),
        Key(
            "stats_workers",
            stats_addresses,
            TEXTS,
            "Addresses that tell of the workers of all vassals in the form of uWSGI's stats.",
            "[]",
            '["unix:///run/emperor/workers.stats"]',
            write=lambda addresses: [address.url for address in addresses],
        ),
        Key(
            "fifo",
            file_path,
            PATH,
            "A named pipe of root's: letters in it are told to the emperor, as to uWSGI's"
            " master-fifo.",
            example='"/run/emperor/emperor.fifo"',
        ),
        Key(
            "pidfile",
            file_path,
            PATH,
            "A file with the pid of the main process, in a folder that is root's alone.",
            example='"/run/emperor/emperor.pid"',
        ),
        Key(
            "shutdown_timeout",
            values.duration,
            DURATION,
            "Time for all vassals to stop when the emperor stops.",
            "90",
            "30",
        ),
        Key(
            "watch",
            partial(values.one_of, choices=_WATCH_MODES),
            choice(*_WATCH_MODES),
            "How folders are watched: inotify, or polling where it is blind.",
            '"auto"',
            '"poll"',
        ),
        Key(
            "poll_interval",
            partial(values.duration, minimum=0.05),
            DURATION,
            "Time between two looks at a polled folder.",
            "1",
            "5",
        ),
        Key(
            "policy.default_user",
            values.account_name,
            ACCOUNT,
            "Runs the vassals whose root-owned file names no user.",
            '"nobody"',
            '"www-data"',
        ),
        Key(
            "policy.default_group",
            values.account_name,
            ACCOUNT,
            "Their group, unless the file names one. Default: the account's own.",
            "",
            '"www-data"',
        ),
        Key(
            "policy.allow_root",
            values.boolean,
            BOOLEAN,
            'A root-owned file may say user = "root".',
            "false",
            "true",
        ),
        Key(
            "policy.tyrant",
            values.boolean,
            BOOLEAN,
            "Every vassal runs as the owner of its file; files of root are refused.",
            "false",
            "true",
        ),
        Key(
            "policy.tyrant_groups",
            values.account_names,
            ACCOUNTS,
            "In tyrant mode the group of a file counts if its owner is a member, or if it is here.",
            "[]",
            '["www-data"]',
        ),
        *(
            Key(
                f"uwsgi.{name}",
                values.paths if name not in OPTION_TEMPLATES else _settings_to_set,
                PATHS if name not in OPTION_TEMPLATES else TEXTS,
                text,
                "[]",
                example,
            )
            for name, text, example in _TEMPLATES
        ),
        Key(
            "uwsgi.inherit_environment",
            values.boolean,
            BOOLEAN,
            "The provider's files of uWSGI's inherit the emperor's environment; tenants' never do.",
            "false",
            "true",
        ),
        Key(
            "policy.default_plan",
            word,
            WORD,
            "The plan of the vassals whose file and owner name none; root's files may say another.",
            "",
            '"small"',
        ),
        Key(
            "plan",
            _tables,
            TABLE,
            "Plans: [plan.NAME] has values, which are bounds for the files of tenants.",
            "{}",
            '{ small = { workers = 4, limits = { memory_max = "512M" } } }',
        ),
        Key(
            "owner",
            _tables,
            TABLE,
            'What accounts may have: [owner.ACCOUNT], or [owner."*"] for all others.',
            "{}",
            '{ blog = { plan = "small", customer = "acme" } }',
        ),
        Key(
            "customer",
            _tables,
            TABLE,
            "Budgets that several vassals share: [customer.NAME].",
            "{}",
            '{ acme = { limits = { memory_max = "2G" } } }',
        ),
        Key("defaults", _table, TABLE, "Merged under every vassal file.", "{}", "{ workers = 2 }"),
    )
}


_VASSAL_TABLES = {name.partition(".")[0] for name in VASSAL_KEYS if "." in name}


def _elsewhere() -> Mapping[str, str]:
    """Return what to do with keys of vassal files that stand in the emperor's."""
    found = {
        name: f"write [defaults.{name}], or do so in a vassal's file" for name in _VASSAL_TABLES
    }
    found |= {
        name: f"write {name} under [defaults], or in a vassal's file"
        for name in VASSAL_KEYS
        if "." not in name
    }
    found |= {name: f"write {name} in a vassal's file" for name in ("app", "listen", "hosts")}
    found |= {name: f"write default_{name} under [policy]" for name in ("user", "group", "plan")}
    # Meant for a key of this file's.
    return {name: found[name] for name in found.keys() - EMPEROR_KEYS.keys() - {"directory"}}


_ELSEWHERE = _elsewhere()


def load_emperor(
    text: str, file: str, folder: str, places: Places, machine: Machine | None = None
) -> EmperorSettings | ConfigError:
    """Return the settings that `text` describes ("" = all defaults), or all that is wrong.

    `file` is the file's name for people, `folder` the absolute path that relative paths
    start from; `machine` is what percentages are of. Never raises.
    """
    machine = machine or Machine()
    document = read_document(text, file)
    if isinstance(document, Problem):
        return ConfigError([document])
    reading = read_table(Layers(document, Document(file, {})), EMPEROR_KEYS, _ELSEWHERE)
    read: dict[str, Any] = reading.values
    runtime_dir = values.resolved(read.get("runtime_dir", places.runtime_dir), folder)
    if len(runtime_dir.encode()) > RUNTIME_DIR_BYTES_MAX:
        reading.report(
            ("runtime_dir",),
            f"is {len(runtime_dir.encode())} bytes long, too long for the sockets in it",
            f"write at most {RUNTIME_DIR_BYTES_MAX}",
        )
    _check_directories(reading)
    defaults = below(document, ("defaults",))
    tables, table_problems = read_tables(document, read.get("policy.default_plan"), machine)
    in_defaults = [within(problem, ("defaults",)) for problem in check_defaults(defaults, machine)]
    problems = [*reading.problems, *in_defaults, *table_problems]
    if problems:
        return ConfigError(sorted(problems, key=lambda problem: problem.line)[: PROBLEMS_MAX + 1])
    simple = (
        "spawn_concurrency",
        "workers_max",
        "stats",
        "stats_workers",
        "shutdown_timeout",
        "poll_interval",
    )
    policy = {
        field: read[f"policy.{field}"]
        for field in Policy.__struct_fields__
        if f"policy.{field}" in read
    }
    merged_under = layer_of(defaults)
    return EmperorSettings(
        directories=tuple(values.resolved(path, folder) for path in read.get("directories", ())),
        files=tuple(values.resolved(path, folder) for path in read.get("files", ())),
        runtime_dir=runtime_dir,
        log_dir=values.resolved(read.get("log_dir", places.log_dir), folder),
        fifo=values.resolved(read["fifo"], folder) if "fifo" in read else None,
        pidfile=values.resolved(read["pidfile"], folder) if "pidfile" in read else None,
        state_dir=values.resolved(read.get("state_dir", places.state_dir), folder),
        watch=WatchMode(read.get("watch", WatchMode.AUTO)),
        policy=Policy(**policy),
        uwsgi=_templates(read, folder),
        defaults=merged_under.values,
        defaults_lines=merged_under.lines,
        plans=tables.plans,
        owners=tables.owners,
        customers=tables.customers,
        machine=machine,
        file=file,
        **{name: read[name] for name in simple if name in read},
    )


def _templates(read: dict[str, Any], folder: str) -> Templates:
    found = {name: read.get(f"uwsgi.{name}", ()) for name, _, _ in _TEMPLATES}
    resolved = {
        name: tuple(values.resolved(path, folder) for path in found[name])
        for name in found
        if name not in OPTION_TEMPLATES
    }
    inherits = read.get("uwsgi.inherit_environment", False)
    return Templates(**{**found, **resolved}, inherit_environment=inherits)


def _check_directories(reading: Reading) -> None:
    directories: Any = reading.values.get("directories", ())
    for index, path in enumerate(directories):
        if path in directories[:index]:
            reading.report(("directories", index), "is in the list twice", "remove one")

"""The rows of [sandbox]: what the processes of a vassal may see and call. Pure.

Names and meanings are those of systemd.exec(5).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from emperor.config import directives, sandbox_values, values
from emperor.config import tightness as tight
from emperor.config.key import Key
from emperor.config.schemas import (
    BOOLEAN,
    FILE_SYSTEM,
    PATH,
    PATHS,
    SIZE,
    TEXT,
    TEXTS,
    Schema,
    choice,
    list_of,
    table_of,
)


def _switch(name: str, help_text: str, default: str = "true") -> Key:
    example = "false" if default == "true" else "true"
    rule = tight.SWITCHED_ON
    return Key(f"sandbox.{name}", values.boolean, BOOLEAN, help_text, default, example, rule)


_SWITCHES = (
    _switch("private_pids", "The vassal sees no processes but its own."),
    _switch("private_ipc", "System V IPC and POSIX message queues are the vassal's own."),
    _switch("private_users", "User ids inside mean nothing outside.", "false"),
    _switch("protect_hostname", "The host's name cannot be changed."),
    _switch("protect_control_groups", "/sys/fs/cgroup cannot be written."),
    _switch("private_devices", "/dev has null, zero, full, random, urandom and tty only."),
    _switch("protect_kernel_tunables", "/proc/sys, /sys and the like cannot be written."),
    _switch("protect_kernel_modules", "Kernel modules cannot be loaded or read."),
    _switch("protect_kernel_logs", "The kernel's log cannot be read."),
    _switch("protect_clock", "The clock cannot be set."),
    _switch("lock_personality", "The execution domain cannot be changed."),
    _switch(
        "memory_deny_write_execute",
        "No memory is writable and executable; breaks just-in-time compilers.",
        "false",
    ),
    _switch("restrict_realtime", "Realtime scheduling cannot be asked for."),
    _switch("restrict_suid_sgid", "Files cannot be given a set-user-id or set-group-id bit."),
)


def _word(name: str, words: tuple[str, ...], help_text: str, default: str, example: str) -> Key:
    """Return a row for one of the words, which go from loose to strict."""
    return Key(
        f"sandbox.{name}",
        partial(values.one_of, choices=words),
        choice(*words),
        help_text,
        f'"{default}"',
        f'"{example}"',
        tight.ordered(*words),
    )


_WORDS = (
    Key(
        "sandbox.protect_system",
        sandbox_values.word_or_switch("no", "true", "full", "strict", true="true"),
        {"enum": [True, False, "no", "true", "full", "strict"]},
        "Read-only: true = /usr and /boot, full = /etc too, strict = everything.",
        '"strict"',
        '"full"',
        tight.ordered("no", "true", "full", "strict"),
    ),
    Key(
        "sandbox.protect_home",
        sandbox_values.word_or_switch("no", "true", "read-only", "tmpfs", true="true"),
        {"enum": [True, False, "no", "true", "read-only", "tmpfs"]},
        "/home, /root and /run/user: true = closed, tmpfs = empty; the vassal's own is seen.",
        '"tmpfs"',
        '"read-only"',
        tight.ordered("no", "read-only", "tmpfs", "true"),
    ),
    _word(
        "protect_proc",
        ("default", "noaccess", "invisible", "ptraceable"),
        "Which processes of others /proc shows.",
        "invisible",
        "noaccess",
    ),
    _word("proc_subset", ("all", "pid"), "pid: /proc has nothing but processes.", "all", "pid"),
    _word(
        "keyring_mode",
        ("inherit", "private"),
        "private: the vassal has a session keyring of its own.",
        "private",
        "inherit",
    ),
    _word(
        "network",
        ("host", "egress-filter", "none"),
        "none = no network but the listeners, egress-filter = out to ip_address_allow only.",
        "host",
        "none",
    ),
)


def _paths(name: str, help_text: str, rule: tight.Rule, of_all: str = "") -> Key:
    """`of_all` is what to write for /, "" = it may be named."""
    parse = partial(sandbox_values.places, of_all=of_all) if of_all else sandbox_values.folders
    return Key(f"sandbox.{name}", parse, PATHS, help_text, "[]", '["/srv/shared"]', rule)


def _binds(name: str, help_text: str) -> Key:
    return Key(
        f"sandbox.{name}",
        sandbox_values.binds,
        TEXTS,
        help_text,
        "[]",
        '["/srv/shared:/shared"]',
        tight.BINDS,
        sandbox_values.bind_texts,
    )


_PATHS = (
    Key(
        "sandbox.private_tmp",
        sandbox_values.private_tmp,
        {"anyOf": [BOOLEAN, FILE_SYSTEM]},
        "/tmp and /var/tmp are the vassal's own, of bounded size; false = the host's.",
        "true",
        '{ size = "64M", inodes = 4096 }',
        tight.PRIVATE_TMP,
        directives.file_system_text,
    ),
    _paths("read_only_paths", "Cannot be written.", tight.COVERS),
    _paths(
        "read_write_paths",
        "Can be written whatever protect_system says.",
        tight.INSIDE,
        of_all='write protect_system = "no"',
    ),
    _paths(
        "inaccessible_paths", "Cannot be opened.", tight.COVERS, of_all="name the folders in it"
    ),
    _paths("no_exec_paths", "Nothing in them can be executed.", tight.COVERS),
    _binds(
        "bind_paths",
        "Files and folders of the host that are shown inside: SOURCE:TARGET, or -SOURCE:TARGET.",
    ),
    _binds("bind_read_only_paths", "The same, and they cannot be written."),
    Key(
        "sandbox.temporary_file_system",
        sandbox_values.file_systems,
        {"anyOf": [table_of({"anyOf": [SIZE, {"const": True}, FILE_SYSTEM]}), TEXTS]},
        "Empty folders in memory, of bounded size, over what is there.",
        "{}",
        '{ "/var/cache" = { size = "64M" } }',
        tight.FILE_SYSTEMS,
        directives.table_text(directives.file_system_text),
    ),
    Key(
        "sandbox.root_directory",
        directives.folder,
        PATH,
        "The folder that is / inside.",
        "",
        '"/srv/roots/blog"',
        tight.PROVIDERS,
    ),
)


def _names(
    name: str,
    parse: Callable[[object], object],
    items: Schema,
    help_text: str,
    default: str,
    example: str,
) -> Key:
    key = f"sandbox.{name}"
    return Key(key, parse, list_of(items), help_text, default, example, tight.SUBSET, _names_text)


def _names_text(found: Any) -> object:
    return list(found)


_CALLS = (
    _names(
        "capability_bounding_set",
        sandbox_values.capabilities,
        TEXT,
        "The capabilities that no process of the vassal can gain more than.",
        "[]",
        '["CAP_NET_BIND_SERVICE"]',
    ),
    _names(
        "ambient_capabilities",
        sandbox_values.capabilities,
        TEXT,
        "Capabilities that the vassal's processes have.",
        "[]",
        '["CAP_NET_BIND_SERVICE"]',
    ),
    Key(
        "sandbox.restrict_namespaces",
        sandbox_values.namespaces,
        {"anyOf": [BOOLEAN, TEXT, {"type": "array", "items": TEXT}]},
        "true = no namespaces can be made; a list names those that can.",
        "true",
        '["user"]',
        tight.NAMESPACES_RULE,
        sandbox_values.namespace_names,
    ),
    Key(
        "sandbox.restrict_address_families",
        sandbox_values.families,
        TEXTS,
        'The kinds of sockets that can be made: "none" = none, [] = all.',
        '["AF_UNIX", "AF_INET", "AF_INET6"]',
        '["AF_UNIX"]',
        tight.FAMILIES,
    ),
    Key(
        "sandbox.system_call_filter",
        sandbox_values.system_calls,
        TEXTS,
        'The system calls that can be made: names and @groups; "~" takes out. [] = all of them.',
        '["@hosting"]',
        '["@hosting", "~@keyring"]',
        tight.FILTER,
    ),
    Key(
        "sandbox.landlock",
        sandbox_values.landlock,
        {"enum": [True, False, "auto"]},
        "Access to files is bounded by Landlock as well; auto = where the kernel has it.",
        '"auto"',
        "true",
        tight.SWITCHED_ON,
    ),
    Key(
        "sandbox.no_new_privileges",
        sandbox_values.always_true,
        {"const": True},
        "Always true: no process gains privileges by executing a file.",
        "true",
        "true",
    ),
    Key("sandbox.user", sandbox_values.no_user, {"not": {}}, "Stands at the top of the file."),
)

_NETWORK = (
    Key(
        "sandbox.private_network",
        values.boolean,
        BOOLEAN,
        'true is short for network = "none".',
        "",
        "true",
    ),
    Key(
        "sandbox.ip_address_allow",
        sandbox_values.ip_networks,
        TEXTS,
        "Networks that can be reached even where ip_address_deny has them.",
        "[]",
        '["192.0.2.0/24", "localhost"]',
    ),
    Key(
        "sandbox.ip_address_deny",
        sandbox_values.ip_networks,
        TEXTS,
        "Networks that cannot be reached. Default: where clouds keep the machine's secrets.",
        '["169.254.169.254/32", "fd00:ec2::254/128"]',
        '["any"]',
        tight.DENIED,
    ),
)

SANDBOX_KEYS = (*_SWITCHES, *_WORDS, *_PATHS, *_CALLS, *_NETWORK)

WITHOUT_FIELD = ("private_network", "no_new_privileges", "user")
"""Keys of [sandbox] that are no fields of limits.directives.Sandbox."""

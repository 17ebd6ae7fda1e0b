"""Directives of systemd that vassal files may carry and that are not applied yet. Pure.

A file that was written for a later version must not be refused, and must not be
believed in silence: these are checked for type and then listed as unsupported.
"""

from collections.abc import Callable, Iterator
from functools import partial

from emperor.config import values
from emperor.config.problems import Fault, Invalid, InvalidParts, described
from emperor.config.schemas import ANY, BOOLEAN, DURATION, TABLE, TEXT, TEXTS, Schema, integer

Parser = Callable[[object], object]


def memory_amount(value: object) -> object:
    """Check a size, a percentage of the machine's memory, or "infinity"."""
    if value == "infinity":
        return value
    if isinstance(value, str) and value.endswith("%"):
        return values.percent(value, 100)
    return values.size(value)


def count_or_infinity(value: object) -> object:
    """Check a count, a percentage or "infinity"."""
    if value == "infinity":
        return value
    if isinstance(value, str) and value.endswith("%"):
        return values.percent(value, 100)
    return values.whole(value, 0, values.SIZE_MAX, 'write a number like 64, or "infinity"')


def table(value: object) -> object:
    """Check that this is a table of plain values."""
    if not isinstance(value, dict):
        raise Invalid(f"{described(value)} is not a table", 'write { "/srv" = "20M" }')
    faults = [
        Fault(
            f"{described(item)} is not a plain value",
            "write text or a number",
            (name,),
        )
        for name, item in value.items()
        if not _is_plain(item)
    ]
    if faults:
        raise InvalidParts(faults)
    return value


def _is_plain(item: object) -> bool:
    if isinstance(item, (bool, str)):
        return True
    return isinstance(item, (int, float)) and abs(item) <= values.SIZE_MAX


def some_text(value: object) -> object:
    """Check that this is text."""
    return values.text(value, "text", '"text"')


def texts(value: object) -> object:
    """Check that this is text or a list of text."""
    return values.list_of(value, lambda item: values.text(item, "text", '"text"'), '["text"]', 256)


def set_of_numbers(value: object) -> object:
    """Check a set of CPUs or memory nodes: "0-3", 2 or [0, 1]."""
    if isinstance(value, list):
        return [values.whole(item, 0, 8191) for item in value[:8192]]
    return some_text(value) if isinstance(value, str) else values.whole(value, 0, 8191)


def switch_or(value: object) -> object:
    """Check true, false, a word like "strict", or a table of options."""
    if isinstance(value, dict):
        return table(value)
    if isinstance(value, (bool, str)):
        return value
    raise Invalid(f"{described(value)} is not true, false or a word", "write true or false")


def _integers(minimum: int, maximum: int) -> tuple[Parser, Schema]:
    return partial(values.whole, minimum=minimum, maximum=maximum), integer(minimum, maximum)


_MEMORY = (memory_amount, ANY)
_COUNT = (count_or_infinity, ANY)
_TABLE = (table, TABLE)
_TEXT = (some_text, TEXT)
_TEXTS = (texts, TEXTS)
_NUMBERS = (set_of_numbers, ANY)
_SECONDS = (values.duration, DURATION)
_SWITCH = (switch_or, ANY)
_BOOLEAN = (values.boolean, BOOLEAN)
_WEIGHT = _integers(1, 10_000)

_LIMITS: dict[str, tuple[Parser, Schema]] = {
    **dict.fromkeys(
        ("memory_max", "memory_high", "memory_swap_max", "memory_low", "memory_min"), _MEMORY
    ),
    "memory_oom_group": _BOOLEAN,
    "cpu_quota": (values.percent, TEXT),
    "cpu_quota_period_sec": _SECONDS,
    "cpu_burst": _SECONDS,
    "cpu_weight": _WEIGHT,
    "allowed_cpus": _NUMBERS,
    "allowed_memory_nodes": _NUMBERS,
    **dict.fromkeys(
        (
            "io_read_bandwidth_max",
            "io_write_bandwidth_max",
            "io_read_iops_max",
            "io_write_iops_max",
            "io_device_latency_target_sec",
            "hugetlb_max",
        ),
        _TABLE,
    ),
    "io_weight": _WEIGHT,
    "tasks_max": _COUNT,
    "slice": _TEXT,
    "nice": _integers(-20, 19),
    "io_scheduling_class": _TEXT,
    "cpu_affinity": _NUMBERS,
    # -1000 would make the tenant unkillable for the kernel.
    "oom_score_adjust": _integers(-999, 1000),
    "umask": (values.file_mode, ANY),
    "disk_quota": (values.size, ANY),
    "inode_quota": _COUNT,
}

_SANDBOX: dict[str, tuple[Parser, Schema]] = {
    **dict.fromkeys(
        (
            "private_pids",
            "private_ipc",
            "private_network",
            "private_users",
            "private_tmp",
            "private_devices",
            "protect_hostname",
            "protect_control_groups",
            "protect_system",
            "protect_home",
            "protect_kernel_tunables",
            "protect_kernel_modules",
            "protect_kernel_logs",
            "protect_clock",
            "no_new_privileges",
            "lock_personality",
            "memory_deny_write_execute",
            "restrict_realtime",
            "restrict_suid_sgid",
            "landlock",
        ),
        _SWITCH,
    ),
    **dict.fromkeys(
        (
            "read_only_paths",
            "read_write_paths",
            "inaccessible_paths",
            "bind_paths",
            "bind_read_only_paths",
            "no_exec_paths",
            "capability_bounding_set",
            "ambient_capabilities",
            "restrict_address_families",
            "system_call_filter",
            "ip_address_allow",
            "ip_address_deny",
        ),
        _TEXTS,
    ),
    **dict.fromkeys(
        ("user", "protect_proc", "proc_subset", "root_directory", "keyring_mode", "network"), _TEXT
    ),
    "restrict_namespaces": (lambda value: value if isinstance(value, bool) else texts(value), ANY),
    "temporary_file_system": (
        lambda value: table(value) if isinstance(value, dict) else texts(value),
        ANY,
    ),
}


def rows() -> Iterator[tuple[str, Parser, Schema, str]]:
    """Yield dotted name, parser, schema and help of every directive."""
    for section, table_of_keys in (("limits", _LIMITS), ("sandbox", _SANDBOX)):
        for name, (parse, schema) in table_of_keys.items():
            yield f"{section}.{name}", parse, schema, "Checked, listed as unsupported, not applied."

"""Where the value of a key is in the settings, and how it is written again. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from emperor.config.key import Key
from emperor.config.keys import VASSAL_KEYS, is_directive
from emperor.config.problems import SHOWN_MAX, key_text, printable, quoted
from emperor.config.sandbox_keys import WITHOUT_FIELD
from emperor.config.settings import VassalSettings
from limits.directives import METADATA_ADDRESSES, Limits, Sandbox
from limits.rlimits import INFINITY

LOG_FIELDS = {
    "target": "target",
    "requests": "requests",
    "date": "date",
    "max_size": "max_bytes",
    "keep": "keep",
    "rate": "lines_per_second",
    "touch_reopen": "touch_reopen",
    "touch_rotate": "touch_rotate",
}
EGRESS_KEYS = ("sandbox.network", "sandbox.ip_address_allow", "sandbox.ip_address_deny")
RLIMIT_PREFIX = "limits.limit_"

FIELD_KEYS = tuple(
    key
    for name, key in VASSAL_KEYS.items()
    if is_directive(name) and name.partition(".")[2] not in WITHOUT_FIELD
)
"""The keys of [limits] and [sandbox] that have a value of their own."""


def value_of(settings: VassalSettings, name: str) -> Any:
    """Return what the settings have for a key; an rlimit that nobody set is infinite."""
    section, _, last = name.rpartition(".")
    if name.startswith(RLIMIT_PREFIX):
        rlimit = name.removeprefix(RLIMIT_PREFIX)
        return settings.limits.all_rlimits().get(rlimit, (INFINITY, INFINITY))
    if section == "log":
        return getattr(settings.log, LOG_FIELDS[last])
    return getattr(getattr(settings, section) if section else settings, last)


def limits_of(values: Mapping[str, Any], defaults: Limits | None = None) -> Limits:
    """Return [limits] from parsed values by dotted key."""
    given = {
        name: values[f"limits.{name}"]
        for name in Limits.__struct_fields__
        if f"limits.{name}" in values
    }
    rlimits = {
        name.removeprefix(RLIMIT_PREFIX): pair
        for name, pair in values.items()
        if name.startswith(RLIMIT_PREFIX)
    }
    return msgspec.structs.replace(defaults or Limits(), **given, rlimits=rlimits)


def sandbox_of(values: Mapping[str, Any]) -> Sandbox:
    """Return [sandbox] from parsed values by dotted key."""
    given = {
        name: values[f"sandbox.{name}"]
        for name in Sandbox.__struct_fields__
        if f"sandbox.{name}" in values
    }
    sandbox = Sandbox(**given)
    if sandbox.network == "none":
        # There is nothing to reach: what a plan says of addresses means nothing here.
        return msgspec.structs.replace(
            sandbox, ip_address_allow=(), ip_address_deny=METADATA_ADDRESSES
        )
    return sandbox


def written_directives(settings: VassalSettings) -> dict[str, object]:
    """Return the tables [limits] and [sandbox] of a file that would give these settings."""
    tables: dict[str, dict[str, object]] = {"limits": {}, "sandbox": {}}
    built_in = VassalSettings(name="", app="", directory="/", listen=())
    for key in FIELD_KEYS:
        section, _, last = key.name.partition(".")
        if key.name.startswith(RLIMIT_PREFIX):
            pair = settings.limits.rlimits.get(key.name.removeprefix(RLIMIT_PREFIX))
            if pair is not None:
                tables[section][last] = key.write(pair)
            continue
        value = value_of(settings, key.name)
        if value is not None or key.name == "sandbox.private_tmp":
            if value != value_of(built_in, key.name):
                tables[section][last] = key.write(value)
    return {name: table for name, table in tables.items() if table}


def shown(key: Key, value: object) -> str:
    """Return a value of `key` as a person would write it in TOML, shortened."""
    if value is None and key.name != "sandbox.private_tmp":
        return "nothing"
    text = _toml(key.write(value))
    return text if len(text) <= 2 * SHOWN_MAX else text[: 2 * SHOWN_MAX] + "…"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{key_text(name)} = {_toml(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else printable(str(value))


def changed_limits(before: VassalSettings, after: VassalSettings) -> tuple[str, ...]:
    """Return the keys of what can be changed while processes run and differs."""
    live = (*(key.name for key in FIELD_KEYS if key.name.startswith("limits.")), *EGRESS_KEYS)
    return tuple(name for name in live if value_of(before, name) != value_of(after, name))

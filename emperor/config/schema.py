"""The JSON Schemas of both kinds of file, for editors. Pure; made from the tables of keys."""

import tomllib
from collections.abc import Mapping
from typing import Any

from emperor.config.emperor_file import EMPEROR_KEYS
from emperor.config.emperor_tables import CUSTOMER_KEYS, OWNER_KEYS
from emperor.config.key import Key
from emperor.config.keys import NOT_IN_DEFAULTS, ONE_OF, PLAN_KEYS, REQUIRED, VASSAL_KEYS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SECTIONS = {
    "policy": "What vassal files may ask for.",
    "uwsgi": "What is put around every file in uWSGI's dialect.",
    "health": "What new code must answer before it takes over.",
    "socket": "Owner, group and mode of the unix sockets.",
    "log": "Where standard output and standard error go.",
    "limits": "What the processes may use.",
    "sandbox": "What the processes may see.",
}


def vassal_schema() -> dict[str, Any]:
    """Return the schema of a vassal file."""
    return {
        "$schema": DIALECT,
        "title": "A vassal of the emperor",
        **_table(VASSAL_KEYS),
        "required": list(REQUIRED),
        "anyOf": [{"required": [name]} for name in ONE_OF],
    }


def emperor_schema() -> dict[str, Any]:
    """Return the schema of the emperor's own file."""
    found = _table(EMPEROR_KEYS)
    in_defaults = {
        name: key
        for name, key in VASSAL_KEYS.items()
        if name not in NOT_IN_DEFAULTS and name != "plan"
    }
    for table, keys in (("plan", PLAN_KEYS), ("owner", OWNER_KEYS), ("customer", CUSTOMER_KEYS)):
        found["properties"][table] = {
            "type": "object",
            "description": EMPEROR_KEYS[table].help,
            "additionalProperties": _table(keys),
        }
    defaults = _table(in_defaults)
    found["properties"]["defaults"] = {"description": EMPEROR_KEYS["defaults"].help, **defaults}
    return {"$schema": DIALECT, "title": "The emperor", **found}


def _table(keys: Mapping[str, Key]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for key in keys.values():
        section, _, name = key.name.rpartition(".")
        (sections.setdefault(section, {}) if section else properties)[name] = _property(key)
    for section, inner in sections.items():
        properties[section] = {
            "type": "object",
            "description": _SECTIONS[section],
            "properties": inner,
            "additionalProperties": False,
        }
    if "log" in sections:
        # `log = "journal"` is short for `[log] target = "journal"`.
        properties["log"] = {"anyOf": [sections["log"]["target"], properties["log"]]}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(key: Key) -> dict[str, Any]:
    found: dict[str, Any] = {**key.schema, "description": key.help}
    if key.default:
        found["default"] = _toml_value(key.default)
    if key.example:
        found["examples"] = [_toml_value(key.example)]
    return found


def _toml_value(text: str) -> object:
    return tomllib.loads(f"value = {text}")["value"]

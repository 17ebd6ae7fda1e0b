"""The JSON Schema of a vassal file, for editors. Pure; made from the table of keys."""

import tomllib
from typing import Any

from emperor.config.keys import REQUIRED, VASSAL_KEYS, Key

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SECTIONS = {
    "socket": "Owner, group and mode of the unix sockets.",
    "log": "Where standard output and standard error go.",
    "limits": "What the processes may use.",
    "sandbox": "What the processes may see.",
}


def vassal_schema() -> dict[str, Any]:
    """Return the schema."""
    properties: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for key in VASSAL_KEYS.values():
        section, _, name = key.name.rpartition(".")
        (sections[section] if section else properties)[name] = _property(key)
    for section, keys in sections.items():
        properties[section] = {
            "type": "object",
            "description": _SECTIONS[section],
            "properties": keys,
            "additionalProperties": False,
        }
    # `log = "journal"` is short for `[log] target = "journal"`.
    properties["log"] = {"anyOf": [sections["log"]["target"], properties["log"]]}
    return {
        "$schema": DIALECT,
        "title": "A vassal of the emperor",
        "type": "object",
        "properties": properties,
        "required": list(REQUIRED),
        "additionalProperties": False,
    }


def _property(key: Key) -> dict[str, Any]:
    found: dict[str, Any] = {**key.schema, "description": key.help}
    if key.default:
        found["default"] = _toml_value(key.default)
    if key.example:
        found["examples"] = [_toml_value(key.example)]
    return found


def _toml_value(text: str) -> object:
    return tomllib.loads(f"value = {text}")["value"]

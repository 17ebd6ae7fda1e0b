"""JSON Schema of the kinds of values; what editors complete and underline. Pure."""

from typing import Any

from emperor.config.values import DURATION_MAX, SIZE_MAX

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
TEXTS: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}
PATH: Schema = {"type": "string", "minLength": 1, "maxLength": 4095}
PATHS: Schema = {"anyOf": [PATH, {"type": "array", "items": PATH}]}
ACCOUNT: Schema = {"type": "string", "pattern": r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31}\$?$"}
ACCOUNTS: Schema = {"anyOf": [ACCOUNT, {"type": "array", "items": ACCOUNT}]}
BOOLEAN: Schema = {"type": "boolean"}
DURATION: Schema = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": DURATION_MAX},
        {"type": "string", "pattern": r"^\s*(\d+(\.\d+)?\s*[a-z]*\s*)+$"},
    ]
}
SIZE: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": SIZE_MAX},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[KMGTPE]?\s*$"},
    ]
}
MODE: Schema = {
    "anyOf": [
        {"type": "string", "pattern": "^0?[0-7]{3}$"},
        {"type": "integer", "minimum": 0, "maximum": 0o777},
    ]
}
RLIMIT: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*[^:\s][^:]*(:[^:]+)?$"},
    ]
}
ENVIRONMENT: Schema = {
    "type": "object",
    "patternProperties": {"^[^=]+$": {"type": "string"}},
    "additionalProperties": False,
}
TABLE: Schema = {"type": "object"}
PERCENT: Schema = {"type": "string", "pattern": r"^(\d+(\.\d+)?\s*%|infinity)$"}
MEMORY: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": SIZE_MAX},
        {"type": "string", "pattern": r"^(\s*\d+(\.\d+)?\s*[KMGTPE%]?\s*|infinity)$"},
    ]
}
COUNT: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": SIZE_MAX},
        {"type": "string", "pattern": r"^(\s*\d+(\.\d+)?\s*%?\s*|infinity)$"},
    ]
}
NUMBERS: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": 8191},
        {"type": "string", "pattern": r"^[0-9,\s-]+$"},
        {"type": "array", "items": {"type": ["integer", "string"]}},
    ]
}
WORKERS: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 1024},
        {
            "type": "object",
            "properties": {name: {"type": "integer"} for name in ("min", "max", "initial", "step")},
            "required": ["max"],
            "additionalProperties": False,
        },
    ]
}
WORD: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,40}$"}
FILE_SYSTEM: Schema = {
    "type": "object",
    "properties": {"size": SIZE, "inodes": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}


def integer(minimum: int, maximum: int) -> Schema:
    """Return the schema of a whole number within the bounds."""
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def choice(*words: str) -> Schema:
    """Return the schema of one of the words."""
    return {"enum": list(words)}


def table_of(items: Schema) -> Schema:
    """Return the schema of a table whose values are all alike."""
    return {"type": "object", "additionalProperties": items}


def list_of(items: Schema) -> Schema:
    """Return the schema of one item or an array of them."""
    return {"anyOf": [items, {"type": "array", "items": items}]}

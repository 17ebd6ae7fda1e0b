"""Writes settings as TOML that our own loader reads to the same settings. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from emperor.config.keys import VASSAL_KEYS
from emperor.config.problems import printable

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_INLINE = ("workers", "access_log")
_PLACES = {
    name: place
    for place, name in enumerate(dict.fromkeys(name.partition(".")[0] for name in VASSAL_KEYS))
}
_EXACT = 2.0**53
_ESCAPED = re.compile("[\x00-\x1f\x7f]")


def native_text(values: Mapping[str, object], comments: Iterable[str] = ()) -> str:
    """Return the text of a vassal file: comments, then keys, then tables.

    `values` are as in a Document: text, numbers, booleans, lists, and tables of them.
    """
    lines = [f"# {printable(comment)}" for comment in comments]
    tables = {name: values[name] for name in values if _is_table(name, values[name])}
    plain = [name for name in values if name not in tables]
    if lines and values:
        lines.append("")
    lines += [
        f"{toml_key(name)} = {toml_value(values[name])}" for name in sorted(plain, key=_order)
    ]
    for name in sorted(tables, key=_order):
        if lines and lines[-1]:
            lines.append("")
        table: Any = tables[name]
        lines.append(f"[{toml_key(name)}]")
        lines += [f"{toml_key(key)} = {toml_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _is_table(name: str, value: object) -> bool:
    return isinstance(value, dict) and name not in _INLINE


def _order(name: str) -> int:
    """Return the place of a key among those of a vassal file; strangers come last."""
    return _PLACES.get(name, len(_PLACES))


def toml_key(name: str) -> str:
    """Return a key, in quotes where it needs them."""
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def toml_value(value: object) -> str:
    """Return a value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    raise TypeError(f"{type(value).__name__} is no value of a vassal file")


def _number(value: float) -> str:
    """Return a float; a whole one as an integer, which reads better and is the same to us."""
    if value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return repr(value)


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", quoted)

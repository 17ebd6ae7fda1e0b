"""The digest of what was decided for a vassal; another one means that something has to change.

A later emperor has fields that this one does not know. They are given a default under which all
is as before, and what is as it is by default does not count here: so an upgrade of the emperor
by itself gives no vassal another digest, and with it a new generation or master.
"""

import functools
import hashlib
from collections.abc import Mapping

import msgspec


def digest(value: object) -> str:
    """Return 16 hexadecimal digits for structs, containers of them and plain values."""
    said = msgspec.json.encode(_said(value), order="deterministic")
    return hashlib.sha256(said).hexdigest()[:16]


def _said(value: object) -> object:
    """Return `value` as plain data, without the fields that are as they are by default."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, msgspec.Struct):
        try:
            return _said_before(value)
        except TypeError:  # it holds a dict
            return _said_of(value)
    if isinstance(value, tuple):
        return [_said(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _said(one) for key, one in value.items()}
    return value


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _said_of(struct: msgspec.Struct) -> dict[str, object]:
    fields, defaults = msgspec.structs.asdict(struct), _defaults(type(struct))
    said = {
        name: _said(field)
        for name, field in fields.items()
        if name not in defaults or field != defaults[name]
    }
    tag = struct.__struct_config__.tag
    return said if tag is None else {"": tag, **said}


# Of the mounts of a vassal most are those of all others.
_said_before = functools.lru_cache(maxsize=1024)(_said_of)


@functools.cache
def _defaults(cls: type[msgspec.Struct]) -> dict[str, object]:
    defaults = {}
    for field in msgspec.structs.fields(cls):
        if field.default_factory is not msgspec.NODEFAULT:
            defaults[field.name] = field.default_factory()
        elif not field.required:
            defaults[field.name] = field.default
    return defaults

"""Messages as versions of ours have sent them: what an upgrade must go on understanding.

`python -m tests.support.recorded` records those of this version anew; a version that was
released is never recorded again.
"""

from base64 import b64encode
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect

from emperor import __version__
from vassal import encoding, messages
from vassal.encoding import encode
from vassal.messages import Message

FOLDER = Path(__file__).parents[1] / "data" / "messages"
DECODERS = {
    "spawner": (messages.FromEmperor, encoding.decode_from_emperor),
    "emperor": (messages.FromSpawner, encoding.decode_from_spawner),
    "master": (messages.ToMaster, encoding.decode_to_master),
    "emperor-from-master": (messages.FromMaster, encoding.decode_from_master),
}
"""By who reads it: all that is sent to it, and how it reads."""

CHECKED: dict[str, Any] = {
    "rlimits": {"nofile": [64, 128]},
    "confinement": {"rlimits": {"nofile": [64, 128]}, "nice": 5},
}
"""Fields in which not every value of their type is accepted."""


def sample(kind: type[Message]) -> Message:
    """Return a message of this kind with something in every field."""
    made = _value(inspect.type_info(kind), kind.__name__)
    message: Message = msgspec.json.decode(msgspec.json.encode(made), type=kind)
    return message


def lines() -> list[str]:
    """Return every message of this version, one line each: who reads it, and the packet."""
    found = []
    for reader, (union, _) in DECODERS.items():
        found += [f"{reader} {encode(sample(kind)).decode()}" for kind in get_args(union)]
    return found


def _value(info: inspect.Type, name: str) -> Any:
    if name in CHECKED:
        return CHECKED[name]
    match info:
        case inspect.StructType(fields=fields, tag=tag, tag_field=tag_field):
            made = {field.encode_name: _value(field.type, field.name) for field in fields}
            return {tag_field: tag, **made} if tag_field else made
        case inspect.UnionType(types=types):
            return _value(next(one for one in types if type(one) is not inspect.NoneType), name)
        case inspect.TupleType(item_types=items):
            return [_value(one, name) for one in items]
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return [_value(item, name)]
        case inspect.DictType(value_type=value):
            return {name: _value(value, name)}
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return len(name)
        case inspect.FloatType():
            return len(name) + 0.5
        case inspect.StrType():
            return f"/{name}"  # a path where it has to be one
        case inspect.BytesType():
            return b64encode(name.encode()).decode()
        case inspect.RawType():
            return {name: name}
        case _:
            raise NotImplementedError(f"{name}: {info}")


def main() -> None:
    path = FOLDER / f"{__version__}.txt"
    path.write_text("\n".join(lines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Reads options from JSON text. Pure."""

import json

from emperor.uwsgi.option import Unreadable, Written

_SHAPE = '{"uwsgi": {"module": "blog.wsgi", "processes": 4}}'


class _Pairs(list[tuple[str, object]]):
    """An object with its order and its repetitions."""


def read_json(text: str, section: str) -> list[Written] | None:
    """Return the options of the object named `section`, None if it is not there.

    An array repeats its key; true is 1, false and null are 0; of two keys of one name the last
    counts. Objects, arrays in arrays and numbers with a fraction are no values: uWSGI passes
    over them, and so does this. Raises Unreadable.
    """
    try:
        root = json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise Unreadable(error.lineno, f"no JSON: {error.msg}", f"write {_SHAPE}") from None
    except RecursionError:
        raise Unreadable(1, "nested too deep", f"write {_SHAPE}") from None
    named = [value for key, value in root if key == section] if isinstance(root, _Pairs) else []
    if not named:
        return None
    options = named[-1]
    if not isinstance(options, _Pairs):
        raise Unreadable(1, f"{section} is no object", f"write {_SHAPE}")
    return _with_lines(text, options)


def _with_lines(text: str, options: _Pairs) -> list[Written]:
    """Look for each key behind the one before: the parser does not tell where it was."""
    found: list[Written] = []
    last = {key: place for place, (key, _) in enumerate(options)}
    at = 0
    for place, (key, value) in enumerate(options):
        at = max(at, text.find(json.dumps(key, ensure_ascii=False), at))
        line = text.count("\n", 0, at) + 1
        if place != last[key]:
            continue
        items = value if isinstance(value, list) and not isinstance(value, _Pairs) else [value]
        found += [
            Written(key, _text(item), line) for item in items if not isinstance(item, (list, float))
        ]
    return found


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "1" if value is True else "0"

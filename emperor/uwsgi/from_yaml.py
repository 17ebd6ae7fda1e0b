"""Reads options from YAML text: events only, no object is ever made of it. Pure."""

from collections.abc import Iterator

import yaml

from emperor.uwsgi.option import Unreadable, Written

DEPTH_MAX = 20


def read_yaml(text: str, section: str) -> list[Written] | None:
    """Return the options below the key `section`, None if it is not there.

    A key may come twice, and a list repeats its key. Raises Unreadable.
    """
    try:
        return _section(yaml.parse(text, Loader=yaml.SafeLoader), section)
    except yaml.YAMLError as error:
        found = _by_lines(text, section)
        if found:
            return found
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        line = mark.line + 1 if mark is not None else 1
        raise Unreadable(line, f"no YAML: {what}", "write KEY: VALUE below uwsgi:") from None


def _section(events: Iterator[yaml.Event], section: str) -> list[Written] | None:
    for event in events:
        if isinstance(event, yaml.MappingStartEvent):
            break
    else:
        return None
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            return None
        wanted = isinstance(event, yaml.ScalarEvent) and event.value == section
        if not isinstance(event, yaml.ScalarEvent):
            _skip(event, events)
        value = next(events)
        if not wanted:
            _skip(value, events)
        elif isinstance(value, yaml.MappingStartEvent):
            return _options(events)
        else:
            raise Unreadable(_line(value), f"{section} is no mapping", "write KEY: VALUE below it")
    return None


def _options(events: Iterator[yaml.Event]) -> list[Written]:
    found: list[Written] = []
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        if not isinstance(key, yaml.ScalarEvent):
            raise Unreadable(_line(key), "a key that is no text", "write KEY: VALUE")
        found += _values(key, next(events), events)
    return found


def _values(
    key: yaml.ScalarEvent, value: yaml.Event, events: Iterator[yaml.Event]
) -> Iterator[Written]:
    if isinstance(value, yaml.ScalarEvent):
        yield Written(key.value, value.value, _line(key))
        return
    if not isinstance(value, yaml.SequenceStartEvent):
        raise Unreadable(_line(value), f"{key.value} has a mapping below it", "write a value")
    while not isinstance(item := next(events), yaml.SequenceEndEvent):
        if not isinstance(item, yaml.ScalarEvent):
            raise Unreadable(_line(item), f"{key.value} has lists in its list", "write values")
        yield Written(key.value, item.value, _line(item))


def _skip(event: yaml.Event, events: Iterator[yaml.Event]) -> None:
    """Leave out what begins with `event`."""
    depth = int(isinstance(event, yaml.CollectionStartEvent))
    while depth:
        event = next(events)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise Unreadable(_line(event), "nested too deep", "write KEY: VALUE below uwsgi:")


def _by_lines(text: str, section: str) -> list[Written]:
    """Return what uWSGI's own reader makes of it, which is used where it has no libyaml.

    It takes values that YAML does not: `chdir: %(base)`.
    """
    found: list[Written] = []
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        line = line.partition("#")[0].rstrip()
        own = line.lstrip()
        if not own:
            continue
        if line == own:
            if inside:
                break
            inside = own.partition(":")[0] == section
        elif inside:
            key, colon, value = own.replace(":\t", ": ").partition(": ")
            if not colon or own[0] in "-[{":
                break
            found.append(Written(key.rstrip(), value.strip(), number))
    return found


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1

"""New code understands what old code says, for as long as the two may meet in an upgrade."""

import json
from typing import Any

import pytest

from emperor import __version__
from tests.support.recorded import DECODERS, FOLDER, lines
from vassal.encoding import encode
from vassal.messages import Message

RECORDED = [
    (path.stem, line)
    for path in sorted(FOLDER.glob("*.txt"))
    for line in path.read_text(encoding="utf-8").splitlines()
]


def read(line: str) -> tuple[dict[str, Any], Message]:
    """Return a recorded packet, and what its reader makes of it now."""
    reader, packet = line.split(" ", 1)
    return json.loads(packet), DECODERS[reader][1](packet.encode())


def common(one: Any, other: Any) -> Any:
    """Return `one` without the fields that `other` does not have, at any depth."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: common(one[key], other[key]) for key in one if key in other}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [common(*pair) for pair in zip(one, other, strict=True)]
    return one


def test_messages_of_this_version_are_recorded() -> None:
    path = FOLDER / f"{__version__}.txt"
    assert path.read_text(encoding="utf-8").splitlines() == lines(), (
        "messages have changed: python -m tests.support.recorded; "
        "if this version was released, count it up first"
    )


@pytest.mark.parametrize(("version", "line"), RECORDED, ids=lambda text: text[:40])
def test_every_recorded_message_is_understood(version: str, line: str) -> None:
    packet, message = read(line)
    again = json.loads(encode(message))
    assert common(again, packet) == common(packet, again)


@pytest.mark.parametrize(("version", "line"), RECORDED, ids=lambda text: text[:40])
def test_field_of_a_later_version_is_no_obstacle(version: str, line: str) -> None:
    packet, message = read(line)
    reader = line.split(" ", 1)[0]
    later = json.dumps({**packet, "of_a_later_version": [1]}).encode()
    assert json.loads(encode(DECODERS[reader][1](later))) == json.loads(encode(message))

"""What the emperor believes of its parser's answer."""

import msgspec
import pytest

from emperor.config.parser_protocol import (
    NoAnswer,
    Parsed,
    Refused,
    Request,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from emperor.config.problems import ConfigError, Problem
from emperor.config.settings import EmperorSettings, ListenAddress, RlimitPair
from emperor.config.vassal_file import load_vassal

TEXT = 'app = "a:b"\nlisten = "http+unix:///run/a"\n[limits]\nmemory_max = "1G"\n'
REQUEST = Request(name="blog", text=TEXT, file="blog.toml", folder="/v", emperor=EmperorSettings())
SETTINGS = load_vassal("blog", TEXT, "blog.toml", "/v", EmperorSettings())


def test_request_and_answer_come_back_as_they_were():
    assert decode_request(encode_request(REQUEST)) == REQUEST
    assert decode_answer(encode_answer(SETTINGS), REQUEST) == SETTINGS


def test_problems_come_back_as_they_were():
    found = load_vassal("blog", "x = 1", "blog.toml", "/v", EmperorSettings())
    answer = decode_answer(encode_answer(found), REQUEST)
    assert isinstance(answer, ConfigError)
    assert answer.problems == found.problems


FORGED = ListenAddress(url="http+unix:///run/a", protocol="http", path="/etc/shadow")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"workers": 10**6},
        {"threads": -1},
        {"harakiri": -5.0},
        {"directory": "relative"},
        {"directory": "/a\nb"},
        {"app": "os:system('x') or 1"},
        {"user": "../x"},
        {"env": {"A=B": "x"}},
        {"env": {"A": "\0"}},
        {"hosts": ("../../etc/x",)},
        {"listen": ()},
        {"listen": (FORGED,)},
        {"limits": {"nofile": RlimitPair(soft=5, hard=1)}},
        {"limits": {"nonsense": RlimitPair(soft=1, hard=1)}},
        {"not_applied": ("app",)},
        {"not_applied": ("nonsense",)},
        {"not_applied": ("limits.memory_max",) * 2},
    ],
)
def test_settings_that_no_file_can_give_are_not_believed(changes):
    forged = msgspec.structs.replace(SETTINGS, **changes)
    with pytest.raises(NoAnswer):
        decode_answer(msgspec.json.encode(Parsed(settings=forged)), REQUEST)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"type":"parsed"}',
        b'{"type":"parsed","settings":{"name":5}}',
        b'{"type":"refused","problems":[]}',
        b" " * (2 * 1024 * 1024),
        msgspec.json.encode(
            Refused(problems=(Problem(file="/etc/passwd", line=1, key="", problem="", remedy=""),))
        ),
        msgspec.json.encode(
            Refused(
                problems=(Problem(file="blog.toml", line=1, key="", problem="", remedy=""),) * 99
            )
        ),
    ],
)
def test_bytes_that_are_no_answer_are_refused(data):
    with pytest.raises(NoAnswer):
        decode_answer(data, REQUEST)


def test_words_of_a_problem_are_shortened_and_made_printable():
    problem = Problem(file="blog.toml", line=1, key="a\n", problem="\x1b[2J", remedy="x" * 9999)
    answer = decode_answer(msgspec.json.encode(Refused(problems=(problem,))), REQUEST)
    assert isinstance(answer, ConfigError)
    assert len(str(answer)) < 600
    assert str(answer).isprintable()

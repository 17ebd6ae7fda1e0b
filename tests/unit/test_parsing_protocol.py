"""What the emperor believes of its parser's answer."""

import msgspec
import pytest

from emperor.config.problems import ConfigError, Problem
from emperor.config.settings import (
    EmperorSettings,
    Layer,
    ListenAddress,
    Owner,
    OwnerPolicy,
    Workers,
)
from emperor.config.vassal_file import load_vassal
from emperor.parsing.protocol import (
    Located,
    NoAnswer,
    Parsed,
    Refused,
    Request,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from limits.directives import Limits, Sandbox

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


ASKED = msgspec.structs.replace(REQUEST, keys=("user", "listen"))


def test_lines_come_back_as_they_were():
    found = Located(lines={"listen": 2})
    assert decode_answer(encode_answer(found), ASKED) == found


@pytest.mark.parametrize(
    ("answer", "request_"),
    [
        (Located(lines={"listen": 0}), ASKED),
        (Located(lines={"listen": 2**40}), ASKED),
        (Located(lines={"\x1b[31m": 2}), ASKED),
        (Located(lines={"listen": 2}), REQUEST),
        (SETTINGS, ASKED),
    ],
)
def test_lines_that_were_not_asked_for_are_not_believed(answer, request_):
    with pytest.raises(NoAnswer):
        decode_answer(encode_answer(answer), request_)


FORGED = ListenAddress(url="http+unix:///run/a", protocol="http", path="/etc/shadow")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"workers": Workers(1, 10**6)},
        {"workers": Workers(5, 1)},
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
        {"limits": Limits(rlimits={"nofile": (5, 1)})},
        {"limits": Limits(rlimits={"nonsense": (1, 1)})},
        {"limits": Limits(memory_max=-7)},
        {"limits": Limits(oom_score_adjust=-1000)},
        {"limits": Limits(slice="../x")},
        {"sandbox": Sandbox(protect_system="very")},
        {"sandbox": Sandbox(read_write_paths=("/srv/../etc",))},
        {"sandbox": Sandbox(ip_address_allow=("1.2.3.4/5",))},
        {"sandbox": Sandbox(capability_bounding_set=("CAP_X",))},
        {"plan": "nonsense"},
        {"on_unsupported": "x"},
        {"written": frozenset({"nonsense"})},
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


TENANT = msgspec.structs.replace(
    REQUEST,
    text='app = "a:b"\nlisten = "http+unix:///run/a"\n',
    emperor=EmperorSettings(
        plans={"small": Layer(values={"workers": 2, "limits": {"memory_max": "256M"}})},
        owners={"blog": OwnerPolicy(plan="small", hosts=("blog.example",), listen_tcp=False)},
    ),
    owner=Owner(name="blog", tenant=True),
)


def honest():
    found = load_vassal("blog", TENANT.text, "blog.toml", "/v", TENANT.emperor, TENANT.owner)
    assert not isinstance(found, ConfigError), found
    return found


def test_settings_within_the_owners_plan_are_believed():
    assert decode_answer(encode_answer(honest()), TENANT) == honest()
    assert honest().limits.memory_max == 256 * 2**20


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": 3},
        {"limits": Limits()},
        {"limits": Limits(memory_max=512 * 2**20)},
        {"limits": Limits(memory_max=2**20, slice="acme")},
        {"plan": None},
        {"written": frozenset()},
        {"hosts": ("shop.example",)},
        {"listen": (ListenAddress(url="http://:8000", protocol="http", port=8000),)},
        {"sandbox": Sandbox(private_pids=False)},
    ],
)
def test_parser_that_grants_itself_more_than_the_plan_is_not_believed(changes):
    forged = msgspec.structs.replace(honest(), **changes)
    with pytest.raises(NoAnswer):
        decode_answer(msgspec.json.encode(Parsed(settings=forged)), TENANT)

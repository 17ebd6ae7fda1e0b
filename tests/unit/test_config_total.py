"""Any text gives settings or problems: never an exception, never an unprintable line."""

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emperor.config.default_places import Places
from emperor.config.document import Document
from emperor.config.emperor_file import load_emperor
from emperor.config.emperor_tables import read_tables
from emperor.config.keys import VASSAL_KEYS
from emperor.config.problems import ConfigError
from emperor.config.settings import EmperorSettings, Machine, Owner, VassalSettings
from emperor.config.vassal_file import load_vassal, settle, written
from emperor.parsing.protocol import Request, decode_answer, encode_answer

MACHINE = Machine(memory_bytes=2**33, tasks_max=9999, cpus=4)
PLACES = Places("/run/emperor", "/var/log/emperor", "/var/lib/emperor")
SCALARS = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.datetimes(),
    st.sampled_from(
        ["50%", "0-3", "/srv", "/a:/b", "@hosting", "~x", "any", "10.0.0.1", "auto", "none"]
        + [
            "http://:80",
            "http+unix:///run/a",
            "a:b",
            "a:f(1)",
            "1h",
            "5M",
            "660",
            "1:2",
            "infinity",
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted({name.partition(".")[0] for name in VASSAL_KEYS})) | st.text()
INNER = st.sampled_from(sorted({name.partition(".")[2] for name in VASSAL_KEYS} - {""}))
TABLES = st.dictionaries(NAMES, VALUES | st.dictionaries(INNER, VALUES, max_size=4), max_size=6)


def good(result):
    if isinstance(result, ConfigError):
        assert result.problems
        for problem in result.problems:
            assert str(problem).isprintable()
            assert problem.line >= 1
            assert len(str(problem)) < 1500
        return False
    return True


@settings(deadline=None)
@given(st.text())
def test_any_text_is_settings_or_problems(text):
    assert not good(load_vassal("a", text, "a.toml", "/v", EmperorSettings()))


@settings(deadline=None)
@given(st.text(alphabet="abelppnstih.=[]{}\"'#\\\n:/ 0o1\ud7ff", max_size=80))
def test_any_text_that_looks_like_a_file_is_settings_or_problems(text):
    good(load_vassal("a", text, "a.toml", "/v", EmperorSettings()))
    good(load_emperor(text, "emperor.toml", "/e", PLACES))


@settings(deadline=None, max_examples=60)
@example({"listen": "/\ud7fc"}, {}, {})
@given(TABLES, TABLES, TABLES)
def test_any_values_of_a_tenant_are_settings_or_problems(own, plan, owner):
    tables = {"plan": {"p": plan}, "owner": {"o": owner, "*": plan}, "customer": {"c": owner}}
    read, problems = read_tables(Document("emperor.toml", tables), "p", MACHINE)
    for problem in problems:
        assert str(problem).isprintable()
        assert len(str(problem)) < 1500
    emperor = EmperorSettings(
        plans=read.plans, owners=read.owners, customers=read.customers, machine=MACHINE
    )
    base = {"app": "a:b", "listen": ["http+unix:///run/a"], **own}
    for name in ("o", "x"):
        who = Owner(name=name, tenant=True)
        result = settle("a", Document("a.toml", base), "/v", emperor, who)
        if good(result):
            request = Request(
                name="a", text="", file="a.toml", folder="/v", emperor=emperor, owner=who
            )
            assert decode_answer(encode_answer(result), request) == result


@settings(deadline=None, max_examples=300)
@example({"hosts": "\U0001342f:"}, {})
@given(TABLES, TABLES)
def test_any_values_are_settings_or_problems(own, defaults):
    base = {"app": "a:b", "listen": ["http+unix:///run/a"]}
    emperor = EmperorSettings(defaults=defaults)
    result = settle("a", Document("a.toml", {**base, **own}), "/v", emperor)
    if good(result):
        assert isinstance(result, VassalSettings)
        again = settle("a", Document("a.toml", written(result)), "/elsewhere", EmperorSettings())
        assert isinstance(again, VassalSettings), str(again)
        assert again.listen == result.listen


LEGAL = st.fixed_dictionaries(
    {},
    optional={
        "workers": st.integers(1, 60),
        "threads": st.integers(1, 60),
        "harakiri": st.floats(1, 1000) | st.sampled_from(["30", "10m", "1h 30m"]),
        "spawn_timeout": st.floats(0.001, 1e6),
        "user": st.from_regex(r"[a-z_][a-z0-9-]{0,20}", fullmatch=True),
        "python": st.sampled_from([".venv", "/usr/bin/python3", "../x"]),
        "pythonpath": st.lists(st.from_regex(r"[a-z/.]{1,20}", fullmatch=True), max_size=3),
        "env": st.dictionaries(
            st.from_regex(r"[A-OQ-Z][A-Z_]{0,8}", fullmatch=True), st.text(max_size=9), max_size=3
        ).filter(lambda env: not any("\0" in value for value in env.values())),
        "max_body": st.integers(0, 2**63 - 1),
        "log": st.sampled_from(["journal", "inherit", "file", "x/y.log"]),
        "socket": st.fixed_dictionaries(
            {}, optional={"mode": st.from_regex(r"[0-7]{3}", fullmatch=True)}
        ),
        "limits": st.fixed_dictionaries(
            {},
            optional={
                "limit_as": st.integers(0, 2**63 - 1) | st.just("1G:infinity"),
                "limit_cpu": st.integers(0, 10**6),
                "limit_rttime": st.integers(0, 10**15),
                "limit_nofile": st.integers(0, 2**31),
            },
        ),
    },
)


@settings(deadline=None)
@given(LEGAL)
def test_legal_settings_written_and_read_again_are_the_same(values):
    base = {"app": "a:b", "listen": ["http+unix:///run/a", "http://[::1]:80"], "hosts": ["a.b"]}
    result = settle("a", Document("a.toml", {**base, **values}), "/v", EmperorSettings())
    assert isinstance(result, VassalSettings), str(result)
    again = settle("a", Document("a.toml", written(result)), "/elsewhere", EmperorSettings())
    assert isinstance(again, VassalSettings), str(again)
    assert msgspec.structs.replace(again, written=result.written) == result

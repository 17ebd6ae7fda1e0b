"""Files in uWSGI's dialects that are made to hurt, through the parser and through an emperor."""

import asyncio
import itertools
import os
import pwd
import threading
import time
from pathlib import Path

import pytest

from emperor.config.problems import ConfigError
from emperor.config.read import FILE_BYTES_MAX
from emperor.config.settings import EmperorSettings, Owner, VassalSettings
from emperor.parsing.process import PARSE_S, QUESTIONS_S, ParserProcess
from emperor.parsing.zygote import MEMORY_BYTES_MAX
from emperor.uwsgi.real_host import RealHost, facts_of, seen_by
from tests.support.emperor import Emperor, get
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.wait import wait_until

TENANT = Owner(name="nobody", tenant=True)
GOOD = "[uwsgi]\nmodule = a\nhttp-socket = 127.0.0.1:8000\n"
JUNK = "".join(map(chr, range(256))) * 200


def doubled(define: str, behind: str) -> str:
    """Return lines of which each is twice the one before, 2^24 letters in the end."""
    letters = "abcdefghijklmnopqrstuvwxy"
    lines = [f"{define}a{behind}x\n"]
    for before, each in itertools.pairwise(letters):
        lines.append(f"{define}{each}{behind}%({before})%({before})\n")
    return GOOD + "".join(lines) + "env = A=%(y)\n"


def aliases() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]\n"]
    letters = "abcdefghijklm"
    for before, each in itertools.pairwise(letters):
        lines.append(f"{each}: &{each} [{', '.join([f'*{before}'] * 9)}]\n")
    return "".join(lines) + "uwsgi:\n  module: *m\n"


TOO_MUCH = "takes more than"
ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'

# FOLDER is where the file is. What is said about it comes last.
HOSTILE = {
    "aliases.yaml": (aliases(), "module has a mapping below it"),
    "alias.yaml": ("uwsgi:\n  a: &a [x]\n  module: *a\n", "module has a mapping below it"),
    "deep.yaml": ("uwsgi:\n  a: " + "[" * 60_000, "a has lists in its list"),
    "maps.yaml": ("uwsgi:\n  a: " + "{a: " * 20_000, "a has a mapping below it"),
    "other.yaml": ("a: " + "[" * 60_000, "nested too deep"),
    "junk.yaml": (JUNK, "no YAML"),
    "long.yaml": ("uwsgi:\n" + "  a: 1\n" * 120_000, TOO_MUCH),
    "deep.xml": ("<uwsgi>" + "<a>" * 60_000, "nested too deep"),
    "laughs.xml": (f"{ENTITIES}<uwsgi><module>&b;</module></uwsgi>", "a document type"),
    "passwd.xml": (
        '<!DOCTYPE x [<!ENTITY a SYSTEM "/etc/passwd">]><uwsgi><module>&a;</module></uwsgi>',
        "a document type",
    ),
    "attribute.xml": (
        f'<uwsgi><app mountpoint="/{"x" * 200_000}">a</app></uwsgi>',
        "",
    ),
    "attributes.xml": (
        "<uwsgi><app " + " ".join(f'a{n}="x"' for n in range(20_000)) + ">a</app></uwsgi>",
        "mounts nothing",
    ),
    "junk.xml": (JUNK, "no XML"),
    "deep.json": ('{"uwsgi": ' + "[" * 100_000, "nested too deep"),
    "maps.json": ('{"uwsgi": {"a":' * 20_000, "nested too deep"),
    "number.json": (
        '{"uwsgi": {"module": "a", "http-socket": ":1", "processes": -' + "9" * 200_000 + "}}",
        "processes",
    ),
    "junk.json": (JUNK, "no JSON"),
    "times.ini": (
        GOOD + "for-times = 1000000000\nenv = A%(_)=b\nendfor =\n",
        "there are too many options",
    ),
    "placeholders.ini": (
        GOOD + "for-times = 1000000000\nset-ph = A%(_)=b\nendfor =\n",
        "there are too many options",
    ),
    "doubling.ini": (doubled("", " = "), "%(…) does not come to an end"),
    "doubled.ini": (doubled("set-placeholder = ", "="), "%(…) does not come to an end"),
    "itself.ini": (GOOD + "a = %(a)x\nenv = A=%(a)\n", "%(…) does not come to an end"),
    "sets.ini": (GOOD + "set = " + "set=" * 400 + "a=b\n", "stands in too many others"),
    "long-sets.ini": (GOOD + "set = " + "set=" * 60_000 + "a=b\n", "too many"),
    "circle.ini": ("[uwsgi]\ninclude = FOLDER/circle.ini\n", "too many files include one another"),
    "circles.ini": ("[uwsgi]\ninclude = FOLDER/turn.ini\n", "too many files include one another"),
    "wide.ini": (
        "[uwsgi]\n" + "include = FOLDER/wide.ini\n" * 60,
        "too many files include one another",
    ),
    "pipe.ini": (GOOD + "include = FOLDER/fifo.ini\n", "fifo.ini cannot be read"),
    "zero.ini": (GOOD + "env = A=@(/dev/zero)\n", "is named in @(…) and cannot be read"),
    "asks.ini": (
        GOOD + "".join(f"if-exists = /none{n}\nenv = A=b\nendif =\n" for n in range(200)),
        "it asks for too much of the machine",
    ),
    "junk.ini": ("[uwsgi]\n" + JUNK, "no application is named"),
    "keys.ini": (GOOD + "".join(f"k{n}=1\n" for n in range(30_000)), "too many options"),
    "sections.ini": ("[x]\n" * 60_000, 'there is no section "uwsgi"'),
    "value.ini": (GOOD + "env = A=" + "x" * 200_000, "is 200000 characters long"),
    "line.ini": ("[uwsgi]\nmodule = " + "x" * 10 * 1024 * 1024, "too large"),
    "line.yaml": ("uwsgi:\n  module: " + "x" * 10 * 1024 * 1024, "too large"),
}


def parsing(scenario, **options):
    """Run `scenario(parser)` and close the parser."""

    async def run():
        parser = ParserProcess(EmperorSettings(), **options)
        try:
            return await scenario(parser)
        finally:
            await parser.close()

    return asyncio.run(run())


def read_by(parser, file, text, host=None, owner=TENANT):
    """Return what the parser makes of nobody's file at this path, as a coroutine."""
    uid = pwd.getpwnam("nobody").pw_uid
    folder = str(file.parent)
    real, facts = seen_by(uid, folder)
    return parser.parse_uwsgi(file.stem, text, str(file), owner, host or real, facts)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that everybody may look into, with what hostile files include."""
    need_root()
    made = Path(tmp_path_factory.mktemp("f"))
    for each in (made, *made.parents[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    (made / "turn.ini").write_text(f"[uwsgi]\ninclude = {made}/circles.ini\n")
    os.mkfifo(made / "fifo.ini", 0o644)
    return made


def written_in(folder: Path, name: str) -> str:
    return HOSTILE[name][0].replace("FOLDER", str(folder))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_gets_a_clear_error_in_time_and_the_good_one_beside_it_is_read(
    folder: Path, name: str
) -> None:
    text, says = written_in(folder, name), HOSTILE[name][1]
    if name.startswith("circle"):
        (folder / name).write_text(text)

    async def scenario(parser):
        began = time.monotonic()
        hostile, good = await asyncio.gather(
            read_by(parser, folder / name, text), read_by(parser, folder / "good.ini", GOOD)
        )
        assert time.monotonic() - began < QUESTIONS_S + 3 * PARSE_S
        assert isinstance(hostile, ConfigError), hostile
        assert says in str(hostile)
        assert all(problem.remedy for problem in hostile.problems)
        assert all(str(problem).isprintable() for problem in hostile.problems)
        assert sum(len(str(problem)) for problem in hostile.problems) < 100_000
        assert isinstance(good, VassalSettings), good

    parsing(scenario)


def test_memory_of_the_parser_is_bounded(folder: Path) -> None:
    async def scenario(parser):
        assert isinstance(await read_by(parser, folder / "good.ini", GOOD), VassalSettings)
        limits = Path(f"/proc/{parser.pid}/limits").read_text().splitlines()
        (line,) = (line for line in limits if line.startswith("Max address space"))
        assert line.split()[3:5] == [str(MEMORY_BYTES_MAX)] * 2

    parsing(scenario)


class Dead(RealHost):
    """A file system that answers nobody until it is let go of."""

    def __init__(self) -> None:
        self.asked = 0
        self.back = threading.Event()

    def read(self, path: str) -> bytes | None:
        self.asked += 1
        self.back.wait(60)
        return b"[uwsgi]\nmaster = true\n"


def test_include_that_never_answers_costs_its_owner_an_error_and_no_thread_for_each_try(
    folder: Path,
) -> None:
    dead = Dead()
    text = GOOD + "include = /net/gone.ini\n"

    async def scenario(parser):
        for _ in range(6):
            found = await read_by(parser, folder / "blog.ini", text, dead)
            assert isinstance(found, ConfigError)
            assert "/net/gone.ini does not answer; name files that can be read" in str(found)
            other = Owner(name="games", tenant=True)
            good = await read_by(parser, folder / "good.ini", GOOD, owner=other)
            assert isinstance(good, VassalSettings)
        assert dead.asked == 2
        dead.back.set()
        while isinstance(await read_by(parser, folder / "blog.ini", text, dead), ConfigError):
            await asyncio.sleep(0.01)

    try:
        parsing(scenario, questions_s=1.0)
    finally:
        dead.back.set()


def test_sets_in_one_another_are_refused_where_the_emperor_reads_for_itself(tmp_path: Path) -> None:
    from emperor.uwsgi.vassal import load_uwsgi

    text, says = HOSTILE["sets.ini"]
    facts = facts_of(str(tmp_path), os.getuid(), os.getgid(), {})
    found = load_uwsgi("sets", text, f"{tmp_path}/sets.ini", RealHost(), facts, EmperorSettings())
    assert says in str(found)


SERVED = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
"""


def test_good_vassal_serves_beside_all_of_them(emperor: Emperor) -> None:
    need_root()
    emperor.app("says", SERVED)
    nobody = pwd.getpwnam("nobody").pw_uid
    turn = f"[uwsgi]\ninclude = {emperor.vassals}/circles-ini.ini\n"
    (emperor.base / "turn.ini").write_text(turn)
    os.mkfifo(emperor.base / "fifo.ini", 0o644)
    expected = {}
    for name, (text, says) in HOSTILE.items():
        stem, _, suffix = name.partition(".")
        file = emperor.vassals / f"{stem}-{suffix}.{suffix}"
        text = text.replace("FOLDER/turn", f"{emperor.base}/turn")
        text = text.replace("FOLDER/fifo", f"{emperor.base}/fifo")
        text = text.replace("FOLDER/circle.ini", f"{emperor.vassals}/circle-ini.ini")
        file.write_text(text.replace("FOLDER/wide.ini", f"{emperor.vassals}/wide-ini.ini"))
        os.chown(file, nobody, -1)
        expected[file.stem] = "write at most" if len(text.encode()) > FILE_BYTES_MAX else says
    port = free_port()
    good = emperor.vassals / "zz-good.ini"  # read last of all
    good.write_text(
        f"[uwsgi]\nchdir = {emperor.apps}\nmodule = says\nhttp-socket = 127.0.0.1:{port}\n"
    )
    os.chown(good, pwd.getpwnam("games").pw_uid, -1)
    emperor.start()
    emperor.wait_state("zz-good", "ready", 60)
    assert get(port) == (200, b"served")
    for name, says in expected.items():
        failure = wait_until(lambda name=name: emperor.vassal(name)["last_failure"], 30, name)
        assert failure["kind"] == "config"
        assert says in failure["message"], name
    assert get(port) == (200, b"served")


def test_keys_of_a_file_in_uwsgis_dialect_are_located_by_its_options(folder: Path) -> None:
    text = "[uwsgi]\nmodule = a\nsocket = :8000\n\nuid = nobody-knows\n"
    file = folder / "blog.ini"
    host, facts = seen_by(pwd.getpwnam("nobody").pw_uid, str(folder))

    async def scenario(parser):
        return await parser.locate(
            ("user", "listen", "python"), "blog", text, str(file), TENANT, host, facts
        )

    assert parsing(scenario) == {"user": 5, "listen": 3}

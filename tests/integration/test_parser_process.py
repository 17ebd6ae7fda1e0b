"""The parser of tenants' files as a real process, with files that are made to hurt."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from emperor.config.problems import ConfigError
from emperor.config.settings import EmperorSettings, Owner, VassalSettings, Workers
from emperor.parsing.process import ParserProcess
from tests.support.need import need_root
from tests.support.processes import fds_of
from tests.support.wait import wait_until

TENANT = Owner(name="blog", tenant=True)
GOOD = 'app = "a:b"\nlisten = "http+unix:///run/a"\n'
# tomllib compares every part of such a key with every other.
BURNS_CPU = "a." * 30_000 + "a = 1\n"


def parsing(scenario, settings=EmperorSettings(), **options):  # noqa: B008
    """Run `scenario(parser)` and close the parser."""

    async def run():
        parser = ParserProcess(settings, **options)
        try:
            return await scenario(parser)
        finally:
            await parser.close()

    return asyncio.run(run())


async def parse(parser, text=GOOD, name="blog"):
    return await parser.parse(name, text, f"{name}.toml", "/srv/vassals", TENANT)


def status(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return line.split()[1:]
    raise AssertionError(field)


def is_busy(pid):
    """Tell whether a process has used a tenth of a second; one that has ended has not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(fields[11]) + int(fields[12]) >= 10


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_good_file_gives_settings_with_the_emperors_defaults():
    settings = EmperorSettings(defaults={"workers": 3, "env": {"A": "1"}})

    result = parsing(parse, settings)

    assert isinstance(result, VassalSettings)
    assert (result.name, result.workers, result.env) == ("blog", Workers(3, 3), {"A": "1"})
    assert result.directory == "/srv/vassals"


def test_wrong_file_gives_its_problems():
    result = parsing(lambda parser: parse(parser, GOOD + "\nworker = 3\n[env]\nA = 1"))
    assert isinstance(result, ConfigError)
    assert str(result).splitlines() == [
        "blog.toml:4: worker: unknown key; did you mean workers?",
        'blog.toml:6: env.A: 1 is not text; write A = "1"',
    ]


def test_keys_are_located_as_they_are_in_the_file():
    async def scenario(parser):
        return await parser.locate(("listen", "user"), "blog", GOOD, "/v/blog.toml", TENANT)

    assert parsing(scenario) == {"listen": 2}


def test_parser_has_no_privileges():
    need_root()

    async def scenario(parser):
        await parse(parser)
        pid = parser.pid
        nobody = ["65534"] * 4
        assert status(pid, "Uid") == nobody
        assert status(pid, "Gid") == nobody
        assert status(pid, "Groups") == []
        assert status(pid, "NoNewPrivs") == ["1"]
        assert int(status(pid, "CapEff")[0], 16) == int(status(pid, "CapPrm")[0], 16) == 0
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert "Max core file size        0                    0" in limits
        assert "Max file size             0                    0" in limits

    parsing(scenario)


def test_parser_inherits_no_descriptor_and_no_environment(monkeypatch):
    need_root()  # nobody else may look into it
    monkeypatch.setenv("SECRET", "hunter2")

    async def scenario(parser):
        secret = os.memfd_create("secret", 0)  # inheritable, by mistake
        os.set_inheritable(secret, True)
        try:
            await parse(parser)
            fds = set(fds_of(parser.pid).values())
            assert fds
            assert not any("secret" in target for target in fds)
            assert b"hunter2" not in Path(f"/proc/{parser.pid}/environ").read_bytes()
        finally:
            os.close(secret)

    parsing(scenario)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 60_000,
        "a = " + "[" * 20_000 + "]" * 20_000,
        "a = " + "{a=" * 20_000 + "1" + "}" * 20_000,
        "a = " + "9" * 60_000,
        "a = 0x" + "f" * 60_000,
        "workers = 0x" + "f" * 60_000,
        GOOD + "a." * 200 + "b = 1",
        'app = "a:f(' + "(" * 60_000 + '"',
        "".join(f"[[a.b{n}]]\n" for n in range(5000)),
        "".join(f"k{n} = 1\n" for n in range(6000)),
        "\x00\x01\x02",
        "\u202e" * 20_000,
        '"' + "\\u0000" * 10_000 + '" = 1',
    ],
)
def test_hostile_text_costs_its_owner_an_error_and_nobody_else_anything(text):
    async def scenario(parser):
        hostile, good = await asyncio.gather(parse(parser, text, "evil"), parse(parser))
        assert isinstance(hostile, ConfigError)
        assert all(str(problem).isprintable() for problem in hostile.problems)
        assert len(hostile.problems) <= 51
        assert isinstance(good, VassalSettings)

    parsing(scenario)


def test_file_that_burns_cpu_is_given_up_in_time_while_others_are_parsed():
    async def scenario(parser):
        await parse(parser)
        started = time.monotonic()
        burning = asyncio.create_task(parse(parser, BURNS_CPU, "evil"))
        await asyncio.sleep(0)
        assert isinstance(await parse(parser), VassalSettings)
        assert not burning.done()
        result = await burning
        took = time.monotonic() - started
        assert str(result) == (
            "evil.toml:1: file: reading the file takes more than 0.5 s or too much memory; "
            "write fewer and shorter keys"
        )
        assert took < 3
        wait_until(lambda: not children(parser.pid), what="the child is gone")

    parsing(scenario, parse_s=0.5)


def test_child_that_is_killed_is_an_error_of_its_file_only():
    async def scenario(parser):
        await parse(parser)
        zygote = parser.pid
        burning = asyncio.create_task(parse(parser, BURNS_CPU, "evil"))
        while not any(is_busy(pid) for pid in children(zygote)):
            await asyncio.sleep(0.01)
        os.kill(int(children(zygote)[0]), signal.SIGKILL)
        assert isinstance(await burning, ConfigError)
        assert isinstance(await parse(parser), VassalSettings)
        assert parser.pid == zygote

    parsing(scenario, parse_s=5.0, answer_s=10.0)


def test_parser_that_is_killed_is_started_again():
    async def scenario(parser):
        await parse(parser)
        killed = parser.pid
        os.kill(killed, signal.SIGKILL)
        results = await asyncio.gather(*(parse(parser) for _ in range(20)))
        assert all(isinstance(result, VassalSettings) for result in results)
        assert parser.pid != killed

    parsing(scenario)


def test_parser_that_is_stopped_is_replaced():
    async def scenario(parser):
        await parse(parser)
        stopped = parser.pid
        os.kill(stopped, signal.SIGSTOP)
        assert isinstance(await parse(parser), VassalSettings)
        assert parser.pid != stopped

    parsing(scenario, answer_s=1.5)


def test_parser_that_cannot_be_started_is_an_error_and_no_hang(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    result = parsing(parse, answer_s=2.0)
    assert str(result) == (
        "blog.toml:1: file: the parser could not be started; see the emperor's log"
    )


def test_hundred_files_at_once_are_parsed_and_no_zombie_stays():
    async def scenario(parser):
        results = await asyncio.gather(
            *(parse(parser, GOOD + f"workers = {n + 1}", f"v{n}") for n in range(100))
        )
        assert [result.workers.max for result in results] == list(range(1, 101))
        wait_until(lambda: not children(parser.pid), what="no child is left")

    parsing(scenario)


def test_closing_ends_the_process_and_later_files_are_refused():
    async def scenario(parser):
        await parse(parser)
        pid = parser.pid
        await parser.close()
        assert not Path(f"/proc/{pid}").exists()
        assert isinstance(await parse(parser), ConfigError)
        assert parser.pid == 0

    parsing(scenario)


def test_parser_goes_when_the_emperor_does():
    reader, writer = os.pipe()
    brain = os.fork()
    if brain == 0:
        try:

            async def scenario(parser):
                await parse(parser)
                os.write(writer, str(parser.pid).encode())
                os.kill(os.getpid(), signal.SIGKILL)

            parsing(scenario)
        finally:
            os._exit(1)
    os.waitpid(brain, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        pid = int(pipe.read())
    wait_until(lambda: not alive(pid), what="the parser is gone")


def alive(pid):
    """Tell whether the process runs; a zombie that came to us as an orphan is reaped."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    return Path(f"/proc/{pid}").exists()

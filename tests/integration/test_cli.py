"""The command line as a process, against a real control socket."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.control import (
    NOBODY,
    REPOSITORY,
    Served,
    emperor,
    emperor_command,
    served,
)
from tests.support.need import need_root
from tests.support.wait import wait_until


@pytest.fixture
def api(runtime_dir: Path) -> Iterator[Served]:
    with served(runtime_dir, {"shop": 0, "blog": NOBODY}) as one:
        yield one


def here(api: Served) -> dict[str, str]:
    return {"EMPEROR_RUNTIME_DIR": str(api.runtime_dir)}


def test_status_is_a_plain_table_when_piped(api):
    done = emperor("status", "--runtime-dir", str(api.runtime_dir))
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nNAME  STATE" in done.stdout
    assert "\nshop  ready" in done.stdout
    assert "\x1b" not in done.stdout


def test_status_of_one_vassal_shows_its_request_with_control_characters_escaped(api):
    done = emperor("status", "shop", environ=here(api))
    assert "GET /report\\x1b[2J  1.5s" in done.stdout
    assert "\x1b" not in done.stdout


def test_status_as_json_is_the_api_s_answer(api):
    done = emperor("status", "--json", environ=here(api))
    status = json.loads(done.stdout)
    assert status["emperor"]["pid"] == os.getpid()
    assert [vassal["name"] for vassal in status["vassals"]] == ["shop", "blog"]
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["colour", "NO_COLOR"]
)
def test_status_is_coloured_on_a_terminal_only(api, environ, coloured):
    shown = on_terminal(["status"], {**here(api), "TERM": "xterm", "COLUMNS": "140", **environ})
    assert b"shop" in shown
    assert (b"\x1b[32mready" in shown) is coloured


def on_terminal(words: list[str], environ: dict[str, str]) -> bytes:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        emperor_command(*words),
        stdout=theirs,
        cwd=REPOSITORY,
        env={"PATH": os.defpath, **environ},
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass  # EIO: the other side was closed
        finally:
            os.close(ours)
        assert process.wait(10) == 0
    return shown


@pytest.mark.parametrize("action", ["reload", "restart", "stop"])
def test_steering_says_what_was_begun(api, action):
    done = emperor(action, "shop", environ=here(api))
    assert (done.returncode, done.stdout) == (0, f"{action} of shop was begun\n")
    assert api.steering.steered == [(action, "shop")]


def test_refusal_is_told_with_status_1(api):
    done = emperor("start", "shop", environ=here(api))
    assert done.returncode == 1
    assert done.stderr == (
        "emperor: shop runs already; to replace it, reload it. Run: emperor explain shop\n"
    )


def test_explain_shows_limits(api):
    done = emperor("explain", "shop", environ=here(api))
    assert "why:         all is as wanted\n" in done.stdout
    assert "memory_max  256M   applied" in done.stdout
    explanation = json.loads(emperor("explain", "shop", "--json", environ=here(api)).stdout)
    assert explanation["desired"] == "running"


def test_logs_are_printed_escaped(api):
    log = api.runtime_dir / "shop.log"
    log.write_bytes(b"one\ntwo\n\x1b]0;title\x07three\n")
    done = emperor("logs", "shop", "-n", "2", environ=here(api))
    assert done.stdout == "two\n\\x1b]0;title\\x07three\n"
    log.unlink()


def test_logs_and_events_go_on_until_interrupted(api):
    log = api.runtime_dir / "shop.log"
    log.write_text("one\n")
    for words, happen in (
        (["logs", "shop", "-f"], lambda: log.open("a").write("two\n")),
        (["events"], lambda: api.publish("two", "shop")),
        (["events", "--json"], lambda: api.publish("two", "shop")),
    ):
        with subprocess.Popen(
            emperor_command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=here(api),
        ) as process:
            if words[0] == "logs":
                assert process.stdout.readline() == "one\n"
            else:
                wait_until(lambda: api.listeners() == 1, what="the subscription")
            happen()
            assert "two" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert (process.wait(5), process.stderr.read()) == (-signal.SIGINT, "")
        wait_until(lambda: api.listeners() == 0, what="the end of the subscription")
    log.unlink()


def test_reader_that_has_enough_causes_no_complaint(api):
    log = api.runtime_dir / "shop.log"
    log.write_text("line\n" * 10_000)
    command = " ".join(emperor_command("logs", "shop", "-n", "10000")) + " | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command], cwd=REPOSITORY, env={"PATH": os.defpath, **here(api)},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("line\n", "")
    log.unlink()


@pytest.mark.parametrize(
    ("output", "status", "complaint"),
    [(">&-", 0, ""), (">/dev/full", 1, "standard output: No space left on device\n")],
)
def test_output_that_cannot_be_written_is_no_traceback(api, output, status, complaint):
    command = " ".join(emperor_command("status")) + output
    done = subprocess.run(
        ["sh", "-c", command], cwd=REPOSITORY, env={"PATH": os.defpath, **here(api)},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    told = f"emperor status: {complaint}" if complaint else ""
    assert (done.returncode, done.stderr) == (status, told)


def test_without_an_emperor_the_exit_status_is_3_and_the_way_out_is_named(runtime_dir):
    done = emperor("status", "--runtime-dir", str(runtime_dir))
    assert done.returncode == 3
    assert f"no emperor runs at {runtime_dir}/control.sock" in done.stderr
    assert "EMPEROR_RUNTIME_DIR" in done.stderr


def test_tenant_without_a_runtime_dir_is_told_to_name_one():
    need_root()
    done = emperor("status", user=NOBODY)
    assert done.returncode == 3
    assert "/run/emperor/control.sock" in done.stderr
    assert "--runtime-dir" in done.stderr


def test_tenant_is_shown_its_own_vassals(api):
    need_root()
    done = emperor("status", environ=here(api), user=NOBODY)
    assert "1 vassal: 1 ready" in done.stdout
    assert "shop" not in done.stdout
    assert emperor("stop", "shop", environ=here(api), user=NOBODY).stderr == (
        "emperor: no vassal 'shop'. Run: emperor status\n"
    )


def test_version_is_printed():
    assert emperor("version").stdout.startswith("emperor 0.")


def test_run_without_anything_to_run_is_a_usage_error():
    done = emperor("run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "name a folder of vassal files" in done.stderr


def test_settings_that_cannot_be_read_end_the_emperor_with_one_line(tmp_path):
    done = emperor("run", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 78
    assert [line.partition(": No such")[0] for line in done.stderr.splitlines()] == [
        f"emperor: {tmp_path}/none.toml"
    ]


def test_status_imports_nothing_that_is_slow(api):
    loaded = subprocess.run(
        [emperor_command()[0], "-X", "importtime", "-m", "emperor", "status"],
        cwd=REPOSITORY,
        env=here(api),
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stderr
    assert " msgspec\n" in loaded
    for heavy in ("rich", "aiohttp", "asyncio", "sdnotify", "psutil", "dataclasses"):
        assert f" {heavy}\n" not in loaded, f"{heavy} is not needed for a status"

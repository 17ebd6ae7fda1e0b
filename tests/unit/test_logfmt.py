import json
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.logfmt import (
    HEAD_BYTES,
    LINE_BYTES_MAX,
    VALUE_BYTES_MAX,
    Log,
    format_event,
    names_journal,
    quote,
    timestamp,
)

# Lone surrogates too; two of them that make up a pair are one character to JSON.
ANY_TEXT = st.text(st.characters(codec=None), max_size=150).map(
    lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
ANY_VALUE = st.one_of(
    ANY_TEXT, st.integers(), st.floats(), st.booleans(), st.none(), st.binary(), st.lists(ANY_TEXT)
)


def parse(line: str) -> dict[str, str]:
    """Read a line as a person's script would."""
    fields = {}
    while line:
        key, _, line = line.partition("=")
        if line.startswith('"'):
            value, end = json.JSONDecoder().raw_decode(line)
        else:
            end = line.find(" ") if " " in line else len(line)
            value = line[:end]
        fields[key], line = value, line[end + 1 :]
    return fields


def test_subject_comes_first_then_the_event():
    line = format_event("warning", "worker_killed", {"slot": 3, "vassal": "shop", "ran_s": 31.25})
    assert line == "vassal=shop event=worker_killed level=warning slot=3 ran_s=31.25"


@given(ANY_TEXT)
def test_any_value_comes_back_from_a_single_printable_line(text):
    line = format_event("info", "e", {"vassal": text[:16], "key": text, "after": 1})
    assert line.isprintable()
    assert parse(line) == {
        "vassal": text[:16], "event": "e", "level": "info", "key": text, "after": "1"
    }  # fmt: skip


@given(
    st.dictionaries(st.text(st.characters(codec=None), max_size=80), ANY_VALUE, max_size=60),
    ANY_TEXT,
)
def test_nothing_makes_a_line_too_long_or_two(fields, event):
    line = format_event("warning", event * 20, {**fields, "big": "\x1b" * 9000, "x": "é" * 9000})
    assert line.isprintable()
    assert len(line.encode()) <= LINE_BYTES_MAX - HEAD_BYTES
    assert parse(line)["level"] == "warning"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("two\nlines", r'"two\nlines"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("\u202egnp", r'"\u202egnp"'),
        ("\x9b1m", r'"\u009b1m"'),
        ("\U000e0001", r'"\udb40\udc01"'),
        ("C:\\dir", r'"C:\\dir"'),
        ("naïve", "naïve"),
        ("/report?x", "/report?x"),
    ],
)
def test_value_is_quoted_when_needed(value, shown):
    assert quote(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "yes"), (False, "no"), (0.12, "0.12"), (100.0, "100"), (1e9, "1000000000"), (7, "7")],
)
def test_values_that_are_no_text_are_short(value, shown):
    assert format_event("info", "e", {"k": value}).endswith(f" k={shown}")


def test_none_leaves_the_key_out():
    assert format_event("info", "e", {"k": None, "vassal": None}) == "event=e level=info"


def test_long_value_is_shortened_and_says_so():
    shown = quote("x" * 5000)
    assert shown == '"' + "x" * VALUE_BYTES_MAX + '…"'


def test_fields_without_room_are_left_out_and_the_line_says_so():
    line = format_event("info", "e", {f"k{n}": "x" * 1900 for n in range(5)})
    assert line.count("=") == 5
    assert line.endswith(" cut=yes")


def test_key_cannot_pass_for_one_of_ours():
    line = format_event("info", "e", {"level": "error", "a b": 1, "": 2})
    assert line == "event=e level=info level_=error a_b=1 _=2"


def test_value_whose_text_cannot_be_made_is_named_by_its_type():
    class Broken:
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert format_event("info", "e", {"k": Broken()}).endswith('k="<Broken without text>"')


def test_time_is_utc_with_milliseconds():
    assert timestamp(1_764_000_000.1239) == "2025-11-24T16:00:00.123Z"


def test_journal_is_known_by_device_and_inode():
    assert names_journal("8:1234", 8, 1234)
    assert not names_journal("8:1235", 8, 1234)
    assert not names_journal(None, 8, 1234)
    assert not names_journal("", 0, 0)


def test_file_gets_lines_with_the_time(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        Log(file.fileno()).info("vassal_ready", vassal="shop", took_s=0.12)
    line = (tmp_path / "log").read_text()
    assert line.endswith("Z vassal=shop event=vassal_ready level=info took_s=0.12\n")
    assert line[:2] == "20"


def test_journal_gets_priorities_and_no_time(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = os.fstat(ours.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        Log(ours.fileno()).error("brain_died", signal=9)
        assert theirs.recv(4096) == b"<3>event=brain_died level=error signal=9\n"


def test_level_below_the_wanted_is_not_written(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        Log(file.fileno(), level="warning").info("vassal_ready")
        Log(file.fileno(), level="debug").debug("looked")
    assert (tmp_path / "log").read_text().count("event=") == 1


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def test_reader_that_stands_still_costs_lines_which_are_counted(pipe):
    reader, writer = pipe
    log = Log(writer)
    for number in range(1000):  # 64 KiB of pipe hold about 600 of them
        log.info("tick", number=number, padding="x" * 50)
    received = os.read(reader, 1 << 20)
    log.info("tock")
    received += os.read(reader, 1 << 20)
    *_, loss, tock = received.decode().splitlines()
    kept = received.count(b"event=tick")
    assert 0 < kept < 1000
    assert loss.endswith(f"event=log_lines_dropped level=warning count={1000 - kept}")
    assert tock.endswith("event=tock level=info")


def test_reader_that_is_gone_is_no_error(pipe):
    reader, writer = pipe
    os.close(reader)
    Log(writer).error("unheard")


def test_closed_descriptor_is_no_error(pipe):
    _, writer = pipe
    log = Log(writer)
    os.close(writer)
    log.error("unheard")
    Log(writer).error("unheard")


def test_full_disk_is_no_error():
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        log = Log(full.fileno())
        log.error("unheard")
        log.error("unheard")

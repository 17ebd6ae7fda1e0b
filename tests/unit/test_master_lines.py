"""A vassal's output becomes safe lines at a bounded rate."""

from hypothesis import given
from hypothesis import strategies as st

from vassal.failure import Failure
from vassal.master.lines import (
    LINE_BYTES_MAX,
    TRACEBACK_LINES_MAX,
    LineBuffer,
    RateLimit,
    sanitize,
    story,
)
from vassal.messages import GenerationFailed


def test_lines_are_cut_at_newlines_whatever_the_reads() -> None:
    buffer = LineBuffer()
    assert buffer.feed(b"one\ntw") == [b"one"]
    assert buffer.feed(b"o\r\n\nthree") == [b"two", b""]
    assert buffer.flush() == [b"three"]
    assert buffer.flush() == []


def test_endless_line_is_cut_and_takes_no_more_memory() -> None:
    buffer = LineBuffer()
    lines = [line for _ in range(100) for line in buffer.feed(b"x" * 1000)]
    assert {len(line) for line in lines} == {LINE_BYTES_MAX}


@given(st.lists(st.binary(max_size=50)))
def test_no_byte_is_lost(pieces: list[bytes]) -> None:
    buffer = LineBuffer()
    lines = [line for piece in pieces for line in buffer.feed(piece)] + buffer.flush()
    whole = b"".join(pieces)
    assert (
        b"".join(lines)
        == b"".join(line.removesuffix(b"\r") for line in whole.split(b"\n")[:-1])
        + whole.split(b"\n")[-1]
    )


def test_escape_sequences_and_newlines_cannot_reach_a_terminal() -> None:
    assert sanitize(b"\x1b[31mred\x07\tok\xff \xc2\x9b") == "\\x1b[31mred\\x07\tok\\xff \\x9b"


def test_characters_that_turn_text_around_or_are_not_seen_are_escaped() -> None:
    text = "a\u202egpj.exe\u2066 \u200f\ufeff\u2028 \u0645\u06cc\u200c\u062e"
    shown = "a\\u202egpj.exe\\u2066 \\u200f\\ufeff\\u2028 \u0645\u06cc\u200c\u062e"
    assert sanitize(text.encode()) == shown


@given(st.binary(max_size=200))
def test_sanitized_text_has_no_control_characters(raw: bytes) -> None:
    text = sanitize(raw)
    assert all(char == "\t" or ord(char) >= 32 for char in text)
    assert not any(0x7F <= ord(char) < 0xA0 for char in text)


def test_flood_passes_at_its_rate_and_the_rest_is_counted() -> None:
    limit = RateLimit(10.0, now=0.0)
    assert sum(limit.admit(0.0) for _ in range(100)) == 20
    assert limit.take_dropped() == 80
    assert limit.take_dropped() == 0
    assert sum(limit.admit(1.0) for _ in range(100)) == 10


def failed(traceback: str) -> GenerationFailed:
    failure = Failure(kind="load", message="blog: no\ndatabase", traceback=traceback)
    return GenerationFailed(number=2, fingerprint="", failure=failure, serving=True)


def test_story_of_a_failed_generation_ends_with_what_was_raised() -> None:
    assert list(story(failed("Traceback (most recent call last):\nKeyError")))[1:] == [
        "generation=2 traceback: KeyError"
    ]
    traceback = "".join(f'  File "deep.py", line {line}\n' for line in range(5000))
    first, *rest = story(failed(f"{traceback}KeyError"))
    assert first == "event=generation_failed generation=2 reason=load message='blog: no\\ndatabase'"
    assert rest[-1] == "generation=2 traceback: KeyError"
    assert len(rest) == TRACEBACK_LINES_MAX

"""What is told of clients that break the protocol, and how often."""

import pytest

from vassal.master import refusals, reload_wish
from vassal.master.refusals import Refusals
from vassal.master.reload_wish import ReloadWish
from vassal.runtime.refused import EVERY_S, Tally, language_of
from vassal.runtime.wire.request import ProtocolError

ERROR = ProtocolError(400, "Malformed uwsgi variables")


def test_first_one_is_told_at_once_and_the_others_are_counted() -> None:
    tally = Tally()
    assert tally.note("uwsgi", b"\0", ERROR, 0.5) == {
        "protocol": "uwsgi",
        "status": "400",
        "reason": "Malformed uwsgi variables",
        "count": "1",
    }
    assert [tally.note("uwsgi", b"\0", ERROR, 0.5 + EVERY_S * part) for part in (0.1, 0.9)] == [
        None,
        None,
    ]
    told = tally.note("uwsgi", b"\0", ERROR, 0.5 + EVERY_S)
    assert told is not None
    assert told["count"] == "3"


@pytest.mark.parametrize(
    ("data", "language"),
    [
        (b"GET / HTTP/1.0\r\n", "http"),
        (b"\x16\x03\x01\x02\x00", "TLS"),
        (b"\x01\x01\x00\x01\x00\x08\x00\x00", "fastcgi"),
        (b"70:CONTENT_LENGTH\x000\x00", "scgi"),
        (b"\x00\x40\x00\x00\x0c\x00QUERY_STRING", "uwsgi"),
        (b"", ""),
        (b"hello", ""),
        (b"70:", ""),
    ],
)
def test_language_of_a_client_is_known_by_its_first_bytes(data: bytes, language: str) -> None:
    assert language_of(data) == language


@pytest.mark.parametrize("protocol", ["uwsgi", "http"])
def test_client_of_another_protocol_is_told_by_that_and_no_client_by_its_own(protocol: str) -> None:
    told = Tally().note(protocol, b"GET / nonsense", ERROR, 0.0)
    assert told is not None
    is_own = protocol == "http"
    assert told["reason"] == (ERROR.reason if is_own else "the client speaks http")


def test_words_of_a_tenant_are_bounded_in_the_masters_line() -> None:
    fields = {"protocol": "a b", "status": "4" * 10, "count": "²", "reason": "x" * 1000 + "\n"}
    line = Refusals().line(3, fields, 0.0)
    assert line == (f"event=request_refused slot=3 protocol=? status=? count=? reason='{'x' * 80}'")


def test_worker_that_tells_without_end_fills_no_log() -> None:
    told = Refusals()
    lines = [told.line(1, {}, number / 100) for number in range(250)]
    assert sum(line is not None for line in lines) == 1 + int(2.49 / refusals.PAUSE_S)


def test_reloads_that_several_workers_want_are_one_and_not_too_many() -> None:
    wish = ReloadWish()
    assert not wish.is_due(10.0)
    wish.note()
    wish.note()
    assert wish.is_due(10.0)
    assert not wish.is_due(10.0)
    wish.note()
    assert wish.at == 10.0 + reload_wish.PAUSE_S
    assert not wish.is_due(10.0 + reload_wish.PAUSE_S / 2)
    assert wish.is_due(10.0 + reload_wish.PAUSE_S)

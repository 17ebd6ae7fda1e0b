"""The line of a request: what is in it, and what a request cannot put into it."""

import json
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from emperor.config.access_log import access_log, write_access_log
from emperor.config.problems import Invalid
from emperor.config.settings import AccessLog as Settings
from vassal.runtime import frames, log_format, scoreboard
from vassal.runtime.access_log import LINE_BYTES_MAX, AccessLog, Place
from vassal.runtime.app_counts import AppCounts
from vassal.runtime.layout import Layout
from vassal.runtime.mounts import NUMBER
from vassal.runtime.wsgi import STATIC


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Any:
    """Return what is written to standard error, by a function."""

    def lines() -> bytes:
        return capfd.readouterr().err.encode()

    return lines


def response(
    code: int = 200, took_s: float = 0.0125, uri: str = "/a?b", environ: Any = None, **said: str
) -> Any:
    return SimpleNamespace(
        said=said,
        took_ns=int(took_s * 1e9),
        bytes_sent=150,
        head_bytes=100,
        code=lambda: code,
        header_count=lambda: 3,
        request_line=lambda: ("GET", uri),
        began_ns=lambda: 1_000_000_000_123_456_789,
        variables=lambda: list(said.items()),
        environ=lambda: environ or {},
        failed=False,
        by_sendfile=False,
    )


def log(text: str, with_4xx: str = "", with_5xx: str = "", slow: str = "") -> AccessLog:
    return AccessLog(frames.encode_list([text, with_4xx, with_5xx, slow]), worker=7, core=1)


def test_variables_of_uwsgi_have_their_values(written: Any) -> None:
    text = "%(addr) %(method) %(uri) %(status) %(size) %(hsize) %(rsize) %(headers) %(msecs)"
    text += " %(micros) %(secs) %(time) %(tmsecs) %(wid) %(core) %(user) %(var.HTTP_X) 100%"
    log(text).write(response(REMOTE_ADDR="10.0.0.1", HTTP_X="y"))
    assert written() == (
        b"10.0.0.1 GET /a?b 200 150 100 50 3 12"
        b" 12500 0.012500 1000000000 1000000000123 7 1 - y 100%\n"
    )


def test_a_line_in_json_has_a_number_wherever_uwsgi_writes_one(written: Any) -> None:
    text = '{"switches": %(switches), "errors": %(ioerr), "body": %(cl), "vars": %(vars),'
    text += ' "rss": %(rssM), "modifier": %(modifier1)}'
    log(text).write(response(REMOTE_ADDR="10.0.0.1"))
    log("%(cl)").write(response(CONTENT_LENGTH="17"))
    first, second = written().splitlines()
    assert list(json.loads(first).values()) == [0, 0, 0, 2, 0, 0]
    assert second == b"17"


def test_times_are_written_as_apache_does(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX+3:30")
    time.tzset()
    try:
        log("[%(ltime)]").write(response())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert written() == b"[08/Sep/2001:22:16:40 -0330]\n"


def test_line_of_uwsgi_has_each_number_where_uwsgi_has_it(
    written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    log("uwsgi+micros").write(response(0, REMOTE_ADDR="10.0.0.1", SERVER_PROTOCOL="HTTP/1.1"))
    number = rb"\[pid: \d+\|app: 0\|req: 1/1\] "
    rest = (
        rb"10\.0\.0\.1 \(\) \{4 vars in 50 bytes\} \[Sun Sep  9 01:46:40 2001\] GET /a\?b"
        rb" => generated 50 bytes in 12500 micros \(HTTP/1\.1 0\) 3 headers in 100 bytes"
        rb" \(1 switches on core 1\)\n"
    )
    assert re.fullmatch(number + rest, written())
    log("uwsgi+memory").write(response())
    memory = rb"\{address space usage: \d+ bytes/\d+MB\} \{rss usage: \d+ bytes/\d+MB\} \[pid: "
    assert re.match(memory, written())
    assert write_access_log(access_log({"format": "uwsgi"})) == {"format": "uwsgi"}
    with pytest.raises(Invalid, match="no line of uWSGI's"):
        access_log({"format": "uwsgi+nanos"})


def test_line_of_uwsgi_counts_a_workers_requests_by_application_and_all_together(
    written: Any,
) -> None:
    layout = Layout(4, 2, 0)
    memory = memoryview(bytearray(layout.size))
    for slot, worker, requests in ((0, 1, 5), (1, 1, 2), (2, 2, 7)):
        writer = scoreboard.SlotWriter(memory, slot, 0, 0)
        for _ in range(2):  # the second time by who came next
            scoreboard.claim_slot(memory, slot, worker)
            writer.requests = requests - 1
            writer.end(1, 0, False)
    AppCounts(memory, layout).add(0, 1, False)
    field = frames.encode_list(["uwsgi", "", "", ""])
    one = AccessLog(field, 1, 0, place=Place(memory, layout, range(2)))
    for environ in ({NUMBER: 1}, {NUMBER: 0}, {}, {NUMBER: 1, STATIC: True}, {NUMBER: 9}):
        one.write(response(environ=environ))
    found = [line.split(b"]")[0].split(b"app: ")[1] for line in written().splitlines()]
    assert found == [b"1|req: 2/29", b"0|req: 1/29", b"-1|req: -1/29", b"-1|req: -1/29"] + [
        b"9|req: -1/29"
    ]


def test_a_request_cannot_forge_a_line_or_end_a_quote(written: Any) -> None:
    log('"%(uagent)" %(uri)').write(
        response(uri="/\r\n", HTTP_USER_AGENT='x" 200\n10.0.0.1 - \x1b[31m\xff\x9b\\')
    )
    expected = rb'"x\x22 200\x0a10.0.0.1 - \x1b[31m\xff\x9b\x5c" /\x0d\x0a' + b"\n"
    assert written() == expected


def test_a_line_is_no_longer_than_what_is_written_at_once(written: Any) -> None:
    log("%(uri) " * 9).write(response(uri="\n" * 9999))
    line = written()
    assert len(line) == LINE_BYTES_MAX
    assert line.count(b"\n") == 1


def test_conditions_choose_requests(written: Any) -> None:
    one = log("%(status)", with_4xx="1", slow="0.5")
    for code, took_s in ((200, 0.1), (404, 0.1), (500, 0.1), (200, 0.5), (0, 0.1)):
        one.write(response(code, took_s))
    assert written() == b"404\n200\n"
    log("%(status)", with_5xx="1").write(response(503))
    log("%(status)").write(response(0))
    assert written() == b"503\n-\n"


def test_values_are_taken_or_explained() -> None:
    assert access_log("off") is None
    assert access_log("on") == Settings()
    table = {"format": "%(uri)", "log_4xx": True, "log_slow": "2s"}
    found = access_log(table)
    assert found == Settings(format="%(uri)", log_4xx=True, log_slow=2.0)
    assert access_log(write_access_log(found)) == found
    for value, says in [
        ("yes", 'is not one of the choices; write "on", "off", or a table'),
        ({"log_3xx": True}, "unknown key; write one of format, log_4xx"),
        ({"format": "%(lost)"}, r"%\(lost\) is not known; write one of addr"),
        ({"log_slow": "x"}, "x"),
    ]:
        with pytest.raises(Invalid, match=says):
            access_log(value)


def test_formats_are_split_as_they_stand() -> None:
    assert log_format.split("a%(b)%(c") == [("a", False), ("b", True), ("%(c", False)]
    assert log_format.split("%()x") == [("", True), ("x", False)]
    assert all(
        log_format.is_known(name) for name, known in log_format.split(log_format.DEFAULT) if known
    )

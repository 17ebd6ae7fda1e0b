"""HTTP requests: what is served, what is refused, and that both libraries agree."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.parsing import (
    HEAD_BYTES_MAX,
    READERS,
    http,
    parse,
    status_of,
    unchunk,
    verdict,
    verdict_as_it_comes,
)
from tests.support.smuggling import BAD_CHUNKS, HEAD, SMUGGLING
from vassal.runtime.wire.request import Request

LIBRARIES = list(READERS)


def environ_of(data: bytes, library: str = "httptools") -> dict[str, Any]:
    found = parse(http(library), data)
    assert isinstance(found, Request)
    return found.environ


# ── what is refused ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("data", SMUGGLING)
def test_what_two_readers_could_understand_differently_is_refused(library, data):
    assert status_of(http(library), data) == 400
    assert verdict_as_it_comes(http(library), data) == "refused"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("data", BAD_CHUNKS)
def test_chunked_body_that_is_not_to_the_letter_is_refused(library, data):
    assert unchunk(library, [data]) == "refused"
    assert unchunk(library, [data[at : at + 1] for at in range(len(data))]) == "refused"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505),
        (HEAD + b"Expect: tea\r\n\r\n", 417),
        (HEAD + b"Content-Length: 101\r\n\r\n", 413),
        (HEAD + b"Content-Length: 100\r\n\r\n", 0),
    ],
)
def test_refusal_has_the_status_that_says_why(library, data, status):
    assert status_of(http(library, body_bytes_max=100), data) == status


def test_head_of_the_largest_size_is_served_however_it_comes_and_one_byte_more_is_not():
    filler = HEAD_BYTES_MAX - len(HEAD) - len(b"A: ")
    fits = HEAD + b"A: " + b"b" * filler + b"\r\n\r\n"
    for end in range(len(fits) - 4, len(fits)):
        assert parse(http(), fits[:end]) is None
    assert isinstance(parse(http(), fits), Request)
    more = HEAD + b"A: " + b"b" * (filler + 1) + b"\r\n\r\n"
    assert status_of(http(), more) == 431
    assert verdict_as_it_comes(http(), more) == "refused"


def test_request_line_without_an_end_is_414():
    assert status_of(http(), b"GET /" + b"a" * HEAD_BYTES_MAX) == 414


def test_few_empty_lines_before_a_request_are_ignored_and_many_are_refused():
    request = HEAD + b"\r\n"
    assert isinstance(parse(http(), b"\r\n" * 4 + request), Request)
    assert parse(http(), b"\r\n" * 4) is None
    assert status_of(http(), b"\r\n" * 5) == 400
    assert status_of(http(), b"\r\n" * 5 + request) == 400


@pytest.mark.parametrize("library", LIBRARIES)
def test_chunked_body_over_the_limit_is_refused(library):
    assert unchunk(library, [b"5\r\nhello\r\n0\r\n\r\n"], limit=5) == (b"hello", b"")
    assert unchunk(library, [b"6\r\nhello!\r\n0\r\n\r\n"], limit=5) == "refused"


@pytest.mark.parametrize("library", LIBRARIES)
def test_endless_trailers_and_extensions_are_refused(library):
    assert unchunk(library, [b"0\r\n"] + [b"A: " + b"b" * 1000 + b"\r\n"] * 20) == "refused"
    assert unchunk(library, [b"5;a="] + [b"b" * 1000] * 20) == "refused"


# ── what the application sees ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("library", LIBRARIES)
def test_environ_of_a_request(library):
    environ = environ_of(
        b"GET /caf%C3%A9/a%2Fb?x=%20&y HTTP/1.1\r\nHost: x:8\r\nAccept: a\r\naccept: b\r\n"
        b"Cookie: c=1\r\nCookie: d=2\r\nContent-Type: text/plain\r\nX-Latin: \xe4\r\n\r\n",
        library,
    )
    assert environ["PATH_INFO"] == "/caf\xc3\xa9/a/b"
    assert environ["REQUEST_URI"] == "/caf%C3%A9/a%2Fb?x=%20&y"
    assert environ["QUERY_STRING"] == "x=%20&y"
    assert environ["HTTP_ACCEPT"] == "a, b"
    assert environ["HTTP_COOKIE"] == "c=1; d=2"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["HTTP_X_LATIN"] == "\xe4"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert type(environ) is dict


@pytest.mark.parametrize("library", LIBRARIES)
def test_fields_that_could_pass_for_others_are_dropped(library):
    environ = environ_of(
        HEAD + b"X_Real-IP: 1\r\nX-Real-IP: 2\r\nProxy: evil\r\nContent_Length: 5\r\n"
        b"Transfer_Encoding: chunked\r\n\r\n",
        library,
    )
    assert environ["HTTP_X_REAL_IP"] == "2"
    assert "HTTP_PROXY" not in environ
    assert "CONTENT_LENGTH" not in environ
    assert "HTTP_TRANSFER_ENCODING" not in environ


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a/./b/../c?x=/../y", "/a/c"),
        (b"/../../etc/passwd", "/etc/passwd"),
        (b"/a/b/..", "/a/"),
        (b"/a/.", "/a/"),
        (b"/..", "/"),
        (b"/a//../b", "/a/b"),
        (b"//a//./b", "//a//b"),
        (b"/a/.../.b/..c", "/a/.../.b/..c"),
        (b"/a/%2e%2e/b", "/a/../b"),
        (b"http://x/a/../b", "/b"),
    ],
)
def test_dot_segments_are_removed_from_the_path_and_nothing_else(target, path, library):
    environ = environ_of(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target, library)
    assert environ["PATH_INFO"] == path
    assert environ["REQUEST_URI"].encode() == target


def test_absolute_target_names_the_host():
    environ = environ_of(b"GET http://b.example?q HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("b.example", "/")
    assert environ["QUERY_STRING"] == "q"


def test_upgrade_is_answered_as_if_none_had_been_asked_for():
    data = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nZ: z\r\n\r\n"
    assert environ_of(data, "httptools") == environ_of(data, "h11")
    assert environ_of(data)["HTTP_Z"] == "z"


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: foo, Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
        (b"1.0", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_who_keeps_the_connection(version, connection, keeps):
    found = parse(http(), b"GET / HTTP/" + version + b"\r\nHost: x\r\n" + connection + b"\r\n")
    assert isinstance(found, Request)
    assert found.keep_alive is keeps


# ── properties ───────────────────────────────────────────────────────────────────────────

NAMES = [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"A", b"X_Y", b"Expect"]
VALUES = [b"x", b"5", b"chunked", b"close", b"", b"a, b", b"100-continue", b"keep-alive", b"\xff"]
WEIRD = [b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b":", b"\x0b", b"\x7f", b";", b"%", b"#"]


@st.composite
def heads(draw: Any) -> bytes:
    """A head that is nearly right, and wrong in up to two places."""
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"get", b"X"]))
    target = draw(st.sampled_from([b"/", b"/a%20?b", b"*", b"http://h/p", b"", b"/\xe4", b"/a?#"]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0"]))
    fields = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5))
    lines = [b" ".join((method, target, version)), b"Host: h"]
    lines += [name + b": " + value for name, value in fields]
    head = b"\r\n".join(lines) + b"\r\n\r\n" + draw(st.sampled_from([b"", b"GET / HTTP"]))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(head)))
        cut = draw(st.integers(0, 2))
        head = head[:at] + draw(st.sampled_from([b"", *WEIRD])) + head[at + cut :]
    return head


def comparable(found: Any) -> Any:
    """Leave out what h11 spells in lower case."""
    if not isinstance(found, tuple):
        return found
    environ = {key: str(value).lower() for key, value in found[0].items()}
    return (environ, *found[1:])


@given(heads())
@settings(max_examples=400, deadline=None)
def test_both_libraries_give_the_same_verdict(data):
    assert comparable(verdict(http("httptools"), data)) == comparable(verdict(http("h11"), data))


@given(heads())
@settings(max_examples=60, deadline=None)
def test_verdict_does_not_depend_on_how_the_bytes_come(data):
    found = verdict(http(), data)
    if found is None:
        return
    assert verdict_as_it_comes(http(), data) == found


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_get_a_verdict(data):
    for library in LIBRARIES:
        verdict(http(library), data)
        unchunk(library, [data])


@st.composite
def chunked_bodies(draw: Any) -> bytes:
    """A chunked body, wrong in up to two places."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=8), max_size=3))
    extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"', b";a=b;c", b";a=", b";"]))
    data = b"".join(b"%x%b\r\n%b\r\n" % (len(c), extension, c) for c in chunks)
    data += b"0\r\n" + draw(st.sampled_from([b"", b"A: b\r\n", b"A:\r\nB: \xff\r\n"])) + b"\r\n"
    data += draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n"]))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 2))
        data = data[:at] + draw(st.sampled_from([b"", b"0", *WEIRD])) + data[at + cut :]
    return data


@given(chunked_bodies())
@settings(max_examples=400, deadline=None)
def test_h11_serves_no_chunked_body_but_what_httptools_makes_of_it(data):
    # llhttp takes `;;a` for an extension, which ends nowhere else but at its line's end.
    by_h11 = _finished(unchunk("h11", [data]))
    if by_h11 != "not served" or b";" not in data:
        assert by_h11 == _finished(unchunk("httptools", [data]))


@given(chunked_bodies(), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_chunked_body_does_not_depend_on_how_the_bytes_come(data, step):
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    for library in LIBRARIES:
        assert _finished(unchunk(library, pieces)) == _finished(unchunk(library, [data]))


def _finished(found: Any) -> Any:
    """An unfinished body is refused or waited for: one may see the fault a line later."""
    return found if isinstance(found, tuple) and found[1] is not None else "not served"

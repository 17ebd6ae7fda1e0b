"""uwsgi, FastCGI and SCGI: variables to environ, limits, and bytes that come in pieces."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.parsing import (
    BASE,
    HEAD_BYTES_MAX,
    parse,
    status_of,
    verdict,
    verdict_as_it_comes,
)
from vassal.runtime.wire import fastcgi
from vassal.runtime.wire.fastcgi import Fastcgi, StdinDecoder, record
from vassal.runtime.wire.request import ProtocolError, Reply, Request
from vassal.runtime.wire.scgi import Scgi
from vassal.runtime.wire.text import parse_length, split_target, unquote
from vassal.runtime.wire.uwsgi import PONG, Uwsgi

BODY_BYTES_MAX = 100
UWSGI = Uwsgi(HEAD_BYTES_MAX, BODY_BYTES_MAX)
SCGI = Scgi(HEAD_BYTES_MAX, BODY_BYTES_MAX)
FASTCGI = Fastcgi(HEAD_BYTES_MAX, BODY_BYTES_MAX)
BEGIN = struct.pack(">HB5x", fastcgi.RESPONDER, fastcgi.KEEP_CONN)


def uwsgi(variables: dict[str, str]) -> bytes:
    packed = b"".join(
        struct.pack("<H", len(text)) + text.encode("latin-1")
        for pair in variables.items()
        for text in pair
    )
    return struct.pack("<BHB", 0, len(packed), 0) + packed


def scgi(variables: dict[str, str]) -> bytes:
    variables = {"CONTENT_LENGTH": "0"} | variables
    text = "".join(f"{key}\0{value}\0" for key, value in variables.items()).encode("latin-1")
    return b"%d:%b," % (len(text), text)


def pairs(variables: dict[str, str]) -> bytes:
    def size(text: str) -> bytes:
        count = len(text)
        return bytes((count,)) if count < 128 else struct.pack(">I", count | 1 << 31)

    return b"".join(
        size(key) + size(value) + (key + value).encode("latin-1")
        for key, value in variables.items()
    )


def fcgi(variables: dict[str, str], stream_id: int = 7) -> bytes:
    return (
        record(fastcgi.BEGIN_REQUEST, stream_id, BEGIN)
        + record(fastcgi.PARAMS, stream_id, pairs(variables))
        + record(fastcgi.PARAMS, stream_id, b"")
    )


WIRES = [(UWSGI, uwsgi), (SCGI, scgi), (FASTCGI, fcgi)]
each_wire = pytest.mark.parametrize(("wire", "packet"), WIRES, ids=["uwsgi", "scgi", "fastcgi"])


def environ_of(wire: Any, data: bytes) -> dict[str, Any]:
    found = parse(wire, data)
    assert isinstance(found, Request)
    return found.environ


# ── all three ────────────────────────────────────────────────────────────────────────────


@each_wire
@pytest.mark.parametrize(
    ("variables", "script", "path", "uri"),
    [
        ({"PATH_INFO": "/a", "REQUEST_URI": "/a?q"}, "", "/a", "/a?q"),
        # uwsgi_params
        ({"PATH_INFO": "/a b", "REQUEST_URI": "/a%20b", "DOCUMENT_URI": "/a b"}, "", "/a b", None),
        # fastcgi_params: SCRIPT_NAME is the whole path, and there is no PATH_INFO
        ({"SCRIPT_NAME": "/a", "DOCUMENT_URI": "/a", "REQUEST_URI": "/a"}, "", "/a", "/a"),
        # scgi_params
        ({"DOCUMENT_URI": "/a", "REQUEST_URI": "/a?q"}, "", "/a", "/a?q"),
        ({"REQUEST_URI": "/%C3%A4?q"}, "", "/\xc3\xa4", "/%C3%A4?q"),
        (
            {"SCRIPT_NAME": "/app", "PATH_INFO": "/app/x", "REQUEST_URI": "/app/x"},
            "/app",
            "/x",
            None,
        ),
        (
            {"SCRIPT_NAME": "/app/", "PATH_INFO": "/app/x", "REQUEST_URI": "/app/x"},
            "/app",
            "/x",
            None,
        ),
        ({"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "REQUEST_URI": "/app/x"}, "/app", "/x", None),
        (
            {"SCRIPT_NAME": "/app", "PATH_INFO": "/app/x", "REQUEST_URI": "/app/app/x"},
            "/app",
            "/app/x",
            None,
        ),
        ({"SCRIPT_NAME": "/app", "PATH_INFO": "/apples"}, "/app", "/apples", "/app/apples"),
        ({}, "", "/", "/"),
    ],
)
def test_path_is_right_however_the_web_server_tells_it(wire, packet, variables, script, path, uri):
    environ = environ_of(wire, packet({"REQUEST_METHOD": "GET", **variables}))
    assert environ["SCRIPT_NAME"] == script
    assert environ["PATH_INFO"] == path
    assert environ["REQUEST_URI"] == uri or uri is None
    assert environ["QUERY_STRING"] == environ["REQUEST_URI"].partition("?")[2]


@each_wire
def test_what_belongs_to_the_server_cannot_be_said_by_the_peer(wire, packet):
    environ = environ_of(
        wire,
        packet(
            {
                "REQUEST_METHOD": "GET",
                "wsgi.version": "9",
                "wsgi.url_scheme": "evil",
                "HTTP_PROXY": "evil",
                "HTTP_CONTENT_LENGTH": "5",
                "HTTP_CONTENT_TYPE": "evil",
                "CONTENT_TYPE": "",
                "SERVER_NAME": "",
            }
        ),
    )
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["SERVER_NAME"] == "here"
    gone = {"HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "CONTENT_TYPE"}
    assert not gone & environ.keys()


@each_wire
@pytest.mark.parametrize("tells", [{"REQUEST_SCHEME": "https"}, {"HTTPS": "on"}, {"HTTPS": "1"}])
def test_https_before_the_web_server_is_told(wire, packet, tells):
    environ = environ_of(wire, packet({"REQUEST_METHOD": "GET", **tells}))
    assert environ["wsgi.url_scheme"] == "https"


@each_wire
@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({}, 400),
        ({"REQUEST_METHOD": ""}, 400),
        ({"REQUEST_METHOD": "PUT", "CONTENT_LENGTH": "+1"}, 400),
        ({"REQUEST_METHOD": "PUT", "CONTENT_LENGTH": "1 "}, 400),
        ({"REQUEST_METHOD": "PUT", "CONTENT_LENGTH": "\xb2"}, 400),
        ({"REQUEST_METHOD": "PUT", "CONTENT_LENGTH": "1" * 19}, 400),
        ({"REQUEST_METHOD": "PUT", "CONTENT_LENGTH": "101"}, 413),
        ({"REQUEST_METHOD": "PUT", "CONTENT_LENGTH": "100"}, 0),
        ({"REQUEST_METHOD": "PUT", "A": "a" * HEAD_BYTES_MAX}, 431),
    ],
)
def test_refusal_has_the_status_that_says_why(wire, packet, variables, status):
    assert status_of(wire, packet(variables)) == status


variables_of = st.dictionaries(
    st.sampled_from(["REQUEST_METHOD", "PATH_INFO", "SCRIPT_NAME", "CONTENT_LENGTH", "HTTPS", "A"]),
    st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=200),
)


@each_wire
@given(variables=variables_of, where=st.integers(0, 400), byte=st.binary(max_size=2))
@settings(max_examples=60, deadline=None)
def test_verdict_does_not_depend_on_how_the_bytes_come(wire, packet, variables, where, byte):
    data = packet(variables) + b"rest"
    data = data[:where] + byte + data[where + len(byte) :]
    found = verdict(wire, data)
    if found is None:
        return
    first = verdict_as_it_comes(wire, data)
    if isinstance(found, tuple) and found[0] == PONG:
        assert first[0] == PONG
        return
    assert first == found


@each_wire
@given(data=st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_get_a_verdict(wire, packet, data):
    verdict(wire, data)
    verdict(wire, packet({"REQUEST_METHOD": "GET"})[:12] + data)


# ── uwsgi ────────────────────────────────────────────────────────────────────────────────


def test_uwsgi_ping_is_answered_and_other_modifiers_are_refused():
    found = parse(UWSGI, b"\x64\0\0\0")
    assert isinstance(found, Reply)
    assert (found.payload, found.close) == (PONG, True)
    assert parse(UWSGI, b"\x64\0") is None
    assert status_of(UWSGI, b"\x05\0\0\0") == 400


@pytest.mark.parametrize("packed", [b"\x01", b"\x01\0", b"\x01\0A", b"\x01\0A\xff\0B", b"\xff\xff"])
def test_uwsgi_variables_that_do_not_end_where_the_packet_does_are_refused(packed):
    head = struct.pack("<BHB", 0, len(packed), 0)
    assert status_of(UWSGI, head + packed) == 400
    assert status_of(UWSGI, head + packed + b"\x01\0" * 50) == 400  # nor taken from the body


# ── SCGI ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "data",
    [
        b":",
        b"-1:",
        b"+5:",
        b" 5:",
        b"05:",
        b"5x",
        b"1234567890",
        b"\xb2:",
        b"16:CONTENT_LENGTH\x000\0;",
        b"4:A\0b\0,",
        b"17:CONTENT_LENGTH\x000\0A,",
        b"0:,",
    ],
)
def test_scgi_that_is_not_to_the_letter_is_refused(data):
    assert status_of(SCGI, data) in (400, 431)


# ── FastCGI ──────────────────────────────────────────────────────────────────────────────


def test_fastcgi_request_knows_its_stream_and_whether_the_connection_stays():
    found = parse(FASTCGI, fcgi({"REQUEST_METHOD": "GET", "LONG": "a" * 200}, 513))
    assert isinstance(found, Request)
    assert (found.stream_id, found.keep_alive) == (513, True)
    assert found.environ["LONG"] == "a" * 200


def test_fastcgi_management_records_are_answered():
    asked = record(fastcgi.GET_VALUES, 0, pairs({"FCGI_MPXS_CONNS": "", "FCGI_X": ""}))
    found = parse(FASTCGI, asked)
    assert isinstance(found, Reply)
    expected = b"\x0f\x01FCGI_MPXS_CONNS0"
    assert found.payload == record(fastcgi.GET_VALUES_RESULT, 0, expected)
    unknown = parse(FASTCGI, record(77, 0, b"abc"))
    assert isinstance(unknown, Reply)
    assert unknown.payload == record(fastcgi.UNKNOWN_TYPE, 0, b"\x4d" + bytes(7))


def test_fastcgi_second_request_on_a_connection_is_refused_and_the_first_goes_on():
    first = fcgi({"REQUEST_METHOD": "GET"})
    data = first[:16] + record(fastcgi.BEGIN_REQUEST, 8, BEGIN) + first[16:]
    found = parse(FASTCGI, data)
    assert isinstance(found, Reply)
    assert found.payload == fastcgi.end_request(8, fastcgi.CANT_MPX_CONN)
    data = data[: found.start] + data[found.end :]
    assert data == first


def test_fastcgi_request_that_is_begun_twice_is_refused():
    assert status_of(FASTCGI, record(fastcgi.BEGIN_REQUEST, 7, BEGIN) * 2) == 400


def test_fastcgi_other_roles_are_refused():
    authorizer = struct.pack(">HB5x", 2, 0)
    found = parse(FASTCGI, record(fastcgi.BEGIN_REQUEST, 7, authorizer))
    assert isinstance(found, Reply)
    assert found.payload == fastcgi.end_request(7, fastcgi.UNKNOWN_ROLE)
    assert found.close


def test_fastcgi_aborted_request_is_ended():
    data = record(fastcgi.BEGIN_REQUEST, 7, BEGIN) + record(fastcgi.ABORT_REQUEST, 7, b"")
    found = parse(FASTCGI, data)
    assert isinstance(found, Reply)
    assert (found.payload, found.start, found.end) == (fastcgi.end_request(7), 0, len(data))


@pytest.mark.parametrize("packed", [b"\x01", b"\x80", b"\x01\x01A", b"\xff\xff\xff\xff\x01AB"])
def test_fastcgi_parameters_that_do_not_end_with_their_records_are_refused(packed):
    data = record(fastcgi.BEGIN_REQUEST, 7, BEGIN) + record(fastcgi.PARAMS, 7, packed)
    assert status_of(FASTCGI, data + record(fastcgi.PARAMS, 7, b"")) == 400


def test_fastcgi_head_of_endless_padding_is_refused_however_it_comes():
    padded = struct.pack(">BBHHBx", 1, fastcgi.PARAMS, 7, 1, 255) + b"\0" * 256
    data = record(fastcgi.BEGIN_REQUEST, 7, BEGIN) + padded * 300
    assert status_of(FASTCGI, data) == 431
    assert status_of(FASTCGI, data[:-1]) == 431
    whole = record(fastcgi.PARAMS, 7, b"")
    assert status_of(FASTCGI, data + whole) == 431


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=4), st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_fastcgi_body_does_not_depend_on_how_the_bytes_come(parts, step):
    data = b"".join(record(fastcgi.STDIN, 7, part) for part in parts)
    data += record(fastcgi.STDIN, 7, b"") + b"next"
    decoder = StdinDecoder(7, 0)
    body, at = b"", 0
    while not decoder.done:
        body += decoder.feed(data[at : at + step])
        at += step
    assert body == b"".join(parts)
    assert decoder.rest + data[at:] == b"next"


@given(st.binary(max_size=20), st.integers(0, 25), st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_fastcgi_body_is_compared_with_its_length_however_the_bytes_come(body, length, step):
    data = record(fastcgi.STDIN, 7, body) if body else b""
    data += record(fastcgi.STDIN, 7, b"")
    decoder = StdinDecoder(7, 0, length)
    found = b"".join(decoder.feed(data[at : at + step]) for at in range(0, len(data), step))
    assert decoder.done
    assert found == body[:length]
    assert bool(decoder.flaw) is (len(body) != length)
    assert ("longer" in decoder.flaw) is (len(body) > length)


@pytest.mark.parametrize(("told", "flawed"), [({}, False), ({"CONTENT_LENGTH": "2"}, True)])
def test_fastcgi_body_without_a_length_ends_where_its_stream_does(told, flawed):
    found = parse(FASTCGI, fcgi({"REQUEST_METHOD": "POST", **told}))
    assert isinstance(found, Request)
    assert found.decoder is not None
    ended = record(fastcgi.STDIN, 7, b"x") + record(fastcgi.STDIN, 7, b"")
    assert found.decoder.feed(ended) == b"x"
    assert bool(found.decoder.flaw) is flawed


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (record(fastcgi.STDIN, 7, b"123456"), 413),
        (record(fastcgi.ABORT_REQUEST, 7, b""), 400),
        (record(fastcgi.BEGIN_REQUEST, 7, BEGIN), 400),
        (record(fastcgi.PARAMS, 7, b"x"), 400),
        (b"\x02", 400),
    ],
)
def test_fastcgi_body_that_breaks_off_or_grows_too_large_is_refused(data, status):
    with pytest.raises(ProtocolError) as caught:
        StdinDecoder(7, 5).feed(data)
    assert caught.value.status == status


def test_fastcgi_output_is_cut_into_records_and_ended():
    data = bytes(200_000)
    packed = fastcgi.stdout(7, data) + fastcgi.end_response(7)
    found, at, kinds = b"", 0, []
    while at < len(packed):
        read = fastcgi.read_record(packed, at)
        assert read is not None
        kind, stream_id, begin, end, at = read
        assert stream_id == 7
        kinds.append(kind)
        found += packed[begin:end] if kind == fastcgi.STDOUT else b""
    assert found == data
    assert kinds == [fastcgi.STDOUT] * 5 + [fastcgi.END_REQUEST]
    assert fastcgi.stdout(7, b"") == b""  # an empty record would end the stream


# ── text ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("quoted", "path"),
    [
        (b"/a", "/a"),
        (b"/%41%2f%2F", "/A//"),
        (b"/%", "/%"),
        (b"/%4", "/%4"),
        (b"/%zz%41", "/%zzA"),
        (b"/%+1", "/%+1"),
        (b"/%C3%A4\xc3", "/\xc3\xa4\xc3"),
        (b"/%00", "/\0"),
        (b"%%41", "%A"),
    ],
)
def test_unquote_gives_one_character_per_byte(quoted, path):
    assert unquote(quoted) == path


def test_lengths_and_targets():
    assert parse_length("0018") == 18
    assert [parse_length(text) for text in ("", "-1", "+1", "1_0", "\xb2", " 1", "1e3")] == [
        None
    ] * 7
    assert split_target("/a?b?c") == ("/a", "b?c")
    assert BASE.all["SERVER_NAME"] == "here"

"""The small pure parts of the runtime: heads, frames, scoreboard, deadlines, recycling."""

import mmap
import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vassal.runtime import frames, scoreboard
from vassal.runtime.apploader import AppError, load
from vassal.runtime.output import REASONS, DateField, Head, error_body, http_date
from vassal.runtime.recycling import LIFETIME_JITTER, Recycling, draw, random_fraction
from vassal.runtime.settings import WorkerSettings
from vassal.runtime.timers import Deadlines

# ── response heads ───────────────────────────────────────────────────────────────────────


def test_head_is_encoded_in_the_order_of_the_application():
    head = Head("200 OK", [("X-A", "1"), ("x-b", "\xe4"), ("Content-Length", "3")])
    assert (head.code, head.status) == (200, b"200 OK\r\n")
    assert head.fields == b"X-A: 1\r\nx-b: \xe4\r\nContent-Length: 3\r\n"
    assert (head.length, head.dated, head.close) == (3, False, False)


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("200 OK", [("A", "b\r\nC: d")]),
        ("200 OK", [("A", "b\nC: d")]),
        ("200 OK", [("A", "b\0")]),
        ("200 OK", [("A\r\n", "b")]),
        ("200 OK", [("A:", "b")]),
        ("200 OK", [("", "b")]),
        ("200 OK", [("A b", "b")]),
        ("200 OK", [("A", "\u20ac")]),
        ("200 OK", [("A", 1)]),
        ("200 OK", [("A", b"b")]),
        ("200 OK", [(b"A", "b")]),
        ("200 OK", [("Content-Length", "-1")]),
        ("200 OK", [("Content-Length", "1, 1")]),
        ("200 OK", [("Content-Length", "1"), ("content-length", "2")]),
        ("200 OK\r\nA: b", []),
        ("200 O\0K", []),
        ("200", []),
        ("200OK", []),
        ("20 OK", []),
        ("100 Continue", []),
        ("\u0662\u0660\u0660 OK", []),
        (b"200 OK", []),
        (200, []),
    ],
)
def test_head_that_would_split_the_response_or_is_no_head_is_refused(status, fields):
    with pytest.raises((ValueError, TypeError)):
        Head(status, fields)


def test_fields_of_the_connection_are_the_servers():
    head = Head(
        "200 OK",
        [("Connection", "Close"), ("Transfer-Encoding", "chunked"), ("Keep-Alive", "5")],
    )
    assert head.fields == b""
    assert head.close
    assert Head("200 OK", [("Connection", "keep-alive")]).close is False


def test_repeated_equal_length_is_sent_once_and_none_with_204():
    assert Head("200 OK", [("Content-Length", "3")] * 2).fields == b"Content-Length: 3\r\n"
    assert Head("204 No Content", [("Content-Length", "0")]).fields == b""


def test_every_refusal_has_a_reason_and_a_body():
    for code in REASONS:
        head, body = error_body(code, "Why not")
        assert head.code == code
        assert body == b"%d Why not\n" % code
        assert head.length == len(body)


def test_date_is_written_as_rfc_9110_wants_it():
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
    field = DateField()
    now_ns = time.monotonic_ns()
    first = field.get(now_ns)
    assert first.startswith(b"Date: ")
    assert first.endswith(b" GMT\r\n")
    assert field.get(now_ns) is first


# ── frames ───────────────────────────────────────────────────────────────────────────────

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(texts, st.dictionaries(texts, texts, max_size=4))
def test_frame_is_read_as_it_was_written(verb, fields):
    assert frames.decode(frames.encode(verb, fields)) == (verb, fields)


@given(st.lists(texts))
def test_list_is_read_as_it_was_written(items):
    assert frames.decode_list(frames.encode_list(items)) == items


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_a_frame_error(data):
    try:
        frames.decode(data)
    except frames.FrameError:
        pass


@given(
    st.text(max_size=20) | st.sampled_from(["\xb2:a", "9" * 5000 + ":", "-1:a", "1", ":", "2:a"])
)
def test_any_text_is_a_list_or_a_frame_error(text):
    try:
        frames.decode_list(text)
    except frames.FrameError:
        pass


def test_frame_that_could_not_be_sent_is_an_error():
    with pytest.raises(frames.FrameError):
        frames.encode("x", {"a": "b" * frames.FRAME_BYTES_MAX})


# ── scoreboard ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def memory():
    with mmap.mmap(-1, scoreboard.size_for(3)) as memory:
        yield memory


def test_every_thread_has_a_slot_of_its_own_on_cache_lines_of_its_own(memory):
    for index in range(3):
        assert scoreboard.slot_offset(index) % scoreboard.CACHE_LINE == 0
        scoreboard.claim_slot(memory, index, worker=index + 10)
    writers = [scoreboard.SlotWriter(memory, index, 0, 0) for index in range(3)]
    writers[1].begin(5, b"GET", b"/one", 3, 0)
    found = scoreboard.slots_of(memory, 3)
    assert [slot.state for slot in found] == [scoreboard.IDLE, scoreboard.IN_APP, scoreboard.IDLE]
    assert [slot.worker for slot in found] == [10, 11, 12]
    scoreboard.free_slot(memory, 1)
    assert [slot.index for slot in scoreboard.slots_of(memory, 3)] == [0, 2]


def test_request_is_published_with_its_deadlines_and_counted_at_its_end(memory):
    scoreboard.claim_slot(memory, 1, 4)
    writer = scoreboard.SlotWriter(memory, 1, harakiri_ns=100, soft_harakiri_ns=50)
    assert writer.begin(1000, b"M" * 40, b"/" + b"u" * 400, 9, 2, 513) is False
    slot = scoreboard.read_slot(memory, 1)
    assert (slot.deadline_ns, slot.soft_deadline_ns, slot.started_ns) == (1100, 1050, 1000)
    assert (slot.client_fd, slot.protocol, slot.stream_id, slot.request_id) == (9, 2, 513, 1)
    assert (len(slot.method), len(slot.uri)) == (scoreboard.METHOD_BYTES, scoreboard.URI_BYTES)
    writer.set_deadline(1070)
    writer.responding()
    slot = scoreboard.read_slot(memory, 1)
    assert (slot.state, slot.deadline_ns) == (scoreboard.RESPONDING, 1070)
    writer.end(1030, bytes_sent=7, failed=True)
    slot = scoreboard.read_slot(memory, 1)
    assert (slot.state, slot.deadline_ns, slot.soft_deadline_ns) == (scoreboard.IDLE, 0, 0)
    assert (slot.requests, slot.exceptions, slot.bytes_sent, slot.running_ns) == (1, 1, 7, 30)


def test_slot_carries_on_what_those_counted_who_had_it_before(memory):
    for life in (1, 2, 3):
        scoreboard.claim_slot(memory, 1, 4)
        writer = scoreboard.SlotWriter(memory, 1, 0, 0)
        for static in (False, True):
            writer.begin(1000, b"GET", b"/", 9, 0)
            writer.end(1010, bytes_sent=5, failed=not static, static=static)
        slot = scoreboard.read_slot(memory, 1)
        assert (slot.requests, slot.requests_before) == (2, 2 * (life - 1))
        assert scoreboard.requests_of(slot) == 2 * life
        assert scoreboard.statics_of(slot) == life
        assert slot.exceptions + slot.exceptions_before == life
        assert slot.bytes_sent + slot.bytes_sent_before == 10 * life
        assert slot.running_ns + slot.running_ns_before == 20 * life
        scoreboard.free_slot(memory, 1)


def test_nonsense_in_a_slot_stops_nobody(memory):
    at = scoreboard.slot_offset(0)
    memory[at : at + scoreboard.SLOT_BYTES] = b"\xff" * scoreboard.SLOT_BYTES
    scoreboard.claim_slot(memory, 0, 1)
    scoreboard.claim_slot(memory, 0, 2)
    assert scoreboard.read_slot(memory, 0).worker == 2


def test_only_the_first_request_after_the_flag_wakes_the_master(memory):
    writer = scoreboard.SlotWriter(memory, 0, 0, 0)
    scoreboard.raise_wake_flag(memory)
    assert [writer.begin(1, b"", b"", -1, 0) for _ in range(2)] == [True, False]
    scoreboard.raise_wake_flag(memory)
    scoreboard.lower_wake_flag(memory)
    assert writer.begin(1, b"", b"", -1, 0) is False


def test_memory_limit_stands_in_the_header(memory):
    assert scoreboard.memory_max(memory) == 0
    scoreboard.set_memory_max(memory, 2**40)
    assert scoreboard.memory_max(memory) == 2**40


# ── deadlines ────────────────────────────────────────────────────────────────────────────


def test_deadlines_expire_in_the_order_of_their_starting():
    queue = Deadlines(10)
    for key, now in (("a", 0), ("b", 1), ("a", 2)):
        queue.start(key, now)
    assert (queue.next_at(), len(queue), queue.oldest(1)) == (11, 2, ["b"])
    assert queue.expire(10.9) == []
    assert queue.expire(12) == ["b", "a"]
    assert queue.next_at() is None
    queue.cancel("unknown")


def test_shortened_deadlines_bound_what_runs_and_what_will_start():
    queue = Deadlines(10)
    queue.start("a", 0)
    queue.start("b", 5)
    queue.shorten(2, now=9)
    queue.start("c", 10)
    assert queue.expire(10) == ["a"]
    assert queue.expire(11) == ["b"]
    assert queue.expire(12) == ["c"]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.booleans())))
def test_deadlines_do_what_a_dictionary_would(steps):
    queue, model, now = Deadlines(7), {}, 0
    for key, passed, starts in steps:
        now += passed
        due = [one for one, at in model.items() if at <= now]
        assert sorted(queue.expire(now)) == sorted(due)
        for one in due:
            del model[one]
        if starts:
            queue.start(key, now)
            model[key] = now + 7
        else:
            queue.cancel(key)
            model.pop(key, None)
        assert queue.next_at() == min(model.values(), default=None)
        assert all((one in queue) == (one in model) for one in range(5))


# ── recycling and settings ───────────────────────────────────────────────────────────────


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 1000))
def test_jitter_is_between_none_and_all_of_it(fraction, jitter):
    assert 0 <= draw(fraction, jitter) <= jitter
    assert 0 <= random_fraction() < 1


def recycling(fraction: float = 0.0, **text: str) -> Recycling:
    return Recycling(WorkerSettings(text), 1000.0, fraction, memoryview(bytearray(64)))


def test_worker_without_limits_is_never_looked_at():
    one = recycling()
    assert not one.counts
    assert one.retire_at is None
    assert one.reason(10**9) is None


def test_worker_goes_after_its_requests_with_its_own_jitter():
    assert recycling(max_requests="10", max_requests_jitter="5").reason(9) is None
    assert recycling(max_requests="10", max_requests_jitter="5").reason(10) == "max_requests"
    late = recycling(0.999, max_requests="10", max_requests_jitter="5")
    assert (late.reason(14), late.reason(15)) == (None, "max_requests")


def test_worker_goes_after_its_lifetime_at_most_a_tenth_later():
    assert recycling(max_worker_lifetime_s="100").retire_at == 1100
    assert recycling(0.5, max_worker_lifetime_s="100").retire_at == 1100 + 50 * LIFETIME_JITTER


def test_worker_that_grew_too_large_goes_and_is_asked_once():
    one = recycling(reload_on_rss_bytes="1")
    assert one.reason(1) == "rss"
    one.forget()
    assert not one.counts
    assert one.reason(2) is None
    large = recycling(reload_on_rss_bytes=str(2**50))
    assert large.reason(1) is None
    large.forget()


def test_worker_with_too_much_address_space_goes():
    one = recycling(reload_on_as_bytes="1", reload_on_rss_bytes=str(2**50))
    assert one.counts
    assert one.reason(1) == "as"
    one.forget()
    assert not one.counts
    large = recycling(reload_on_as_bytes=str(2**50))
    assert large.reason(1) is None
    large.forget()


def test_missing_settings_take_their_default_and_zero_is_zero():
    assert WorkerSettings({}).socket_timeout_s == 30
    assert WorkerSettings({"socket_timeout_s": "0.5"}).socket_timeout_s == 0.5
    assert WorkerSettings({"threads": "0"}).threads == 1
    assert WorkerSettings({"head_bytes_max": ""}).head_bytes_max == 32 * 1024


# ── the application's name ───────────────────────────────────────────────────────────────

SOURCE = """
def application(environ, start_response): return []
def factory(word="", times=1):
    def made(environ, start_response): return [word * times]
    return made
class Holder:
    inner = staticmethod(application)
number = 5
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"loaded_{os.getpid()}_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    return name


def found(tmp_path: Path, name: str) -> object:
    return load(name, str(tmp_path), [])


def test_application_is_found_by_its_name(module, tmp_path):
    assert found(tmp_path, module) is found(tmp_path, f"{module}:application")
    assert found(tmp_path, f"{module}:Holder.inner") is found(tmp_path, module)
    assert found(tmp_path, f"{module}:factory('ab', times=2)")(None, None) == ["abab"]
    assert found(tmp_path, f"{module}:factory()")(None, None) == [""]


@pytest.mark.parametrize(
    ("attribute", "says"),
    [
        ("nothing", "callables in it: application, factory, Holder"),
        ("number", "is of type int"),
        ("factory(", "must be literals"),
        ("factory(number)", "must be literals"),
        ("factory(1)(2)", "must be literals"),
        ("factory(1).a", "must be literals"),
        ("factory(**{'word': 'a'})", "must be literals"),
        ("factory(__import__('os'))", "must be literals"),
    ],
)
def test_application_that_cannot_be_had_says_what_is_wrong(module, tmp_path, attribute, says):
    with pytest.raises(AppError, match=says.replace("(", "\\(")):
        found(tmp_path, f"{module}:{attribute}")

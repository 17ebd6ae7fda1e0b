import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.control import logtail


@given(
    st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"")), max_size=30),
    st.booleans(),
    st.integers(0, 40),
    st.integers(1, 50),
)
def test_last_lines_are_what_splitting_the_whole_file_gives(lines, ended, count, block_bytes):
    whole = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    expected = b"".join(_last(whole, count))
    file = io.BytesIO(whole)
    original, logtail.BLOCK_BYTES = logtail.BLOCK_BYTES, block_bytes
    try:
        logtail.seek_to_last_lines(file, count)
    finally:
        logtail.BLOCK_BYTES = original
    assert file.read() == expected


def _last(whole: bytes, count: int) -> list[bytes]:
    lines = [part + b"\n" for part in whole.split(b"\n")]
    lines[-1] = lines[-1][:-1]  # what is after the last newline
    if not lines[-1]:
        lines.pop()
    return lines[len(lines) - count :] if count < len(lines) else lines


def test_file_without_newlines_is_read_from_a_bounded_distance():
    file = io.BytesIO(b"x" * (logtail.TAIL_BYTES_MAX + 1000))
    logtail.seek_to_last_lines(file, 5)
    assert file.tell() == 1000


@pytest.mark.parametrize("lines", [0, 1, 5])
def test_empty_file_has_no_last_lines(lines):
    file = io.BytesIO()
    logtail.seek_to_last_lines(file, lines)
    assert file.read() == b""

"""The language between master, mold and worker: one frame per SEQPACKET message.

A frame is a verb and a flat mapping of text to text, length-prefixed. No JSON here: its
decoder would cost every mold 0.7 MB. Descriptors travel beside the frame (SCM_RIGHTS).
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # typing costs a mold 0.7 MB
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Mapping, Tuple

FRAME_BYTES_MAX = 128 * 1024
"""A larger frame is a fault of the sender. Below the default socket send buffer."""

# master -> mold
LOAD = "load"  # load the application; the fields are the runtime settings below
FORK = "fork"  # fork one worker; fields: worker, seat, slots; fds: channel, dump pipe, any probe

# mold -> master
BEGUN = "begun"  # an interpreter has read its orders, and loads the application now
LOADED = "loaded"  # fields: python, load_s, threads
LOAD_FAILED = "load-failed"  # fields: error, traceback; also a worker's, with lazy_apps
FORK_FAILED = "fork-failed"  # fields: worker, errno, error

# worker -> master. HELLO's sender is known by the kernel's SCM_CREDENTIALS, not by a field.
HELLO = "hello"  # fields: worker
READY = "ready"
WAKE = "wake"  # a request began while the wake flag was up
DEADLINE = "deadline"  # a deadline shorter than the limit was set: look again
RELOAD = "reload"  # the application wants new code for all workers
REFUSED = "refused"  # fields: protocol, status, reason, count; clients broke the protocol
RETIRING = "retiring"  # fields: reason; wants to be replaced and serves on until STOP
LEAVING = "leaving"  # fields: reason; stops by itself, as it cannot wait for a successor

# master -> worker
SERVE = "serve"  # after READY of a worker that was probed: accept from now on
STOP = "stop"  # stop accepting, finish what is in flight, exit 0

_LENGTH = struct.Struct("!I")


class FrameError(ValueError):
    """The bytes are not a frame."""


def encode(verb: str, fields: Mapping[str, str] = {}) -> bytes:
    """Return the frame for `verb`; raise FrameError when it is too large to send."""
    parts: List[bytes] = []
    for text in _flatten(verb, fields):
        raw = text.encode("utf-8", "surrogateescape")
        parts += (_LENGTH.pack(len(raw)), raw)
    frame = b"".join(parts)
    if len(frame) > FRAME_BYTES_MAX:
        raise FrameError(
            "frame %r has %d bytes, more than %d" % (verb, len(frame), FRAME_BYTES_MAX)
        )
    return frame


def decode(frame: bytes) -> Tuple[str, Dict[str, str]]:
    """Return (verb, fields); raise FrameError for anything that is not a whole frame."""
    texts = list(_split(frame))
    if len(texts) % 2 != 1:
        raise FrameError("frame with %d parts, expected an odd number" % len(texts))
    return texts[0], dict(zip(texts[1::2], texts[2::2]))


def encode_list(items: List[str]) -> str:
    """Return a list as one field value; the inverse of decode_list."""
    return "".join("%d:%s" % (len(item), item) for item in items)


def decode_list(value: str) -> List[str]:
    """Return the list that encode_list made; raise FrameError for anything else."""
    items: List[str] = []
    while value:
        head, colon, rest = value.partition(":")
        # isdigit() alone lets "²" pass; 7 digits are more than a frame holds.
        if not (colon and head.isascii() and head.isdigit() and len(head) < 8):
            raise FrameError("not a list: %r" % value[:40])
        if int(head) > len(rest):
            raise FrameError("not a list: %r" % value[:40])
        items.append(rest[: int(head)])
        value = rest[int(head) :]
    return items


def encode_table(table: Mapping[str, str]) -> str:
    """Return a table as one field value; the inverse of decode_table."""
    return encode_list([text for pair in table.items() for text in pair])


def decode_table(value: str) -> Dict[str, str]:
    """Return the table that encode_table made; raise FrameError for anything else."""
    items = decode_list(value)
    if len(items) % 2:
        raise FrameError("not a table: %r" % value[:40])
    return dict(zip(items[::2], items[1::2]))


def _flatten(verb: str, fields: Mapping[str, str]) -> Iterator[str]:
    yield verb
    for key, value in fields.items():
        yield key
        yield value


def _split(frame: bytes) -> Iterator[str]:
    at = 0
    while at < len(frame):
        if at + 4 > len(frame):
            raise FrameError("truncated length")
        (length,) = _LENGTH.unpack_from(frame, at)
        at += 4
        if length > len(frame) - at:
            raise FrameError("truncated part")
        yield frame[at : at + length].decode("utf-8", "surrogateescape")
        at += length

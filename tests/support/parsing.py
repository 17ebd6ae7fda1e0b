"""The wire parsers as the tests call them: both HTTP libraries, and a verdict to compare."""

from pathlib import Path
from typing import Any

import h11
import httptools

from vassal.runtime.parsers import load_h11
from vassal.runtime.wire.heads import H11Reader, LlhttpReader
from vassal.runtime.wire.http import Http
from vassal.runtime.wire.request import Base, ProtocolError, Reply, Request

BASE = Base(
    {"SERVER_NAME": "here", "SERVER_PORT": "80", "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1"},
    {"wsgi.version": (1, 0), "wsgi.url_scheme": "http"},
)
HEAD_BYTES_MAX = 4096

# As workers load it: h11 made as strict as llhttp.
_SOURCES = {path.stem: path.read_bytes() for path in Path(h11.__file__).parent.glob("*.py")}
READERS: dict[str, Any] = {
    "httptools": LlhttpReader(httptools),
    "h11": H11Reader(load_h11(_SOURCES)),
}


def http(library: str = "httptools", body_bytes_max: int = 0) -> Http:
    return Http(READERS[library], HEAD_BYTES_MAX, body_bytes_max)


def parse(wire: Any, data: bytes) -> Request | Reply | None:
    """Return what `wire` makes of `data`."""
    found: Request | Reply | None = wire.parse(data, BASE)
    return found


def status_of(wire: Any, data: bytes) -> int:
    """Return the status that `data` is refused with; 0 = it is not refused."""
    try:
        parse(wire, data)
    except ProtocolError as error:
        return error.status
    return 0


def verdict(wire: Any, data: bytes) -> Any:
    """Return a value that is equal for equal results; any refusal is "refused"."""
    try:
        found = parse(wire, data)
    except ProtocolError:
        return "refused"
    if found is None:
        return None
    if isinstance(found, Reply):
        return found.payload, found.start, found.end, found.close
    return (
        found.environ,
        found.method,
        found.uri,
        found.consumed,
        found.body_length,
        found.keep_alive,
        found.stream_id,
        found.expects_continue,
    )


def verdict_as_it_comes(wire: Any, data: bytes) -> Any:
    """Return the first verdict when the bytes of `data` come one by one."""
    for end in range(len(data) + 1):
        found = verdict(wire, data[:end])
        if found is not None:
            return found
    return None


def unchunk(library: str, pieces: list[bytes], limit: int = 0) -> Any:
    """Return (body, rest or None while unfinished) of a chunked body, or "refused"."""
    decoder = READERS[library].chunked(limit)
    body = b""
    for number, piece in enumerate(pieces):
        try:
            body += decoder.feed(piece)
        except ProtocolError:
            return "refused"
        if decoder.done:
            return body, decoder.rest + b"".join(pieces[number + 1 :])
    return body, None

"""Names and paths: what HTTP and the CGI-like protocols spell the same way in environ."""

from __future__ import annotations

_HEX = {
    bytes((high, low)): int(bytes((high, low)), 16)
    for high in b"0123456789abcdefABCDEF"
    for low in b"0123456789abcdefABCDEF"
}

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # RFC 9110


def unquote(path: bytes) -> str:
    """Return a percent-decoded path as PEP 3333 wants it: each byte one latin-1 character."""
    if b"%" not in path:
        return path.decode("latin-1")
    first, *parts = path.split(b"%")
    decoded = bytearray(first)
    for part in parts:
        byte = _HEX.get(part[:2])
        if byte is None:
            decoded += b"%"
            decoded += part
        else:
            decoded.append(byte)
            decoded += part[2:]
    return decoded.decode("latin-1")


def without_dots(path: bytes) -> bytes:
    """Return a path that begins with / without its segments . and .. (RFC 3986, 5.2.4)."""
    parts = path.split(b"/")[1:]
    kept: list[bytes] = []
    for part in parts:
        if part == b"..":
            del kept[-1:]
        elif part != b".":
            kept.append(part)
    if parts[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def split_target(target: str) -> tuple[str, str]:
    """Return the path, still quoted, and the query string of a request target."""
    path, _, query = target.partition("?")
    return path, query


def parse_length(text: str) -> int | None:
    """Return a Content-Length; None when it is not a plain number."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        return None
    return int(text)

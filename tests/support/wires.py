"""Minimal clients of the protocols that web servers speak to workers: one request each."""

import socket
import struct

Address = str | tuple[str, int]
"""A unix socket's path, or host and port."""


def ask_uwsgi(path: Address, uri: str) -> tuple[int, bytes]:
    """Return (status, body) of a GET over the socket at `path`."""
    variables = b"".join(_uwsgi_text(k) + _uwsgi_text(v) for k, v in _variables(uri).items())
    packet = struct.pack("<BHB", 0, len(variables), 0) + variables
    return _parsed(_exchange(path, packet))


def ask_scgi(path: Address, uri: str) -> tuple[int, bytes]:
    """Return (status, body) of a GET over the socket at `path`."""
    variables = {"CONTENT_LENGTH": "0", "SCGI": "1"} | _variables(uri)
    text = "".join(f"{key}\0{value}\0" for key, value in variables.items()).encode()
    return _parsed(_exchange(path, b"%d:%b," % (len(text), text)))


def ask_fastcgi(path: Address, uri: str, body: bytes = b"", **more: str) -> tuple[int, bytes]:
    """Return (status, body) of a request over the socket at `path`; the stream's id is 7.

    `more`: variables beside those of a GET, or other than they are.
    """
    params = b"".join(
        bytes((len(key), len(value))) + key.encode() + value.encode()
        for key, value in (_variables(uri) | more).items()
    )
    begin = _fastcgi(1, struct.pack(">HB5x", 1, 0))
    stdin = (_fastcgi(5, body) if body else b"") + _fastcgi(5, b"")
    answer = _exchange(path, begin + _fastcgi(4, params) + _fastcgi(4, b"") + stdin)
    output = b""
    ended = False
    while answer:
        version, kind, stream, length, padding = struct.unpack_from(">BBHHB", answer)
        assert (version, stream) == (1, 7)
        assert not ended
        if kind == 6:
            output += answer[8 : 8 + length]
        ended = kind == 3
        answer = answer[8 + length + padding :]
    assert ended, "the stream was not ended"
    return _parsed(output)


def _variables(uri: str) -> dict[str, str]:
    return {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": uri,
        "PATH_INFO": uri,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }


def _uwsgi_text(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode()


def _fastcgi(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, 7, len(content), 0) + content


def _exchange(path: Address, request: bytes) -> bytes:
    family = socket.AF_UNIX if isinstance(path, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(request)
        parts = []
        while data := client.recv(65536):
            parts.append(data)
        return b"".join(parts)


def _parsed(answer: bytes) -> tuple[int, bytes]:
    """Return (status, body) of an answer with an HTTP or a CGI head."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, _, _ = head.partition(b"\r\n")
    name, _, rest = first.partition(b" ")
    assert name in (b"HTTP/1.1", b"Status:"), answer[:200]
    return int(rest.split()[0]), body

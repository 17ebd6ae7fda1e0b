"""The sockets that the worker accepts on, and what environ says about each of them."""

from __future__ import annotations

import _socket
import os
import sys

from .wire.fastcgi import Fastcgi
from .wire.http import make_http
from .wire.request import Base
from .wire.scgi import Scgi
from .wire.uwsgi import Uwsgi
from .wsgi import FileWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .settings import WorkerSettings
    from .wire.request import Wire

_WIRES = {"uwsgi": Uwsgi, "fastcgi": Fastcgi, "scgi": Scgi}


class Listener:
    """One listening socket with its protocol. The descriptor stays the caller's."""

    def __init__(
        self, fd: int, protocol: str, family: int, settings: WorkerSettings, multiprocess: bool
    ):
        self.family = family
        self.socket = _socket.socket(family, _socket.SOCK_STREAM, 0, fd)
        # A worker that loses the race for a connection must not wait in accept().
        os.set_blocking(fd, False)
        self.fd = fd
        # Returns (fd, address) of the next connection; raises BlockingIOError or OSError.
        self.accept: Callable[[], tuple[int, Any]] = self.socket._accept  # type: ignore[attr-defined]
        self.socket_timeout_s = settings.socket_timeout_s
        self.is_http = protocol == "http"
        self.head_start = b"Status: " if protocol in ("fastcgi", "scgi") else b"HTTP/1.1 "
        limits = settings.head_bytes_max, settings.body_bytes_max
        make: Any = make_http if self.is_http else _WIRES[protocol]
        self.wire: Wire = make(*limits)
        self.number = ("http", "uwsgi", "fastcgi", "scgi").index(protocol)
        host, port = _server_address(self.socket, family)
        self.base = Base(
            {
                "SERVER_NAME": host,
                "SERVER_PORT": port,
                "SCRIPT_NAME": "",
                "SERVER_PROTOCOL": "HTTP/1.1",
            },
            {
                "wsgi.version": (1, 0),
                "wsgi.url_scheme": "http",
                "wsgi.errors": sys.stderr,
                "wsgi.multithread": settings.threads > 1,
                "wsgi.multiprocess": multiprocess,
                "wsgi.run_once": False,
                "wsgi.file_wrapper": FileWrapper,
                "wsgi.input_terminated": True,  # werkzeug asks before it reads without a length
            },
        )


def _server_address(socket: _socket.socket, family: int) -> tuple[str, str]:
    """Return SERVER_NAME and SERVER_PORT; PEP 3333 wants both never empty."""
    if family == _socket.AF_UNIX:
        return "localhost", "80"
    host, port = socket.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = os.uname().nodename or "localhost"
    elif ":" in host:
        host = "[%s]" % host  # RFC 3875, 4.1.14
    return host, str(port)


def remote_address(address: Any) -> tuple[str, str]:
    """Return REMOTE_ADDR and REMOTE_PORT for what accept() said; empty for unix sockets."""
    if type(address) is not tuple:
        return "", ""
    host: str = address[0]
    if host.startswith("::ffff:"):
        host = host[7:]  # an IPv4 client on a dual-stack socket
    return host, str(address[1])

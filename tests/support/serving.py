"""`emperor serve` over the application of all cases, and a client that speaks raw bytes."""

import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.processes import alive, children, pid_tree
from tests.support.wait import wait_until

APPS = Path(__file__).parent / "apps"
PROTOCOLS = ("uwsgi", "fastcgi", "scgi")


class Serving:
    """A running `emperor serve`: every protocol over TCP and over a unix socket."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.ports = {protocol: free_port() for protocol in ("http", *PROTOCOLS)}
        self.port = self.ports["http"]
        self.process: subprocess.Popen[bytes]
        self._log_at = 0
        self._marks = 0

    def socket_of(self, protocol: str) -> str:
        return str(self.base / f"{protocol}.sock")

    def log(self) -> str:
        """Return what was written since the last start_anew()."""
        return self._whole_log()[self._log_at :]

    def _whole_log(self) -> str:
        return (self.base / "serve.log").read_text(errors="replace")

    def start_anew(self) -> None:
        """Forget what was logged and closed, all of it: the log comes through the master."""
        self._marks += 1
        mark = f"mark {self._marks};"
        assert self.ask(f"/mark?{self._marks}")[0] == 200
        wait_until(lambda: mark in self._whole_log(), what=mark)
        self._log_at = self._whole_log().index(mark)

    def worker_pids(self) -> set[int]:
        found = set()
        for pid in children(self.process.pid):
            try:
                name = Path(f"/proc/{pid}/comm").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if name.startswith("worker"):
                found.add(pid)
        return found

    def ask(
        self, path: str = "/", method: str = "GET", body: Any = None, **options: Any
    ) -> tuple[int, bytes]:
        """Return (status, body) of one request on a connection of its own."""
        answer = self.answer(path, method, body, **options)
        return answer.status, answer.read()

    def answer(
        self, path: str, method: str = "GET", body: Any = None, **options: Any
    ) -> http.client.HTTPResponse:
        """Return the response; its connection is closed with it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Connection": "close", **options.pop("headers", {})}
        try:
            connection.request(method, path, body, headers, **options)
            return connection.getresponse()
        finally:
            connection.close()  # the response holds the socket until it is read

    def connect(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def exchange(self, *pieces: bytes) -> bytes:
        """Send raw bytes; return all that comes until the server ends the connection."""
        with self.connect() as client:
            for piece in pieces:
                client.sendall(piece)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Return what comes until the end; raise ConnectionResetError when there is none."""
    parts = []
    while data := client.recv(65536):
        parts.append(data)
    return b"".join(parts)


def read_until(client: socket.socket, end: bytes) -> bytes:
    """Return what comes, up to `end` at the earliest; fail the test when it ends before."""
    data = b""
    while end not in data:
        more = client.recv(65536)
        assert more, f"the server ended the connection after {data!r}"
        data += more
    return data


@contextmanager
def serving(
    base: Path, *options: str, app: str = "wsgi_cases:application", **popen: Any
) -> Iterator[Serving]:
    """Run `emperor serve` for the time of a with block and wait until it is ready."""
    one = Serving(base)
    command = [sys.executable, "-m", "emperor", "serve", app, "--directory", str(APPS)]
    for protocol, port in one.ports.items():
        command += ["--listen", f"{protocol}://127.0.0.1:{port}"]
        command += ["--listen", f"{protocol}+unix://{one.socket_of(protocol)}"]
    with (base / "serve.log").open("wb") as log:
        one.process = subprocess.Popen(
            [*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **popen
        )

    def ready() -> bool:
        assert one.process.poll() is None, one.log()
        return "event=ready" in one.log()

    try:
        wait_until(ready, 20.0, "it is ready")
        yield one
    finally:
        tree = [one.process.pid, *pid_tree(one.process.pid)]
        one.process.terminate()
        try:
            one.process.wait(10)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        wait_until(lambda: not [pid for pid in tree if alive(pid)], 5.0, "all are gone")

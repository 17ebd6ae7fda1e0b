"""Talks to a running emperor over its control socket.

Standard library and msgspec only: `emperor status` must be there at once.
"""

import http.client
import socket
import struct
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec

from emperor.status import Event, Explanation, Status, VassalStatus

SOCKET_NAME = "control.sock"
SYSTEM_SOCKET = Path("/run/emperor", SOCKET_NAME)
TIMEOUT_S = 60.0
READ_BYTES = 64 * 1024

T = TypeVar("T")


class ControlError(Exception):
    """The emperor did not do what was asked. `what` is wrong; `remedy` may help."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


class NotReachable(ControlError):
    """No emperor answers at this socket."""


class ControlClient:
    """Asks the emperor of one runtime directory. One connection per question.

    Every method raises NotReachable when no emperor answers, and ControlError with the
    emperor's own words when it refuses.
    """

    def __init__(self, runtime_dir: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._path = runtime_dir / SOCKET_NAME
        self._timeout_s = timeout_s

    def status(self) -> Status:
        """Return the emperor's status with the vassals that the caller may see."""
        return _decoded(self._read("GET", "/v1/status"), Status)

    def vassal(self, name: str) -> VassalStatus:
        """Return one vassal's status."""
        return _decoded(self._read("GET", _vassal_path(name)), VassalStatus)

    def explain(self, name: str) -> Explanation:
        """Return what is wanted of a vassal, what is, and what comes next."""
        return _decoded(self._read("GET", _vassal_path(name, "/explain")), Explanation)

    def steer(self, name: str, action: str) -> str:
        """Reload, restart, … a vassal; return what was begun, one sentence."""
        answer = _decoded(self._read("POST", _vassal_path(name, f"/{action}")), dict[str, str])
        return answer.get("begun", "")

    def reopen_all(self) -> str:
        """Let every log that the caller may steer be opened anew; return one sentence."""
        return _decoded(self._read("POST", "/v1/reopen"), dict[str, str]).get("begun", "")

    def upgrade(self) -> str:
        """Let spawner and brain take in new code; return what was begun, one sentence."""
        return _decoded(self._read("POST", "/v1/upgrade"), dict[str, str]).get("begun", "")

    def logs(self, name: str, lines: int, follow: bool) -> Iterator[bytes]:
        """Yield the last `lines` lines in pieces, and with `follow` what comes after."""
        path = _vassal_path(name, f"/logs?lines={lines}&follow={int(follow)}")
        yield from self._pieces(path, endless=follow)

    def events(self) -> Iterator[Event]:
        """Yield what happens from now on, until the emperor ends the stream."""
        decoder = msgspec.json.Decoder(Event)
        rest = b""
        for piece in self._pieces("/v1/events", endless=True):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield decoder.decode(line)

    def _read(self, method: str, path: str) -> bytes:
        with closing(self._connection()) as connection:
            response = self._ask(connection, method, path)
            try:
                return response.read()
            except (OSError, http.client.HTTPException) as error:
                raise unreachable(self._path, error) from error

    def _pieces(self, path: str, endless: bool) -> Iterator[bytes]:
        with closing(self._connection()) as connection:
            response = self._ask(connection, "GET", path)
            if endless:
                connection.sock.settimeout(None)
            while True:
                try:
                    piece = response.read1(READ_BYTES)
                except (OSError, http.client.HTTPException) as error:
                    raise unreachable(self._path, error) from error
                if not piece:
                    return
                yield piece

    def _connection(self) -> "_UnixConnection":
        return _UnixConnection(self._path, self._timeout_s)

    def _ask(
        self, connection: "_UnixConnection", method: str, path: str
    ) -> http.client.HTTPResponse:
        try:
            try:
                connection.request(method, path)
            except BrokenPipeError:
                pass  # turned away at the door; the reason is there to be read
            response = connection.getresponse()
            if response.status >= 400:
                raise refusal(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self._path, error) from error
        return response


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("emperor")
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # With settimeout() a full queue would fail at once, with EAGAIN, instead of waiting.
        seconds = struct.pack("ll", int(self._timeout_s), 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        self.sock.connect(str(self._path))
        self.sock.settimeout(self._timeout_s)


def unreachable(path: Path, error: Exception, system_socket: Path = SYSTEM_SOCKET) -> NotReachable:
    """Return what to tell a person when asking at `path` failed with `error`."""
    choose = "Start one, or name its directory with --runtime-dir or EMPEROR_RUNTIME_DIR"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if path != system_socket and system_socket.exists():
            choose += f"; there is one at --runtime-dir {system_socket.parent}"
        return NotReachable(f"no emperor runs at {path}", f"{choose}.")
    if isinstance(error, ConnectionRefusedError):
        return NotReachable(f"no emperor runs at {path} any more", f"{choose}.")
    if isinstance(error, PermissionError):
        return NotReachable(
            f"permission denied at {path}",
            "Its directory must be searchable for you (chmod o+x), or choose another one "
            "with --runtime-dir or EMPEROR_RUNTIME_DIR.",
        )
    if isinstance(error, TimeoutError | BlockingIOError):
        return NotReachable(f"the emperor at {path} does not answer", "See its log.")
    if isinstance(error, ConnectionError | http.client.HTTPException):
        return NotReachable(f"the emperor at {path} hung up", "Try again, or see its log.")
    return NotReachable(f"{path}: {error}", "Choose another one with --runtime-dir.")


def refusal(status: int, body: bytes) -> ControlError:
    """Return the emperor's own words for why it did not do what was asked."""
    try:
        error = msgspec.json.decode(body, type=dict[str, dict[str, str]])["error"]
        return ControlError(error["what"], error["remedy"])
    except (msgspec.DecodeError, KeyError):
        return ControlError(f"the emperor answered with HTTP status {status}", "See its log.")


def _decoded(body: bytes, wanted: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.DecodeError as error:
        raise ControlError(
            f"the emperor's answer is not understood ({error})",
            "Is it of another version? Compare: emperor version.",
        ) from error


def _vassal_path(name: str, rest: str = "") -> str:
    return f"/v1/vassals/{urllib.parse.quote(name, safe='')}{rest}"

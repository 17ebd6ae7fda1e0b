"""A health probe's two ends: what the first worker of a generation is asked, and its answer.

What comes back is the tenant's: a bounded number of bytes, of which the status is read.
"""

import os
import re
import socket

import msgspec

from vassal.failure import Failure
from vassal.generation import Health

_KEPT_BYTES_MAX = 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")


class Probe:
    """One question to one worker. Owns both ends until `hand_over` closes the worker's."""

    def __init__(self, health: Health) -> None:
        self.health = health
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours.setblocking(False)
        self._answer = b""
        self._ours.send(request_for(health))

    @property
    def worker_fd(self) -> int:
        """The end that goes to the worker, in which the request waits."""
        return self._theirs.fileno()

    @property
    def fd(self) -> int:
        """The end to be watched."""
        return self._ours.fileno()

    def hand_over(self) -> None:
        """The worker has its end: close ours of it."""
        self._theirs.close()

    def read(self) -> bool:
        """Take in what has come; return False at the end."""
        try:
            data = self._ours.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._answer = (self._answer + data)[:_KEPT_BYTES_MAX]
        return bool(data)

    def close(self) -> None:
        """Close what is left."""
        self._ours.close()
        self._theirs.close()

    def complaint(self) -> str:
        """Return what is wrong with the answer; empty = it is as expected."""
        self.read()
        return complaint(self.health, self._answer)


def request_for(health: Health) -> bytes:
    """Return the probe's request, in the uwsgi protocol."""
    path, _, query = health.path.partition("?")
    variables = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": health.path,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": health.host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": health.host,
        "HTTP_USER_AGENT": "emperor-health",
        "REMOTE_ADDR": "127.0.0.1",
    }
    body = b"".join(_counted(part) for pair in variables.items() for part in pair)
    return b"\0" + len(body).to_bytes(2, "little") + b"\0" + body


def _counted(text: str) -> bytes:
    raw = os.fsencode(text)
    return len(raw).to_bytes(2, "little") + raw


def complaint(health: Health, answer: bytes) -> str:
    """Return why `answer` does not pass, for people; empty when it does."""
    found = _STATUS.match(answer)
    if found is None:
        return f"GET {health.path} was not answered"
    status = int(found.group(1))
    if any(low <= status <= high for low, high in health.expect):
        return ""
    line = answer.split(b"\r\n", 1)[0][9:100].decode("latin-1")
    return f"GET {health.path} was answered {line!r}, expected {wanted(health)}"


def wanted(health: Health) -> str:
    """Return the expected statuses as they are written."""
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in health.expect)


def unanswered(health: Health, reason: str, death: Failure) -> Failure:
    """Return why a worker that died before it had answered is no good.

    `reason` is what the master killed it for, empty when it died of itself.
    """
    if not reason:
        text = f"{death.message} in the health probe GET {health.path}"
    else:
        text = f"GET {health.path} was not answered within health.timeout = {health.timeout_s:g} s"
    return msgspec.structs.replace(death, kind="health", message=text)

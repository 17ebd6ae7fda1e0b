"""One line for a request, where the vassal asks for that. Without it nothing of this is loaded."""

from __future__ import annotations

import os
import time

from . import frames, log_format
from .output import MONTHS
from .soft import HarakiriSoftTimeout
from .wsgi import FileWrapper, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, Tuple

    from .connection import Connection
    from .layout import Layout
    from .output import Head
    from .scoreboard import Memory
    from .soft import Guard
    from .wire.request import Request
    from .wsgi import App

    Value = Callable[[Any], Any]

LINE_BYTES_MAX = 4096
"""PIPE_BUF: what is written at once up to this size, nobody else's line comes into."""

_VALUE_CHARS_MAX = 1024
_NOTHING = "-"
# A request must not end its line, colour a terminal, or close a quote. What is not ASCII is
# in no known encoding.
_ESCAPES: Dict[int, str] = {
    code: "\\x%02x" % code for code in (*range(32), 34, 92, *range(127, 256))
}


def load_for(field: str) -> None:
    """Load what an AccessLog of this field needs: after the fork nothing of ours can be."""
    if log_format.uwsgi_words(frames.decode_list(field)[0]) is not None:
        from . import uwsgi_line  # noqa: F401


class Place:
    """Where requests are counted: memory that is laid out like this, `own` are this worker's
    slots in it."""

    def __init__(self, memory: Memory, layout: Layout, own: range):
        self.memory = memory
        self.layout = layout
        self.own = own


class AccessLog:
    """What is written, and for which requests. `core` is the number of the thread, `fd` where
    lines go, `place` where requests are counted."""

    def __init__(self, field: str, worker: int, core: int, fd: int = 2, place: Place | None = None):
        self._fd = fd
        text, with_4xx, with_5xx, slow_s = frames.decode_list(field)
        self._with_4xx = bool(with_4xx)
        self._with_5xx = bool(with_5xx)
        self._slow_ns = int(float(slow_s) * 1e9) if slow_s else 0
        self._only_some = self._with_4xx or self._with_5xx or self._slow_ns > 0
        values = _values(worker, core)
        self._nothing = _NOTHING
        words = log_format.uwsgi_words(text)
        if words is not None:
            from . import uwsgi_line  # the mold has loaded it

            text = uwsgi_line.text_of(words)
            values.update(uwsgi_line.values(place))
            self._nothing = ""
        self._parts: List[str | Value] = []
        for part, is_variable in log_format.split(text):
            if not is_variable:
                self._parts.append(part)
            elif part in values:
                self._parts.append(values[part])
            elif part in log_format.ZEROS:
                self._parts.append("0")
            elif part.startswith(log_format.VARIABLE):
                self._parts.append(_variable(part[len(log_format.VARIABLE) :]))
            elif part.startswith(log_format.REMEMBERED):
                self._parts.append(_remembered(part[len(log_format.REMEMBERED) :]))
            else:
                self._parts.append(_variable(log_format.FROM_ENVIRON.get(part, "")))

    def response(
        self,
        connection: Connection,
        request: Request,
        started_ns: int,
        before_send: Callable[[], None],
    ) -> LoggedResponse:
        """Return a response that is written about when it has been sent."""
        return LoggedResponse(self, connection, request, started_ns, before_send)

    def write(self, response: LoggedResponse) -> None:
        """Write the line of a request that is done, if it is one of those to be logged."""
        if self._only_some and not self._is_wanted(response):
            return
        words = []
        for part in self._parts:
            if type(part) is str:
                words.append(part)
            else:
                value = str(part(response))[:_VALUE_CHARS_MAX]  # type: ignore[operator]
                words.append(value.translate(_ESCAPES) or self._nothing)
        line = "".join(words).encode("utf-8", "backslashreplace")
        try:
            os.write(self._fd, line[: LINE_BYTES_MAX - 1] + b"\n")
        except OSError:
            pass  # nobody reads the log any more; the request was served

    def _is_wanted(self, response: LoggedResponse) -> bool:
        kind = response.code() // 100
        if (self._with_4xx and kind == 4) or (self._with_5xx and kind == 5):
            return True
        return bool(self._slow_ns) and response.took_ns >= self._slow_ns


class LoggedResponse(Response):
    """A response that remembers what its line tells."""

    took_ns = 0
    head_bytes = 0
    by_sendfile = False

    def __init__(self, log: AccessLog, *rest: Any):
        super().__init__(*rest)
        self._log = log
        # As the client said it: the application may write into its environ.
        self.said: Mapping[str, Any] = dict(self._request.environ)

    def run(self, app: App, guard: Guard) -> str:
        """Serve the request, and write its line."""
        try:
            try:
                return super().run(app, guard)
            except HarakiriSoftTimeout as error:  # struck while another exception was handled
                return self.fail(error, guard)
        finally:
            self.took_ns = time.monotonic_ns() - self._started_ns
            self._log.write(self)

    def _start(self, whole_length: int | None) -> bytes:
        head = super()._start(whole_length)
        self.head_bytes = len(head)
        return head

    def _send_plain(self, head: Head, data: bytes) -> str:
        try:
            return super()._send_plain(head, data)
        finally:
            self.head_bytes = max(0, self.bytes_sent - len(data))

    def _send_file(self, wrapper: FileWrapper) -> bool:
        self.by_sendfile = super()._send_file(wrapper)
        return self.by_sendfile

    def code(self) -> int:
        """Return the status; 0 = there was no answer."""
        return self.head.code if self.head is not None else 0

    def header_count(self) -> int:
        """Return how many header fields the application gave."""
        return self.head.fields.count(b"\n") if self.head is not None else 0

    def request_line(self) -> tuple[str, str]:
        """Return method and URI."""
        return self._request.method.decode("latin-1"), self._request.uri.decode("latin-1")

    def variables(self) -> List[Tuple[str, str]]:
        """Return what a web server says of a request: environ without what is WSGI's and ours."""
        return [
            (name, value)
            for name, value in self.said.items()
            if type(value) is str and "." not in name
        ]

    def environ(self) -> Mapping[str, Any]:
        """Return environ as the application has left it."""
        return self._request.environ

    def remembered(self) -> Mapping[str, Any]:
        """Return what the application wants to have in the log."""
        found = self._request.environ.get(log_format.LOGVARS)
        return found if isinstance(found, dict) else {}

    def began_ns(self) -> int:
        """Return the Unix time of the beginning, in ns."""
        return time.time_ns() - (time.monotonic_ns() - self._started_ns)


def _variable(name: str) -> Value:
    return lambda response: response.said.get(name, "")


def _remembered(name: str) -> Value:
    return lambda response: response.remembered().get(name, "")


def _values(worker: int, core: int) -> Dict[str, Value]:
    pid = os.getpid()
    return {
        "method": lambda response: response.request_line()[0],
        "uri": lambda response: response.request_line()[1],
        "status": lambda response: response.code() or _NOTHING,
        "size": lambda response: response.bytes_sent,
        "hsize": lambda response: response.head_bytes,
        "rsize": lambda response: max(0, response.bytes_sent - response.head_bytes),
        "headers": lambda response: response.header_count(),
        "cl": lambda response: response.said.get("CONTENT_LENGTH") or 0,
        # uWSGI counts names and values.
        "vars": lambda response: 2 * len(response.variables()),
        "secs": lambda response: "%.6f" % (response.took_ns / 1e9),
        "msecs": lambda response: response.took_ns // 1_000_000,
        "micros": lambda response: response.took_ns // 1000,
        "time": lambda response: response.began_ns() // 1_000_000_000,
        "tmsecs": lambda response: response.began_ns() // 1_000_000,
        "tmicros": lambda response: response.began_ns() // 1000,
        "epoch": lambda response: int(time.time()),
        "ctime": lambda response: time.ctime(response.began_ns() // 1_000_000_000),
        "ltime": lambda response: _local(response.began_ns() // 1_000_000_000),
        "ftime": lambda response: _local(response.began_ns() // 1_000_000_000),
        "pid": lambda response: pid,
        "wid": lambda response: worker,
        "core": lambda response: core,
    }


def _local(seconds: int) -> str:
    """Return a time as Apache's logs have it, whatever the locale."""
    there = time.localtime(seconds)
    minutes = there.tm_gmtoff // 60
    sign = "-" if minutes < 0 else "+"
    return "%02d/%s/%d:%02d:%02d:%02d %s%02d%02d" % (
        there.tm_mday,
        MONTHS[there.tm_mon - 1],
        there.tm_year,
        there.tm_hour,
        there.tm_min,
        there.tm_sec,
        sign,
        *divmod(abs(minutes), 60),
    )

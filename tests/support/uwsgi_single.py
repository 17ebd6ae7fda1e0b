"""One application by uWSGI's command line, under the real uWSGI and under `emperor uwsgi`."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import pid_tree
from tests.support.uwsgi import uwsgi_program
from tests.support.wait import wait_until

REAL, OURS = "uwsgi", "ours"
ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8", "UNWANTED": "x"}

PROBE = """
import json, os, resource, sys, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/sleep/"):
        time.sleep(float(path.rpartition("/")[2]))
    start_response("200 OK", [("Content-Type", "application/json")])
    found = {
        "pid": os.getpid(),
        "folder": os.getcwd(),
        "who": [os.getuid(), os.getgid(), sorted(os.getgroups())],
        "umask": _umask(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "space": resource.getrlimit(resource.RLIMIT_AS),
        "request": [environ.get(name, "") for name in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")],
        "threads": environ["wsgi.multithread"],
        "environ": {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("UWSGI_", "EMPEROR_"))
        },
        "path": [os.path.realpath(each) for each in sys.path if each],
        "says": SAYS,
    }
    return [json.dumps(found).encode()]

def _umask():
    mask = os.umask(0o77)
    os.umask(mask)
    return mask

SAYS = "one"
"""


class Running:
    """One of the two, with its standard error in a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, address: Any) -> None:
        self.process = process
        self._log = log
        self._address = address

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def get(self, path: str = "/", timeout: float = 5.0) -> tuple[int, bytes]:
        """Return (status, body); raise OSError."""
        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        if isinstance(self._address, str):
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(timeout)
            connection.sock.connect(self._address)
        else:
            connection.sock = socket.create_connection(("127.0.0.1", self._address), timeout)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def told(self, path: str = "/") -> dict[str, Any]:
        """Return what the probe says of itself."""
        status, body = self.get(path)
        assert status == 200, (status, body, self.log())
        found: dict[str, Any] = json.loads(body)
        return found

    def worker(self) -> int:
        """Return the pid of a worker that answers, 0 = none does."""
        try:
            return int(json.loads(self.get(timeout=1.0)[1])["pid"])
        except (OSError, ValueError, http.client.HTTPException):
            return 0

    def signal(self, signum: int) -> None:
        os.kill(self.process.pid, signum)


def program(kind: str) -> list[str]:
    """Return the words that start one of the two, from whatever folder."""
    return [uwsgi_program()] if kind == REAL else ours_at(ROOT, sys.executable)


def ours_at(checkout: Path, python: str) -> list[str]:
    """Return the words that start ours from this checkout."""
    code = f"import sys; sys.path.insert(0, {str(checkout)!r}); "
    code += "from emperor.__main__ import main; sys.exit(main())"
    return [python, "-c", code, "uwsgi"]


def closed_to_others(folder: Path) -> list[str]:
    """Return the words that start ours where only root may read it; they need root."""
    place = folder / "closed"
    place.mkdir(mode=0o700)
    (place / "emperord").mkdir()
    python = str(place / "emperord" / Path(sys.executable).relative_to(ROOT))
    mount = f'mount --bind {ROOT} {place}/emperord && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh", *ours_at(place / "emperord", python)]


@contextmanager
def running(
    kind: str,
    folder: Path,
    address: Any,
    *words: str,
    environ: dict[str, str] | None = None,
    handed: socket.socket | None = None,
    start: list[str] | None = None,
) -> Iterator[Running]:
    """Run one of the two with these words in a folder, until it answers at `address`; a socket
    is `handed` over as systemd does it. `start` replaces the words that start it."""
    before: list[str] = []
    if handed is not None:
        told = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&'
        before = ["bash", "-c", f"{told}{handed.fileno()}", "bash"]
    env = {**ENVIRON, **(environ or {})}
    log = folder / f"{kind}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*before, *(start or program(kind)), *words],
            pass_fds=[handed.fileno()] if handed is not None else (),
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    one = Running(process, log, address)

    def is_up() -> bool:
        assert process.poll() is None, one.log()
        # Ours answers a moment before its master knows that it serves.
        return bool(one.worker()) and (kind == REAL or "event=ready" in one.log())

    try:
        wait_until(is_up, 20.0, "it answers")
        yield one
    finally:
        # uWSGI without a master leaves its other processes behind.
        left = [process.pid, *pid_tree(process.pid)] if process.poll() is None else []
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait(20)

"""A file of uWSGI's with all that it names, in a folder of its own, and what is served by it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.processes import pid_tree
from tests.support.uwsgi_corpus import Case
from tests.support.uwsgi_single import REAL, program

_PLACE = re.compile(r"(?<![\w/])/(srv|run|tmp|home)/")
"""Where files of the corpus have things; below the folder of the case instead."""

PROBE = """
import json, os, sys

BASE, VENV = "@BASE@", "@VENV@"

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    found = {
        "request": {name: environ.get(name, "") for name in NAMES},
        "flags": [environ[f"wsgi.{name}"] for name in ("multithread", "multiprocess", "run_once")],
        "url_scheme": environ["wsgi.url_scheme"],
        "body": body.decode("latin-1"),
        "folder": os.getcwd(),
        "who": [os.getuid(), os.getgid()],
        "environ": {
            name: os.fsencode(text).decode("latin-1")
            for name, text in os.environ.items()
            if not name.startswith(("UWSGI_", "EMPEROR_"))
        },
        "path": list(dict.fromkeys(filter(_is_own, map(os.path.realpath, sys.path)))),
        "prefix": sys.prefix if sys.prefix.startswith(VENV) else "",
        "says": os.path.relpath(__file__, BASE),
        "opt": options(),
    }
    text = json.dumps(found).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Says", "probe")])
    return [text]

def options():
    import uwsgi
    return {
        key: [_text(each) for each in value] if isinstance(value, list) else _text(value)
        for key, value in uwsgi.opt.items()
        if key not in DIFFERENT
    }

def _is_own(path):
    return path.startswith(BASE)

def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else str(value).lower()

# Said to be always so by ours; and cut at the first = by uWSGI itself, in its own memory.
DIFFERENT = (
    "enable-threads", "py-call-uwsgi-fork-hooks", "mount", "static-map", "env", "shared-socket"
)

app = application
NAMES = (
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "SERVER_PROTOCOL",
    "HTTP_HOST", "HTTP_X_TWICE", "REMOTE_ADDR", "SERVER_PORT", "CONTENT_TYPE", "CONTENT_LENGTH",
)
"""
MODULES = (
    "probe.py",
    "wsgi.py",
    "app.py",
    "a.py",
    "wiki.py",
    "blog/wsgi.py",
    "blog/__init__.py",
    "srv/shop/shop/wsgi.py",
    "srv/shop/shop/__init__.py",
    "home/example.org/www/wsgi.py",
)
STATIC = {
    "srv/{folder}/static/a.txt": "one\n",
    "srv/{folder}/static/style.css": "p {}\n",
    "srv/{folder}/static/sub/index.html": "<p>\n",
    "srv/{folder}/static/no-suffix": "x",
    "media/b.js": "1;\n",
    "public/index.html": "<b>\n",
}
REQUESTS: tuple[tuple[str, str, bytes | None], ...] = (
    ("GET", "/", None),
    ("GET", "/a/b%20c?x=1&y=%2f", None),
    ("GET", "/a%2fb/%c3%a9;p=1", None),
    ("GET", "//twice//x", None),
    ("GET", "/a/./b/../c?", None),
    ("GET", "/blog", None),
    ("GET", "/blog/x/", None),
    ("GET", "/blogger", None),
    ("GET", "/wiki/Page", None),
    ("GET", "/static/a.txt", None),
    ("HEAD", "/static/style.css", None),
    ("GET", "/static/none.txt", None),
    ("GET", "/static/sub/", None),
    ("GET", "/static/../../vassal.ini", None),
    ("GET", "/static/no-suffix", None),
    ("GET", "/media/b.js?v=3", None),
    ("GET", "/public/", None),
    ("GET", "/media/b.js/more", None),
    ("POST", "/form?a=b", b"x=1&y=2"),
    ("POST", "/static/a.txt", b"x=1"),
    ("HEAD", "/", None),
    ("DELETE", "/thing/7", None),
)
HEADERS = ("content-type", "x-says")
_NO_TYPE = "application/octet-stream"
"""Of a file whose name tells none; uWSGI leaves the field out."""


class Served:
    """One case in its folder, at a port of its own."""

    def __init__(self, case: Case, folder: Path, port: int, venv: Path) -> None:
        self.case = case
        self.folder = folder
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._write_all(venv)

    def _write_all(self, venv: Path) -> None:
        probe = PROBE.replace("@BASE@", str(self.folder)).replace("@VENV@", str(venv))
        for name in MODULES:
            self._write(name, "" if name.endswith("__init__.py") else probe)
        for name, text in STATIC.items():
            self._write(name.replace("{folder}", self.folder.name), text)
        for name in ("run/pools", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "srv/shop/venv").symlink_to(venv)
        for name, text in self.case.files.items():
            self._write(name, _PLACE.sub(lambda found: f"{self.folder}{found.group()}", text))
        for path in (self.folder, *self.folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o777)

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def words(self) -> list[str]:
        """Return the command line: the file, and what it lacks to be served."""
        file, text = next(iter(self.case.files.items()))
        words = [f"--{file.rpartition('.')[2]}", file, "--http-socket", f"127.0.0.1:{self.port}"]
        if not any(name in text for name in ("module", "mount", "wsgi-file")):
            words += ["--wsgi-file", str(self.folder / "probe.py")]
        return [*words, "--master"]

    # ── one of the two ───────────────────────────────────────────────────────────────

    def start(self, kind: str) -> None:
        environ = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"}
        self._kind = kind
        self._log = self.folder / f"{kind}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*program(kind), *self.words()],
                cwd=self.folder,
                env={**environ, **self.case.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o022,
            )

    def answers(self, deadline: float) -> list[Any] | str:
        """Return all answers, or "refused" if it serves no application."""
        assert self._process is not None
        while True:
            try:
                found = self.ask_all()
            except TimeoutError:
                # uWSGI loses a request now and then; what it answers is what is asked about.
                assert self._kind == REAL, self.log()
                assert time.monotonic() < deadline, self.log()
            except ConnectionRefusedError:
                if self._process.poll() is not None:
                    return "refused"
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)
            else:
                # uWSGI serves on when it could not load the application.
                return found if any(answer[2] != 500 for answer in found) else "refused"

    def ask_all(self) -> list[Any]:
        """Return the answers to all requests, of whoever serves it."""
        return [self._answer(*request) for request in REQUESTS]

    def _answer(self, method: str, path: str, body: bytes | None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path)
            connection.putheader("Connection", "close")
            connection.putheader("X-Twice", "1")
            connection.putheader("X-Twice", "2")
            if body is not None:
                connection.putheader("Content-Type", "application/x-www-form-urlencoded")
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            headers = [answer.headers.get(name) for name in HEADERS]
            if headers[0] == _NO_TYPE:
                headers[0] = None
            text = answer.read()
            try:
                found: Any = json.loads(text)
            except ValueError:
                found = text.decode("latin-1")
            return [method, path, answer.status, headers, found]
        except (http.client.HTTPException, ConnectionResetError) as error:
            return [method, path, type(error).__name__]
        finally:
            connection.close()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        if self._process is None:
            return
        left = []
        if self._process.poll() is None:
            left = [self._process.pid, *pid_tree(self._process.pid)]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(20)


def served_by(kind: str, all_of_them: Sequence[Served]) -> Mapping[str, list[Any] | str]:
    """Run all cases at once under one of the two; return the answers by the case's name."""
    try:
        for one in all_of_them:
            one.start(kind)
        deadline = time.monotonic() + 30.0
        return {one.case.name: one.answers(deadline) for one in all_of_them}
    finally:
        for one in all_of_them:
            one.stop()


def make_venv(folder: Path) -> Path:
    """Return a virtualenv of the interpreter that uWSGI was built with."""
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=60)
    return folder / "venv"

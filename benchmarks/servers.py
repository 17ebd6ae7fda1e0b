"""The servers under test behind one interface: drop an application, remove it, stop.

Ours is used as everybody uses it: `emperor run`, vassal files, `emperor status --json`.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.client import Address
from tests.support.processes import alive, pid_tree

ROOT = Path(__file__).resolve().parent.parent
APPS = ROOT / "benchmarks" / "apps"
EMPEROR = ROOT / ".venv" / "bin" / "emperor"
BENCH_BIN = ROOT / ".cache" / "bench-venv" / "bin"

_EVENT = re.compile(rb"event=(\w+) ")

# A tenant's user can do nothing with the secrets of whoever runs the benchmark.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}

# uWSGI gives workers that hang a minute. Nobody waits for that here.
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Application:
    """One application to serve. `http` and `uwsgi` are where, by which protocol."""

    name: str
    module: str  # of benchmarks/apps
    http: Address
    uwsgi: str | None = None
    workers: int = 1
    harakiri: int = 0  # seconds; 0 = the server's default
    version: str = ""  # in its environment


class Server(ABC):
    """A running server with a folder of its own; a context manager that stops it."""

    name: str

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))
        self.folder.chmod(0o755)
        shutil.copytree(APPS, self.folder / "apps")
        self.vassals = self.folder / "vassals"
        self.vassals.mkdir()
        self._sockets = self.folder / "sockets"
        self._sockets.mkdir()
        self._sockets.chmod(0o777)  # uWSGI binds as the vassal's user
        self._log = (self.folder / "log").open("wb")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pids = self.pids()
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while any(map(alive, pids)) and time.monotonic() < deadline:
            for process in self._processes.values():
                process.poll()
            time.sleep(0.02)
        for pid in filter(alive, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        self._log.close()
        if error is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"{self.name}: its log and files are in {self.folder}")

    @abstractmethod
    def start(self) -> None:
        """Start what has to run before an application is dropped."""

    @abstractmethod
    def drop(self, app: Application) -> None:
        """Have the application served."""

    @abstractmethod
    def remove(self, app: Application) -> None:
        """Have the application served no more."""

    @abstractmethod
    def supervisors(self) -> list[int]:
        """Return the pids that there is one of, however many applications are served."""

    def socket_path(self, name: str) -> str:
        return str(self._sockets / f"{name}.sock")

    def pids(self) -> list[int]:
        """Return every process of the server."""
        roots = [process.pid for process in self._processes.values()]
        return roots + [pid for root in roots for pid in pid_tree(root)]

    def _run(self, key: str, command: list[str]) -> None:
        self._processes[key] = subprocess.Popen(
            command,
            cwd=self.folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def _write(self, file: str, text: str) -> None:
        """Put a file into the vassals' folder at once, as deployment tools do."""
        new = self.folder / "new"
        new.write_text(text)
        new.rename(self.vassals / file)


class Ours(Server):
    """`more` are lines at the end of every vassal file."""

    name = "emperord"

    def __init__(self, more: str = "") -> None:
        super().__init__()
        self._more = more
        self._read_to = 0
        self._events: Counter[bytes] = Counter()

    def start(self) -> None:
        settings = self.folder / "emperor.toml"
        settings.write_text(
            f'log_dir = "{self.folder}/logs"\n[defaults]\nstop_timeout = 2\n', encoding="utf-8"
        )
        runtime = ["--runtime-dir", str(self.folder / "run")]
        config = ["--config", str(settings)]
        self._run("emperor", [str(EMPEROR), "run", *config, *runtime, str(self.vassals)])
        control = self.folder / "run" / "control.sock"
        deadline = time.monotonic() + 30
        while not control.exists():
            if self._processes["emperor"].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"emperor run did not start:\n{self._log_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop everything, and wait until it has ended; the files stay, for `start`."""
        emperor = self._processes["emperor"]
        emperor.send_signal(signal.SIGTERM)
        emperor.wait(60)

    def drop(self, app: Application) -> None:
        listen = [_url("http", app.http)]
        if app.uwsgi is not None:
            listen.append(_url("uwsgi", app.uwsgi))
        lines = [
            f'app = "{app.module}:application"',
            f'directory = "{self.folder}/apps"',
            f"listen = {json.dumps(listen)}",
            f"workers = {app.workers}",
        ]
        if app.harakiri:
            lines.append(f"harakiri = {app.harakiri}")
        if app.version:
            lines.append(f'env = {{ VERSION = "{app.version}" }}')
        self._write(f"{app.name}.toml", "\n".join(lines) + "\n" + self._more)

    def remove(self, app: Application) -> None:
        (self.vassals / f"{app.name}.toml").unlink()

    def supervisors(self) -> list[int]:
        status = self.status()["emperor"]
        return [status["spawner_pid"], status["pid"]]

    def status(self) -> dict[str, dict[str, int]]:
        runtime = ["--runtime-dir", str(self.folder / "run")]
        command = [str(EMPEROR), "status", "--json", *runtime]
        done = subprocess.run(command, check=True, capture_output=True, timeout=60)
        status: dict[str, dict[str, int]] = json.loads(done.stdout)
        return status

    def wait_for_event(self, event: str, count: int = 1, timeout: float = 600.0) -> None:
        """Wait until the emperor has logged `event` so often since it was started."""
        deadline = time.monotonic() + timeout
        while self._count(event) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no {count} {event}:\n{self._log_text()}")
            time.sleep(0.01)

    def _count(self, event: str) -> int:
        """Return how often an event was logged. Only what is new is read: the log of ten
        thousand vassals is large, and who measures must not be what is measured."""
        with (self.folder / "log").open("rb") as log:
            log.seek(self._read_to)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read_to += len(whole)
        self._events.update(_EVENT.findall(whole))
        return self._events[event.encode()]

    def _log_text(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]


class Uwsgi(Server):
    name = "uWSGI"

    def start(self) -> None:
        self._run("emperor", [str(BENCH_BIN / "uwsgi"), "--emperor", str(self.vassals)])

    def drop(self, app: Application) -> None:
        lines = [
            "[uwsgi]",
            "master = true",
            f"processes = {app.workers}",
            f"chdir = {self.folder}/apps",
            f"module = {app.module}:application",
            f"http-socket = {_plain(app.http)}",
            "disable-logging = true",
            # It closes after each answer but does not say so, and wrk would ask in vain again.
            "add-header = Connection: close",
            "vacuum = true",
            "need-app = true",
            "listen = 1024",  # our default too
        ]
        if app.uwsgi is not None:
            lines += [f"socket = {app.uwsgi}", "chmod-socket = 666"]
        if app.harakiri:
            lines.append(f"harakiri = {app.harakiri}")
        if app.version:
            lines.append(f"env = VERSION={app.version}")
        if os.geteuid() == 0:
            lines += ["uid = nobody", "gid = nogroup"]
        self._write(f"{app.name}.ini", "\n".join(lines) + "\n")

    def remove(self, app: Application) -> None:
        (self.vassals / f"{app.name}.ini").unlink()

    def supervisors(self) -> list[int]:
        return [self._processes["emperor"].pid]


class Gunicorn(Server):
    """Has no emperor: each application is a server of its own."""

    name = "gunicorn"

    def start(self) -> None:
        pass

    def drop(self, app: Application) -> None:
        options = ["--workers", str(app.workers), "--bind", _plain(app.http)]
        if app.harakiri:
            options += ["--timeout", str(app.harakiri)]
        chdir = ["--chdir", f"{self.folder}/apps"]
        target = f"{app.module}:application"
        self._run(app.name, [str(BENCH_BIN / "gunicorn"), *options, *chdir, target])

    def remove(self, app: Application) -> None:
        process = self._processes.pop(app.name)
        process.terminate()
        process.wait()

    def supervisors(self) -> list[int]:
        return []


def versions() -> dict[str, str]:
    """Return the version of every server, as it tells it itself."""
    commands = {
        "emperord": [str(EMPEROR), "version"],
        "uWSGI": [str(BENCH_BIN / "uwsgi"), "--version"],
        "gunicorn": [str(BENCH_BIN / "gunicorn"), "--version"],
    }
    return {
        name: subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        for name, command in commands.items()
    }


def _url(protocol: str, address: Address) -> str:
    if isinstance(address, str):
        return f"{protocol}+unix://{address}"
    return f"{protocol}://{address[0]}:{address[1]}"


def _plain(address: Address) -> str:
    if isinstance(address, str):
        return address
    return f"{address[0]}:{address[1]}"

"""The emperor of the virtual machine, from inside: drop, ask, kill, wait. For scenarios.

Standard library only: it runs in the guest's own Python. Emulation is some ten times slower
than the host, so waits are long and the clock proves little.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

VASSALS = Path("/etc/emperor/vassals")
APPS = Path("/srv/apps")
RUNTIME_DIR = Path("/run/emperor")
CGROUPS = Path("/sys/fs/cgroup")
UNIT = "emperor.service"
TENANTS = ("alice", "bob", "carol")
"""Users of the guest, for vassals to run as. Their homes are /srv/NAME."""

PATIENCE_S = 90.0

HELLO = """\
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"hello from {os.getpid()} {os.getuid()}".encode()]
"""


def wait_until(
    condition: Callable[[], T | None],
    timeout: float = PATIENCE_S,
    what: str = "",
    every: float = 0.1,
) -> T:
    """Return the first true value of `condition()`; fail the scenario after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition!r}; last: {value!r}")
        time.sleep(every)


def run(*words: str, check: bool = True, timeout: float = PATIENCE_S) -> str:
    """Run a command; return its output, errors included. `check`: it must exit with 0."""
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False
    )
    output = done.stdout.decode(errors="replace")
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{output}"
    return output


@dataclass(frozen=True)
class Answer:
    """What nginx answered; status 0 = there was no answer, and `body` says why."""

    status: int
    body: str


def get(host: str, path: str = "/", timeout: float = PATIENCE_S) -> Answer:
    """Ask nginx for a page of `host`."""
    request = urllib.request.Request(f"http://127.0.0.1{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return Answer(response.status, response.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode(errors="replace"))
    except OSError as error:
        return Answer(0, str(error))


class _Control(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self) -> None:
        super().__init__("emperor", timeout=10)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(RUNTIME_DIR / "control.sock"))


def ask_emperor(path: str) -> Any:
    """Return what GET `path` of the control API says; raise OSError while no brain answers.

    Not through `emperor status`: under emulation its start takes 1.6 s, and slows down what is
    waited for.
    """
    connection = _Control()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
    except http.client.HTTPException as error:  # the brain died in the middle of it
        raise ConnectionError(repr(error)) from error
    finally:
        connection.close()
    assert response.status == 200, f"GET {path}: {response.status}: {content!r}"
    return json.loads(content)


@dataclass(frozen=True)
class Process:
    pid: int
    ppid: int
    uid: int
    command: str


def processes() -> list[Process]:
    """Return all processes but the kernel's threads."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(
                line.split(":\t", 1) for line in (folder / "status").read_text().splitlines()
            )
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except (OSError, ValueError):
            continue  # it ended meanwhile
        if status["PPid"].strip() != "2" and folder.name != "2":
            uid = int(status["Uid"].split()[0])
            found.append(Process(int(folder.name), int(status["PPid"]), uid, command))
    return found


def cgroup_of(pid: int) -> Path:
    """Return the folder of the cgroup that a process is in."""
    [line] = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return CGROUPS / line.removeprefix("0::/")


def read_cgroup(folder: Path, name: str) -> str:
    """Return what a file of a cgroup says, like "memory.max"."""
    return (folder / name).read_text().strip()


def cgroup_numbers(folder: Path, name: str) -> dict[str, int]:
    """Return a flat keyed file of a cgroup, like "memory.events"."""
    return {
        key: int(value)
        for key, value in (line.split() for line in read_cgroup(folder, name).splitlines())
    }


@dataclass
class Load:
    """Requests one after the other, in a thread, and what became of them."""

    host: str
    answers: list[Answer] = field(default_factory=list)

    @property
    def failures(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]


class Machine:
    """The guest. The fixture `machine` gives one whose emperor runs and has no vassals."""

    # ── the unit ─────────────────────────────────────────────────────────────────────

    def systemctl(self, *words: str, check: bool = True, timeout: float = 2 * PATIENCE_S) -> str:
        """Run systemctl; return what it printed."""
        return run("systemctl", *words, check=check, timeout=timeout)

    def show(self, name: str, unit: str = UNIT) -> str:
        """Return one property of a unit, like "ActiveState" or "NRestarts"."""
        return self.systemctl("show", "--value", "--property", name, unit).strip()

    def is_active(self) -> bool:
        return self.show("ActiveState") == "active"

    def spawner_pid(self) -> int:
        """Return the main process of the unit; 0 = it is not running."""
        return int(self.show("MainPID"))

    def brain_pid(self) -> int:
        """Return the pid of the brain that answers now; 0 = none does."""
        status = self.try_status()
        return int(status["emperor"]["pid"]) if status else 0

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def journal(self, unit: str = UNIT, lines: int = 200) -> str:
        """Return the end of a unit's journal of this boot."""
        return run(
            "journalctl", "--boot", "--no-pager", "--quiet", f"--unit={unit}", f"--lines={lines}"
        )

    @contextmanager
    def drop_in(self, text: str) -> Iterator[None]:
        """Have systemd read `text` after the unit's own file; it counts from the next start."""
        path = Path(f"/run/systemd/system/{UNIT}.d/scenario.conf")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.systemctl("daemon-reload")
        try:
            yield
        finally:
            path.unlink()
            self.systemctl("daemon-reload")

    # ── vassals ──────────────────────────────────────────────────────────────────────

    def app(self, name: str, source: str = HELLO) -> None:
        """Write an application that every vassal can name: APPS/NAME.py."""
        APPS.mkdir(mode=0o755, exist_ok=True)
        (APPS / f"{name}.py").write_text(source)

    def drop(self, name: str, app: str = "hello:application", **keys: Any) -> None:
        """Drop a vassal that nginx serves as NAME.example. Tables are given as dicts:
        drop("blog", user="alice", limits={"memory_max": "64M"}). The file appears at once."""
        settings = {
            "app": app,
            "directory": str(APPS),
            "listen": [f"uwsgi+unix://{RUNTIME_DIR}/{name}.sock"],
            "hosts": [f"{name}.example"],
            "user": "alice",
            "socket": {"group": "www-data"},
            **keys,
        }
        if not (APPS / "hello.py").exists():
            self.app("hello")
        new = VASSALS / f".{name}.new"
        new.write_text(toml(settings))
        new.rename(VASSALS / f"{name}.toml")

    def remove(self, name: str) -> None:
        """Remove the vassal's file."""
        (VASSALS / f"{name}.toml").unlink()

    def emperor(self, *words: str, check: bool = True) -> str:
        """Run a command of `emperor`; return what it printed."""
        return run("emperor", *words, check=check)

    def status(self) -> dict[str, Any]:
        """Return what `emperor status --json` says, by the same control API."""
        answer: dict[str, Any] = ask_emperor("/v1/status")
        return answer

    def try_status(self) -> dict[str, Any] | None:
        """Return the status, or None while no brain answers."""
        try:
            return self.status()
        except OSError:
            return None

    def vassal(self, name: str) -> dict[str, Any] | None:
        """Return one vassal's status; None while there is no such vassal, or no brain."""
        status = self.try_status()
        vassals = status["vassals"] if status else []
        return next((vassal for vassal in vassals if vassal["name"] == name), None)

    def wait_state(self, name: str, state: str, timeout: float = PATIENCE_S) -> dict[str, Any]:
        """Return the vassal's status once it is in `state`."""

        def there() -> dict[str, Any] | None:
            vassal = self.vassal(name)
            return vassal if vassal and vassal["state"] == state else None

        try:
            return wait_until(there, timeout, f"{name} is {state}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.vassal(name), indent=1)}") from None

    def wait_served(self, name: str, timeout: float = PATIENCE_S) -> str:
        """Return the page of NAME.example once nginx has it."""
        return wait_until(
            lambda: ((answer := get(f"{name}.example")).status == 200 and answer.body) or None,
            timeout,
            f"{name} is served",
        )

    def wait_gone(self, name: str, timeout: float = PATIENCE_S) -> None:
        """Return once no such vassal is known any more, nor runs."""
        wait_until(
            lambda: (
                (status := self.try_status()) is not None
                and all(vassal["name"] != name for vassal in status["vassals"])
            ),
            timeout,
            f"{name} is gone",
        )

    def explain(self, name: str) -> dict[str, Any]:
        """Return what `emperor explain --json` says: limits, what comes next, why."""
        answer: dict[str, Any] = ask_emperor(f"/v1/vassals/{name}/explain")
        return answer

    @contextmanager
    def load(self, name: str) -> Iterator[Load]:
        """Ask for NAME.example in a thread, one request after the other, inside the block."""
        load = Load(f"{name}.example")
        end = threading.Event()

        def ask() -> None:
            while not end.is_set():
                load.answers.append(get(load.host))
                end.wait(0.02)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield load
        finally:
            end.set()
            thread.join()

    # ── before each scenario ─────────────────────────────────────────────────────────

    def make_clean(self) -> None:
        """Come to an emperor that runs and has no vassals."""
        for path in VASSALS.iterdir():
            path.unlink()
        self.systemctl("reset-failed")
        if not self.is_active():
            self.systemctl("start", UNIT)

        def is_empty() -> bool:
            status = self.try_status()
            return status is not None and not status["vassals"]

        wait_until(is_empty, 2 * PATIENCE_S, "no vassals")


def toml(settings: dict[str, Any]) -> str:
    """Return settings as TOML; what is a dict becomes a table."""
    lines = [
        f"{key} = {_value(value)}"
        for key, value in settings.items()
        if value is not None and not isinstance(value, dict)
    ]
    for name, table in settings.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{_key(key)} = {_value(v)}" for key, v in table.items())]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(v)}" for key, v in value.items()) + " }"
    # JSON's text, numbers, true, false and lists are TOML's.
    return json.dumps(value)

"""A real emperor over a folder of its own, as the tests drive it."""

import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.wait import wait_until

HELLO = """
import os, sys, time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/spin":
        while True:
            pass
    if path.startswith("/sleep/"):
        time.sleep(float(path.rpartition("/")[2]))
    if path == "/exit":
        os._exit(3)
    body = ("%s %d" % (VERSION, os.getpid())).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]

VERSION = "one"
"""


UNCONFINED = """[sandbox]
private_tmp = false
private_devices = false
protect_system = "no"
protect_home = "no"
landlock = false
"""
"""For applications that the test lets see a place of the host."""


class Emperor:
    """One emperor: its folders, its process, and what a client sees of it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.vassals = base / "vassals"
        self.apps = base / "apps"
        self.runtime_dir = base / "run"
        self.log_file = base / "emperor.log"
        self.config_file: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.program = [sys.executable, "-m", "emperor"]
        self.environ: dict[str, str] = {}
        self._seconds = itertools.count(1)
        for folder in (self.vassals, self.apps):
            folder.mkdir()
            folder.chmod(0o755)

    # ── files ────────────────────────────────────────────────────────────────────────

    def app(self, module: str, source: str = HELLO, **replace: str) -> None:
        """Write an application; `replace` substitutes words of the source."""
        for old, new in replace.items():
            source = source.replace(old, new)
        path = self.apps / f"{module}.py"
        path.write_text(source)
        path.chmod(0o644)
        # Python takes cached bytecode for new if size and second are those of the source.
        second = next(self._seconds)
        os.utime(path, (second, second))

    def drop(self, name: str, app: str = "hello:application", text: str = "", **keys: Any) -> int:
        """Write a vassal file with an HTTP listener on a free port; return the port.

        It appears by rename, as a careful control panel does it.
        """
        port = int(keys.pop("port", 0)) or free_port()
        values = {
            "app": app,
            "directory": str(self.apps),
            "listen": [f"http://127.0.0.1:{port}"],
            **keys,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        new = self.base / f".{name}.new"
        new.write_text("\n".join(lines) + "\n" + text)
        new.rename(self.vassals / f"{name}.toml")
        return port

    def remove(self, name: str) -> None:
        (self.vassals / f"{name}.toml").unlink()

    # ── the process ──────────────────────────────────────────────────────────────────

    def start(self, *more: str) -> None:
        """Start the emperor and wait until its control socket answers."""
        self.spawn(*more)
        wait_until(self.answers, 20.0, f"emperor answers; its log:\n{self.log()}")

    def spawn(self, *more: str) -> None:
        """Start the emperor and do not wait."""
        words = ["run", "--runtime-dir", str(self.runtime_dir)]
        if self.config_file is not None:
            words += ["--config", str(self.config_file)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.program, *words, str(self.vassals), *more],
                cwd="/",  # where there is no code to be taken for that of `program`
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environ},
            )

    @property
    def pid(self) -> int:
        """The spawner's pid."""
        assert self.process is not None
        return self.process.pid

    def serve(self, name: str = "blog", **keys: Any) -> int:
        """Start with one vassal, of `HELLO`; return its port when it is ready."""
        self.app("hello")
        port = self.drop(name, **keys)
        self.start()
        self.wait_state(name, "ready")
        return port

    def stop(self, timeout: float = 20.0) -> int:
        """SIGTERM; return the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the emperor exited:\n{self.log()}")
        try:
            self.status()
        except OSError:
            return False
        return True

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def vassal_log(self, name: str) -> str:
        path = self.runtime_dir / "log" / name / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # ── the control API ──────────────────────────────────────────────────────────────

    def ask(self, method: str, path: str) -> tuple[int, Any]:
        """Return (status, decoded JSON) of a control request."""
        connection = http.client.HTTPConnection("emperor", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        try:
            connection.sock.connect(str(self.runtime_dir / "control.sock"))
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        code, found = self.ask("GET", "/v1/status")
        assert code == 200, found
        status: dict[str, Any] = found
        return status

    def vassal(self, name: str) -> dict[str, Any]:
        """Return one vassal's status; {} when there is none."""
        status, found = self.ask("GET", f"/v1/vassals/{name}")
        return found if status == 200 else {}

    def unsupported(self, name: str) -> dict[str, str]:
        """Return what status says is not, or not fully, applied: reasons by key."""
        return {one["key"]: one["reason"] for one in self.vassal(name)["unsupported"]}

    def state_of(self, name: str) -> str:
        """Return the vassal's state; "" while nobody answers."""
        try:
            return str(self.vassal(name).get("state", ""))
        except OSError:
            return ""

    def do(self, action: str, name: str) -> tuple[int, Any]:
        return self.ask("POST", f"/v1/vassals/{name}/{action}")

    def wait_state(self, name: str, state: str, timeout: float = 15.0) -> dict[str, Any]:
        """Wait until the vassal is in `state`; return its status."""
        seen: dict[str, Any] = {}

        def there() -> bool:
            try:
                seen.update(self.vassal(name) or {"state": "none"})
            except OSError:
                return False
            # A master that did not answer in time shows no workers.
            return bool(seen.get("state") == state and (state != "ready" or seen.get("workers")))

        try:
            wait_until(there, timeout, f"{name} {state}")
        except AssertionError:
            raise AssertionError(
                f"{name} is {seen.get('state')}, not {state}; {seen.get('last_failure')}\n"
                f"{self.log()}\n{self.vassal_log(name)}"
            ) from None
        return seen

    @property
    def brain_pid(self) -> int:
        return int(self.status()["emperor"]["pid"])

    def kill_brain(self, signum: int = signal.SIGKILL) -> int:
        """Signal the brain; return its pid."""
        pid = self.brain_pid
        os.kill(pid, signum)
        return pid

    def wait_new_brain(self, old: int, timeout: float = 10.0) -> None:
        def new() -> bool:
            try:
                return self.brain_pid != old
            except OSError:
                return False

        wait_until(new, timeout, "a new brain")


@contextmanager
def emperor_over(prefix: str = "emp-") -> Iterator[Emperor]:
    """Yield an emperor's folders, not yet started; on leaving stop it and remove them."""
    base = Path(tempfile.mkdtemp(prefix=prefix))
    base.chmod(0o755)
    one = Emperor(base)
    try:
        yield one
    except BaseException:
        print(one.log())
        raise
    finally:
        if one.process is not None and one.process.poll() is None:
            one.process.terminate()
            try:
                one.process.wait(20)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
        shutil.rmtree(base, ignore_errors=True)


def get(port: int, path: str = "/", timeout: float = 10.0) -> tuple[int, bytes]:
    """Return (status, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def asked_all_the_time(port: int) -> Iterator[list[tuple[int, bytes]]]:
    """Ask without a pause from two threads; the answers are complete on leaving."""
    answers: list[tuple[int, bytes]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(get(port))
            except OSError as error:
                answers.append((0, str(error).encode()))

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield answers
    finally:
        stop.set()
        for client in clients:
            client.join(20)

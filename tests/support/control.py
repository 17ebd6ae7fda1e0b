"""A control API with a Steering of the test's own, served from a thread."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from emperor.brain.eventstream import EventStream, Subscription
from emperor.control.client import ControlClient
from emperor.control.connections import CLIENT_TIMEOUT_S
from emperor.control.server import ControlServer
from emperor.logfmt import Log
from emperor.status import (
    AppliedLimit,
    CurrentRequest,
    EmperorStatus,
    Event,
    Explanation,
    NotPossible,
    Status,
    UnknownVassal,
    VassalState,
    VassalStatus,
    WorkerStatus,
)
from tests.support.need import need_open_checkout

NOBODY = 65534
REPOSITORY = Path(__file__).parents[2]


class FakeSteering:
    """An emperor that only remembers. `owners` says which vassals exist, and whose they are."""

    def __init__(self, owners: dict[str, int], logs: Path) -> None:
        self.owners = owners
        self.logs = logs
        self.steered: list[tuple[str, str]] = []
        self.stream = EventStream()
        self.steering_takes_s = 0.0
        self.status_fails = False
        self.padding = ""

    async def status(self) -> Status:
        if self.status_fails:
            raise ZeroDivisionError("a fault in the brain")
        emperor = EmperorStatus(
            pid=os.getpid(),
            spawner_pid=os.getppid(),
            version="0.1",
            since=1.0,
            mode="root",
            directories=("/etc/emperor/vassals",),
            errors=("secret.toml:1: app: is missing; write app = …",),
        )
        vassals = [await self.vassal(name) for name in self.names()]
        return Status(emperor=emperor, vassals=tuple(vassals))

    async def vassal(self, name: str) -> VassalStatus:
        self.owner_uid(name)
        current = CurrentRequest(method="GET", uri="/report\x1b[2J", seconds=1.5)
        worker = WorkerStatus(
            slot=0,
            pid=812,
            state="busy",
            requests=12,
            exceptions=0,
            harakiris=1,
            rss_bytes=50 * 2**20,
            since=1.0,
            current=current,
        )
        return VassalStatus(
            name=name,
            state=VassalState.READY,
            config=f"/etc/emperor/vassals/{name}.toml{self.padding}",
            user="nobody",
            workers=(worker,),
        )

    def names(self) -> tuple[str, ...]:
        return tuple(self.owners)

    def is_now(self, name: str) -> str:
        return name

    def owner_uid(self, name: str) -> int:
        if name not in self.owners:
            raise UnknownVassal(name)
        return self.owners[name]

    async def reload(self, name: str) -> str:
        return await self._steer("reload", name)

    async def rollback(self, name: str) -> str:
        return await self._steer("rollback", name)

    async def renew(self, name: str) -> str:
        return await self._steer("renew", name)

    async def reopen(self, name: str) -> str:
        return await self._steer("reopen", name)

    async def upgrade(self) -> str:
        return await self._steer("upgrade", "")

    async def restart(self, name: str) -> str:
        return await self._steer("restart", name)

    async def passed_on(self, name: str) -> None:
        pass

    async def stop(self, name: str) -> str:
        return await self._steer("stop", name)

    async def start(self, name: str) -> str:
        raise NotPossible(f"{name} runs already; to replace it, reload it")

    async def _steer(self, action: str, name: str) -> str:
        await asyncio.sleep(self.steering_takes_s)
        self.steered.append((action, name))
        return f"{action} of {name} was begun"

    async def explain(self, name: str) -> Explanation:
        self.owner_uid(name)
        return Explanation(
            name=name,
            desired="running",
            actual="ready",
            next_action="none",
            why="all is as wanted",
            limits=(AppliedLimit(key="memory_max", value="256M", outcome="applied"),),
        )

    def events(self) -> Subscription:
        return self.stream.subscribe()

    def open_log(self, name: str) -> BinaryIO:
        try:
            return (self.logs / f"{name}.log").open("rb")
        except FileNotFoundError:
            raise NotPossible(f"{name} has written nothing yet") from None


class Served:
    """A running control server. `do` runs something in its event loop."""

    def __init__(self, steering: FakeSteering, runtime_dir: Path) -> None:
        self.steering = steering
        self.runtime_dir = runtime_dir
        self.socket = runtime_dir / "control.sock"
        self.client = ControlClient(runtime_dir, timeout_s=10)
        self.log_file = runtime_dir / "emperor.log"
        self._loop: asyncio.AbstractEventLoop | None = None

    def do(self, function: Callable[[], Any]) -> Any:
        """Run `function` in the server's thread; return what it returned."""

        async def call() -> Any:
            return function()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def publish(self, event: str, vassal: str | None) -> None:
        self.do(lambda: self.steering.stream.publish(Event(at=1.0, event=event, vassal=vassal)))

    def listeners(self) -> int:
        """Return how many subscriptions to events there are."""
        return int(self.do(lambda: self.steering.stream.listeners))

    async def serve(self, client_timeout_s: float, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        fd = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        server = ControlServer(self.steering, self.runtime_dir, Log(fd), client_timeout_s)
        try:
            await server.start()
            ready.set()
            await self._stopping.wait()
            await server.stop()
        finally:
            ready.set()
            os.close(fd)

    def stop(self) -> None:
        self.do(self._stopping.set)


@contextmanager
def served(
    runtime_dir: Path, owners: dict[str, int], client_timeout_s: float = CLIENT_TIMEOUT_S
) -> Iterator[Served]:
    """Serve a control API in `runtime_dir`; on leaving, stop it and remove its log."""
    one = Served(FakeSteering(owners, runtime_dir), runtime_dir)
    ready = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(one.serve(client_timeout_s, ready)), daemon=True
    )
    thread.start()
    assert ready.wait(10)
    try:
        yield one
    finally:
        one.stop()
        thread.join(10)
        assert not thread.is_alive(), "the control server does not stop"
        one.log_file.unlink()


def curl(
    served_at: Served, path: str, *options: str, user: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run curl against the control socket, as `user` if given; the status ends the output."""
    return subprocess.run(
        ["curl", "-sS", "-m", "10", "-w", "\n%{http_code}", "--unix-socket", str(served_at.socket)]
        + [*options, f"http://emperor{path}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        **_as_user(user),
    )


def emperor(
    *words: str, environ: dict[str, str] | None = None, user: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own."""
    if user is not None:
        need_open_checkout()
    return subprocess.run(
        emperor_command(*words),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=REPOSITORY,
        env={"PATH": os.defpath, **(environ or {})},
        **_as_user(user),
    )


def emperor_command(*words: str) -> list[str]:
    """Return the words that start the command line."""
    return [sys.executable, "-m", "emperor", *words]


def _as_user(user: int | None) -> dict[str, Any]:
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}

"""`emperor serve` over the folders of a test's emperor."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.emperor import Emperor
from tests.support.ports import free_port
from tests.support.processes import alive, children, pid_tree
from tests.support.wait import wait_until


class Served:
    """A running `emperor serve`; its output goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_ready(self, count: int = 1) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log()
            return self.log().count("event=ready") >= count

        wait_until(ready, what="it is ready")

    def worker_pids(self) -> set[int]:
        """Return the pids of the master's children, the mold left out."""
        found = []
        for pid in children(self.process.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
                if Path(f"/proc/{pid}/comm").read_text().startswith("worker"):
                    found.append(pid)
        return set(found)

    def stop(self, signum: int = signal.SIGTERM) -> tuple[int, float]:
        """Signal it; return its exit status and how long it took to go."""
        began = time.monotonic()
        self.process.send_signal(signum)
        return self.process.wait(20), time.monotonic() - began


@contextmanager
def served(
    emperor: Emperor, *options: str, app: str = "hello:application", **popen: Any
) -> Iterator[Served]:
    """Run `emperor serve` with an HTTP listener for the time of a with block.

    Of the fixture's emperor only the folders are used.
    """
    port = free_port()
    command = [sys.executable, "-m", "emperor", "serve", app]
    command += ["--listen", f"http://127.0.0.1:{port}", "--directory", str(emperor.apps), *options]
    log = emperor.base / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **popen
        )
    try:
        yield Served(process, port, log)
    finally:
        tree = [process.pid, *pid_tree(process.pid)]
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        wait_until(lambda: not [pid for pid in tree if alive(pid)], 5.0, "all are gone")

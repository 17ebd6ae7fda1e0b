"""Threads that run requests. The main thread reads heads and hands whole requests over."""

from __future__ import annotations

import os
from _queue import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

    from .connection import Connection
    from .runner import Runner
    from .wire.request import Request

    Job = Tuple[Connection, Request]


class Pool:
    """One thread per runner. What they finish is taken back by the main thread.

    `wake_fd` is written to when something was finished while the main thread may sleep.
    """

    def __init__(self, runners: list[Runner], wake_fd: int):
        # Only here: a worker without threads does not need the module.
        from threading import Thread

        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._done: SimpleQueue[tuple[Connection, str]] = SimpleQueue()
        self._wake_fd = wake_fd
        self._threads = len(runners)
        self.running = 0  # requests handed over and not yet taken back
        for number, runner in enumerate(runners):
            # Daemons: a thread that hangs must not keep the process from exiting.
            Thread(
                target=self._work, args=(runner,), name="worker-%d" % number, daemon=True
            ).start()

    @property
    def is_full(self) -> bool:
        """Whether every thread is busy."""
        return self.running >= self._threads

    def submit(self, connection: Connection, request: Request) -> None:
        """Let the next free thread serve this request."""
        self.running += 1
        self._jobs.put((connection, request))

    def take_done(self) -> list[tuple[Connection, str]]:
        """Return the connections that were served, each with what becomes of it."""
        done = []
        while not self._done.empty():
            done.append(self._done.get())
        self.running -= len(done)
        return done

    def _work(self, runner: Runner) -> None:
        runner.guard.adopt()
        while True:
            connection, request = self._jobs.get()
            outcome = runner.run(connection, request)
            self._done.put((connection, outcome))
            del connection, request
            try:
                os.write(self._wake_fd, b"\0")
            except BlockingIOError:
                pass  # full of wake-ups

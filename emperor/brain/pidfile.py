"""Keeps the file with the pid of the emperor's main process: the spawner's, which outlives us."""

import os
from collections.abc import Callable

from emperor.config.resolve import problem_with_place
from vassal.master.pidfile import PidFile


class EmperorPidFile:
    """At most one file. It stays for the next brain, unless it is removed."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._file = PidFile(lambda path, error: complain(f"{path}: {error}"))

    def keep(self, path: str | None) -> None:
        """Let `path` be the file from now on, None = none; an earlier one goes."""
        problem = problem_with_place(path, "pidfile") if path is not None else ""
        if problem:
            self._complain(problem)
        self._file.keep("" if path is None or problem else path, os.getppid())

    def remove(self) -> None:
        """Remove the file, unless it is another's by now."""
        self._file.remove()

"""Why something did not work, as who saw it tells who reads it. Pure."""

import msgspec


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why something that was tried did not work; what an admin reads at 3 a.m.

    `kind` is one of FAILURE_KINDS; `at` is Unix time, for display only.
    """

    kind: str
    message: str
    at: float = 0.0
    exit_status: int | None = None
    signal: int | None = None
    traceback: str = ""
    output: str = ""


FAILURE_KINDS = {
    "config": "the file is wrong",
    "birth": "the master could not be confined as asked",
    "exec": "the interpreter could not be started",
    "load": "the application could not be loaded",
    "spawn-timeout": "loading took longer than spawn_timeout",
    "hook": "a command of exec_start_pre or exec_start_post failed",
    "health": "the health probe was not answered as expected",
    "crash": "a process died that was not told to",
    "harakiri": "a request ran longer than harakiri",
    "memory": "the kernel killed a worker because memory_max was reached",
    "listen": "a socket could not be bound",
}
DETERMINISTIC_KINDS = frozenset({"config", "birth", "exec", "load"})
"""Trying again without a change cannot help: such a failure parks the vassal."""

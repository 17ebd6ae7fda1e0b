"""Running a function in a forked child, whatever it does to itself."""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any


def run_forked(function: Callable[[], Any], fork: Callable[[], int] = os.fork) -> Any:
    """Return what `function()` returned in a child, through JSON; fail the test if it raised."""
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        _answer(function, writer)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    assert answer, "the child ended without an answer"
    result = json.loads(answer)
    if "error" in result:
        raise AssertionError(f"in the child: {result['error']}")
    return result["value"]


def _answer(function: Callable[[], Any], writer: int) -> None:
    try:
        try:
            result = {"value": function()}
        except BaseException:
            result = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(result).encode())
    finally:
        os._exit(0)

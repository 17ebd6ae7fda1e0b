"""Reads the files that commands are given."""

import time

from emperor.config.problems import Problem
from emperor.config.read import Changing, Found, Missing, read_file

_TRIES = 20
_AGAIN_S = 0.05


def read_settled(directory: str, file_name: str, may_be_empty: bool = False) -> Found:
    """Return what is in a file, once nobody writes it any more."""
    for _ in range(_TRIES):
        found = read_file(directory, file_name, may_be_empty)
        if not isinstance(found, Changing):
            return found
        time.sleep(_AGAIN_S)
    return Changing()


def file_problem(path: str, found: Found, what: str = "a vassal file") -> Problem:
    """Return why a file, which should be `what`, cannot be had."""
    if isinstance(found, Missing):
        return problem_of(path, "does not exist", f"write the path of {what}")
    reason = getattr(found, "reason", "is being written all the time; wait until it is complete")
    problem, _, remedy = reason.partition("; ")
    line = getattr(found, "line", 1)
    return problem_of(path, problem, remedy or "make it readable", line)


def problem_of(path: str, problem: str, remedy: str, line: int = 1) -> Problem:
    """Return a problem of a file as a whole."""
    return Problem(file=path, line=line, key="file", problem=problem, remedy=remedy)

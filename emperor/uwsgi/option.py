"""What a file in uWSGI's dialect says, after all its rules: options in their order. Pure."""

from typing import NamedTuple


class Option(NamedTuple):
    """One option as uWSGI would apply it: expanded, in the order of application.

    `value` is text, empty for a bare key; `file` and `line` (from 1) are where it was written.
    """

    name: str
    value: str
    file: str
    line: int


class Written(NamedTuple):
    """One option as one file has it. `line` counts from 1."""

    name: str
    value: str
    line: int


class Unreadable(ValueError):
    """The text of a file is not of its dialect; `remedy` says what to write."""

    def __init__(self, line: int, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.line = line
        self.problem = problem
        self.remedy = remedy

"""What a parser without rights wants to know of the machine, as values. Pure.

It is run with the answers that are known; when one is missing it says which, and is run again.
"""

from collections.abc import Mapping
from typing import NoReturn

import msgspec

from emperor.uwsgi.host import Host, Kind

PATH_MAX = 4096


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`what` is the name of a method of Host, `path` its argument."""

    what: str
    path: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the method returned, in the field of its type."""

    question: Question
    data: bytes | None = None
    kind: Kind = Kind.NOTHING
    real: tuple[str, int] = ("", 0)
    paths: tuple[str, ...] = ()


class Needed(Exception):
    """This question has no answer yet."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.path)
        self.question = question


class AnsweredHost:
    """A Host that knows what it was told. Its methods raise Needed for anything else."""

    def __init__(self, answers: Mapping[Question, Answer]) -> None:
        self._answers = answers

    def read(self, path: str) -> bytes | None:
        return self._look_up("read", path).data

    def kind(self, path: str) -> Kind:
        return self._look_up("kind", path).kind

    def real_path(self, path: str) -> tuple[str, int]:
        return self._look_up("real_path", path).real

    def glob(self, pattern: str) -> list[str]:
        return list(self._look_up("glob", pattern).paths)

    def _look_up(self, what: str, path: str) -> Answer:
        question = Question(what=what, path=path)
        answer = self._answers.get(question)
        return answer if answer is not None else _miss(question)


def _miss(question: Question) -> NoReturn:
    raise Needed(question)


def answer(host: Host, question: Question) -> Answer | None:
    """Return the machine's answer; None for what is no question, of whoever asked it."""
    path = question.path
    if not path.startswith("/") or len(path) > PATH_MAX or "\0" in path:
        return None
    if question.what == "read":
        return Answer(question=question, data=host.read(path))
    if question.what == "kind":
        return Answer(question=question, kind=host.kind(path))
    if question.what == "real_path":
        return Answer(question=question, real=host.real_path(path))
    if question.what == "glob":
        return Answer(question=question, paths=tuple(host.glob(path)))
    return None

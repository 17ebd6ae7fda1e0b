"""What the emperor and its parser say to each other: one request, one answer. Pure.

The answer comes from a process that has read a tenant's bytes: it is believed only
where it is what this side would have concluded itself.
"""

from typing import Union

import msgspec

from emperor.config.document import Document
from emperor.config.keys import VASSAL_KEYS
from emperor.config.policy import NO_PLAN, choose
from emperor.config.problems import PROBLEMS_MAX, ConfigError, Problem, dotted, printable
from emperor.config.settings import (
    OPTIONS_BYTES_MAX,
    PROVIDER,
    REMARKS_MAX,
    EmperorSettings,
    Owner,
    VassalSettings,
)
from emperor.config.vassal_file import beyond, grant_of, settle, written
from emperor.uwsgi.host import Facts
from emperor.uwsgi.questions import Answer, Question

REQUEST_BYTES_MAX = 1024 * 1024
ANSWER_BYTES_MAX = 1024 * 1024

LINES_MAX = REQUEST_BYTES_MAX

_WORDS_MAX = 500
"""Longest part of a problem that is shown."""

STARTED = b"+"
"""First byte of every answer: the parser was born. Without it there was none."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One file to parse; the fields are load_vassal's arguments.

    `facts` are there for a file in uWSGI's dialect, with all `answers` that it has got yet. With
    `keys` it is only asked where in the file these are: dotted ones, of which something is wrong.
    """

    name: str
    text: str
    file: str
    folder: str
    emperor: EmperorSettings
    owner: Owner = PROVIDER
    facts: Facts | None = None
    answers: tuple[Answer, ...] = ()
    keys: tuple[str, ...] = ()


class Parsed(msgspec.Struct, frozen=True, kw_only=True, tag="parsed"):
    settings: VassalSettings


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    problems: tuple[Problem, ...]


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """It depends on something else: to be asked again with the answer."""

    question: Question


class Located(msgspec.Struct, frozen=True, kw_only=True, tag="located"):
    """Lines from 1, of those keys that were asked for and are in the file."""

    lines: dict[str, int]


Result = VassalSettings | ConfigError | Question | Located


class NoAnswer(ValueError):
    """The bytes are no answer to the request."""


_request_decoder = msgspec.json.Decoder(Request)
_answer_decoder: "msgspec.json.Decoder[Parsed | Refused | Asked | Located]" = msgspec.json.Decoder(
    Union[Parsed, Refused, Asked, Located]  # noqa: UP007 - msgspec's types want the old form
)


def encode_request(request: Request) -> bytes:
    """Return the bytes of a request."""
    return msgspec.json.encode(request)


def decode_request(data: bytes) -> Request:
    """Return the request; it comes from the emperor, who is trusted."""
    return _request_decoder.decode(data)


def encode_answer(result: Result) -> bytes:
    """Return the bytes of an answer."""
    if isinstance(result, Located):
        return msgspec.json.encode(result)
    if isinstance(result, Question):
        return msgspec.json.encode(Asked(question=result))
    if isinstance(result, ConfigError):
        return msgspec.json.encode(Refused(problems=result.problems))
    return msgspec.json.encode(Parsed(settings=result))


def decode_answer(data: bytes, request: Request) -> Result:
    """Return what the parser found, checked; raise NoAnswer. A question is not checked."""
    if len(data) > ANSWER_BYTES_MAX:
        raise NoAnswer(f"{len(data)} bytes are too many")
    try:
        answer = _answer_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer(str(error)) from error
    if isinstance(answer, Asked):
        if request.facts is None:
            raise NoAnswer("a question")
        return answer.question
    if isinstance(answer, Refused):
        return _checked_problems(answer.problems, request)
    if isinstance(answer, Located):
        return _checked_lines(answer, request)
    if request.keys:
        raise NoAnswer("settings, which were not asked for")
    return _checked_settings(answer.settings, request)


def _checked_problems(problems: tuple[Problem, ...], request: Request) -> ConfigError:
    if not 1 <= len(problems) <= PROBLEMS_MAX + 1:
        raise NoAnswer(f"{len(problems)} problems")
    read = (answer.question.path for answer in request.answers)
    files = {request.file, request.emperor.file, *read}
    if any(problem.file not in files or problem.line < 1 for problem in problems):
        raise NoAnswer("a problem of another file")
    return ConfigError(
        Problem(
            file=problem.file,
            line=problem.line,
            key=printable(problem.key[:_WORDS_MAX]),
            problem=printable(problem.problem[:_WORDS_MAX]),
            remedy=printable(problem.remedy[:_WORDS_MAX]),
        )
        for problem in problems
    )


def _checked_lines(found: Located, request: Request) -> Located:
    """Return what can be lines of the keys that were asked for."""
    if not found.lines.keys() <= set(request.keys):
        raise NoAnswer("lines of other keys")
    if any(not 1 <= line <= LINES_MAX for line in found.lines.values()):
        raise NoAnswer("lines that no file has")
    return found


def _checked_settings(settings: VassalSettings, request: Request) -> VassalSettings:
    """Return `settings` if our own parsers, given the same values, come to the same."""
    if settings.name != request.name:
        raise NoAnswer("settings of another vassal")
    values = written(settings)
    values.pop("plan", None)  # its values are among the others
    again = settle(request.name, Document(request.file, values), request.folder, EmperorSettings())
    if isinstance(again, ConfigError):
        raise NoAnswer(f"illegal settings: {again.problems[0]}")
    _check_remarks(settings)
    _check_options(settings, request)
    believed = msgspec.structs.replace(
        again,
        plan=settings.plan,
        written=settings.written,
        remarks=settings.remarks,
        uwsgi_options=settings.uwsgi_options,
    )
    if believed != settings:
        raise NoAnswer("inconsistent settings")
    _check_granted(settings, request)
    return settings


def _check_remarks(settings: VassalSettings) -> None:
    """Raise NoAnswer for what would spoil a terminal, or fill a memory."""
    words = [text for remark in settings.remarks for text in (remark.key, remark.reason)]
    if len(settings.remarks) > REMARKS_MAX or any(
        len(text) > _WORDS_MAX or not text.isprintable() for text in words
    ):
        raise NoAnswer("remarks that nobody would make")


def _check_options(settings: VassalSettings, request: Request) -> None:
    """Raise NoAnswer for more than a message has room for, or for a file that has no options."""
    size = sum(len(word.encode()) for pair in settings.uwsgi_options for word in pair)
    if size > OPTIONS_BYTES_MAX or (settings.uwsgi_options and request.facts is None):
        raise NoAnswer("options that nobody would read")


def _check_granted(settings: VassalSettings, request: Request) -> None:
    """Raise NoAnswer for more than the owner may have, or for keys that nobody wrote."""
    asked = settings.plan if settings.plan is not None else NO_PLAN
    choice = choose(asked, settings.user, request.emperor, request.owner)
    grant = grant_of(request.emperor, choice)
    if choice.plan != settings.plan:
        raise NoAnswer("a plan that the file may not have")
    if not grant.written <= settings.written | _WITHOUT_WORD or not settings.written <= set(
        VASSAL_KEYS
    ):
        raise NoAnswer("unknown keys")
    if request.owner.tenant:
        found = beyond(settings, request.emperor, choice)
        if found:
            raise NoAnswer(f"{dotted(found[0].path)}: {found[0].problem}")


_WITHOUT_WORD = frozenset({"sandbox.landlock", "sandbox.private_network"})
"""Keys that a file can unsay: landlock = "auto", network = "host"."""

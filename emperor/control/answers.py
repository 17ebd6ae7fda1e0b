"""The shapes of the control API's answers: JSON, and errors that say what to do."""

import msgspec
from aiohttp import web


class ApiError(Exception):
    """A request that cannot be done: an HTTP status, what is wrong, and what to do."""

    def __init__(self, status: int, what: str, remedy: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.remedy = remedy


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    remedy: str


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer with a status of 400 and above."""

    error: ErrorBody


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the answer to reload, restart, stop and start: one sentence."""

    begun: str


def encode(value: object) -> bytes:
    """Return `value` as one line of JSON, newline included, whatever text is in it.

    File names and outputs may hold bytes that are no UTF-8, which Python keeps as lone
    surrogates and msgspec refuses. They appear escaped, as in \\udcff.
    """
    try:
        return msgspec.json.encode(value) + b"\n"
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(msgspec.to_builtins(value))) + b"\n"


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(element) for element in value]
    return value


def json_answer(value: object, status: int = 200) -> web.Response:
    """Return `value` as the answer; the newline is for people who use curl."""
    return web.Response(status=status, body=encode(value), content_type="application/json")


def error_answer(error: ApiError) -> web.Response:
    """Return `error` as the answer to a request."""
    body = ErrorAnswer(error=ErrorBody(what=error.what, remedy=error.remedy))
    return json_answer(body, error.status)


def unknown_vassal(name: str) -> ApiError:
    """Return the one answer for names that do not exist and names of other tenants."""
    return ApiError(404, f"no vassal {name[:200]!r}", "Run: emperor status")

"""Where a uWSGI file has its log, and which requests are in it. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from emperor.config.problems import quoted
from emperor.config.values import resolved
from emperor.uwsgi.draft import Draft, Taken
from emperor.uwsgi.rows import Support
from emperor.uwsgi.values import truth
from vassal.runtime import log_format

_FILES = ("logto2", "daemonize2", "daemonize", "logto")
"""Options that name a log file; the first of them that is there counts."""

_STANDARD = ("/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/proc/self/fd/2")
_LOGGER = re.compile(r"(?:(\S+)\s+)?([a-z]+)(?::(.*))?")
_SMALLEST = 4096
_CTIME = "%a %b %e %H:%M:%S %Y"
_ONLY_SOME = (
    "log-4xx",
    "log-5xx",
    "log-zero",
    "log-slow",
    "log-big",
    "log-sendfile",
    "log-ioerror",
)


def put_log(draft: Draft, folder: str) -> None:
    """Set where the log goes. uWSGI opens it before chdir: a relative path is the folder's."""
    files = [taken for name in _FILES if (taken := draft.last(name)) is not None]
    loggers = [(taken, _target(draft, taken, folder)) for taken in draft.all("logger")]
    loggers += [(taken, _Logger("journal")) for taken in draft.all("log-syslog")]
    chosen = _put_first(draft, "log.target", loggers, "there is one log: the first logger's")
    for taken in files:
        if chosen is not None:
            draft.overruled(taken, chosen)
        elif _is_remote(taken.value):
            draft.remark(taken, Support.UNSUPPORTED, "write logger = syslog: the journal can send")
        else:
            chosen = taken
            draft.put("log.target", _path(taken.value, folder), taken)
    size = draft.last("log-maxsize")
    most = draft.number(size)
    if size is not None and most:
        draft.put("log.max_size", max(most, _SMALLEST), size)
    elif size is not None and most == 0:
        draft.remark(size, Support.IGNORED, "0 is no size")
    _put_requests(draft, folder)
    _put_date(draft)


def _put_first(
    draft: Draft, key: str, loggers: Sequence[tuple[Taken, "_Logger | None"]], others: str
) -> Taken | None:
    """Set `key` to the first logger's target; return its option, None = there is none."""
    chosen: Taken | None = None
    for taken, logger in loggers:
        if logger is None:
            continue
        if chosen is not None:
            draft.remark(taken, Support.IGNORED, others)
            continue
        chosen = taken
        draft.put(key, logger.target, taken)
        if logger.size is not None and draft.last("log-maxsize") is None:
            most = draft.number(taken._replace(option=taken.option._replace(value=logger.size)))
            if most:
                draft.put("log.max_size", max(most, _SMALLEST), taken)
    return chosen


def _put_requests(draft: Draft, folder: str) -> None:
    """Set where lines about requests go, which without `logger` leave the others where they are."""
    loggers = draft.all("req-logger", "logger-req")
    if draft.is_on("disable-logging") and not any(map(draft.all, _CONDITIONS)):
        for taken in loggers:
            draft.remark(taken, Support.IGNORED, "no request is in the log")
        return
    found = [(taken, _target(draft, taken, folder)) for taken in loggers]
    _put_first(draft, "log.requests", found, "requests go to one log: the first req-logger's")


def _put_date(draft: Draft) -> None:
    """Set what is before lines of uWSGI's own, and of uwsgi.log(): no others have it."""
    taken = draft.last("log-date", "logdate", "log-prefix")
    if taken is None:
        return
    word = taken.value.strip().lower()
    if word in ("false", "off", "no", "0"):
        draft.remark(taken, Support.IGNORED, "off; uWSGI takes the word for a format")
    else:
        form = _CTIME if word in ("", "1", "true", "on", "yes") else taken.value
        draft.put("log.date", f"{form} -", taken)


def _is_remote(value: str) -> bool:
    return ":" in value and "/" not in value


def _path(value: str, folder: str) -> str:
    return "inherit" if value in _STANDARD else resolved(value, folder)


class _Logger(NamedTuple):
    """Where a logger writes, and how large it lets that grow; None = it says nothing."""

    target: str
    size: str | None = None


def _target(draft: Draft, taken: Taken, folder: str) -> _Logger | None:
    """Return where a logger, `[NAME ]KIND:ARGUMENT`, writes; None = nowhere that we know."""
    match = _LOGGER.fullmatch(taken.value.strip())
    if match is None:
        problem = f"{quoted(taken.value)} is no logger"
        draft.wrong(taken, problem, "write logger = file:/var/log/blog.log, or logger = syslog")
        return None
    _, kind, argument = match.groups()
    if kind == "file" and argument:
        parts = (part.split("=") for part in argument.split(","))
        named = {words[0]: words[1] for words in parts if len(words) == 2}
        return _Logger(_path(named.get("logfile", argument), folder), named.get("maxsize"))
    if kind == "syslog":
        return _Logger("journal")
    if kind == "stdio":
        return _Logger("inherit")
    text = "write logger = file:/var/log/blog.log, or logger = syslog: the journal can send"
    draft.remark(taken, Support.UNSUPPORTED, text)
    return None


def put_access_log(draft: Draft) -> None:
    """Set which requests are in the log, and in what form."""
    quiet = draft.last("disable-logging")
    form = draft.last("log-format", "logformat")
    off = quiet is not None and truth(quiet.value)
    parts: dict[str, object] = {}
    sources = [quiet] if quiet is not None and off else []
    for taken in draft.all(*_ONLY_SOME):
        if not off:
            draft.remark(taken, Support.SATISFIED, "every request is in the log")
        elif taken.name in _CONDITIONS:
            key = _CONDITIONS[taken.name]
            value = _slow(draft, taken) if key == "log_slow" else truth(taken.value)
            if value:
                parts[key] = value
                sources.append(taken)
            elif value is not None:
                draft.remark(taken, Support.IGNORED, "off")
        else:
            text = "write log-4xx, log-5xx or log-slow, or remove disable-logging"
            draft.remark(taken, Support.UNSUPPORTED, text)
    if quiet is not None and not off:
        draft.remark(quiet, Support.SATISFIED, "requests are in the log")
    if form is not None and (parts or not off):
        parts["format"] = _form(form.value)
        sources.append(form)
    elif form is not None:
        draft.remark(form, Support.IGNORED, "no request is in the log")
    if parts:
        draft.put("access_log", parts, *sources)
    elif off:
        draft.put("access_log", "off", *sources)


def _form(text: str) -> str:
    """Return the format; what is no variable of uWSGI's own the application may set."""
    return "".join(
        _variable(part) if is_variable else part for part, is_variable in log_format.split(text)
    )


def _variable(name: str) -> str:
    if log_format.is_known(name):
        return f"%({name})"
    return f"%({log_format.REMEMBERED}{name})" if name else "-"


def _slow(draft: Draft, taken: Taken) -> float | None:
    milliseconds = draft.number(taken)
    return None if milliseconds is None else milliseconds / 1000


_CONDITIONS = {"log-4xx": "log_4xx", "log-5xx": "log_5xx", "log-slow": "log_slow"}


def put_static(draft: Draft, base: str) -> None:
    """Set the folders whose files are served without the application."""
    found: dict[str, tuple[object, Taken]] = {}
    for taken in draft.all("static-map", "static-map2"):
        prefix, separator, place = taken.value.partition("=")
        prefix, place = prefix.strip(), place.strip()
        if separator and prefix and place and not prefix.startswith("/"):
            text = f"no path begins so: write {taken.name} = /{prefix}={place}"
            draft.remark(taken, Support.UNSUPPORTED, text)
        elif not separator or not prefix or not place:
            problem = f"{quoted(taken.value)} maps nothing"
            draft.wrong(taken, problem, "write static-map = /static=/srv/blog/static")
        elif prefix in found:
            draft.remark(taken, Support.IGNORED, f"{prefix} is mapped already")
        elif taken.name == "static-map2":
            # It appends the whole path of the request, prefix and all.
            found[prefix] = (resolved(place, base).rstrip("/") + prefix.rstrip("/"), taken)
        else:
            found[prefix] = (resolved(place, base), taken)
    if found:
        draft.put_table("static", found)
    checked = draft.all("check-static", "static-check")
    if checked:
        draft.put("check_static", [resolved(taken.value, base) for taken in checked], *checked)
    index = draft.all("static-index")
    if index:
        draft.put("static_index", [taken.value for taken in index], *index)

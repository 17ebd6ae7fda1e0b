"""The keys of a vassal's log. Pure."""

from functools import partial

from emperor.config import tightness as tight
from emperor.config import values
from emperor.config.access_log import ACCESS_LOG
from emperor.config.key import Key
from emperor.config.problems import Invalid, quoted
from emperor.config.schemas import PATHS, SIZE, TEXT, integer

LOG_WORDS = ("file", "journal", tight.EMPERORS_LOG)
DATE_CHARS_MAX = 64


def log_target(value: object) -> str:
    """Return "file", "journal", "inherit" or a path as written."""
    remedy = 'write "journal", "inherit", "file", or a path like "/var/log/blog.log"'
    if isinstance(value, str) and value not in LOG_WORDS and "/" not in value:
        raise Invalid(f"{quoted(value)} is no place for a log", remedy)
    return values.path_text(value) if value not in LOG_WORDS else str(value)


def log_date(value: object) -> str:
    """Return a format of strftime, or ""."""
    if value == "":
        return ""
    found = values.text(value, "a format", '"%Y-%m-%d %H:%M:%S"')
    if len(found) > DATE_CHARS_MAX or not found.isprintable():
        raise Invalid(f"{quoted(found)} is no date", f"write at most {DATE_CHARS_MAX} characters")
    return found


LOG_KEYS = (
    ACCESS_LOG,
    Key(
        "log.target",
        log_target,
        TEXT,
        'Where output goes: "file" (in the emperor\'s log_dir), "journal", a path, or "inherit":'
        " the emperor's own log, not for tenants.",
        '"file"',
        '"/srv/blog/log/app.log"',
        tight.LOG,
    ),
    Key(
        "log.requests",
        log_target,
        TEXT,
        "Where lines of access_log go, if not among the others; the same words as for target.",
        example='"/srv/blog/log/access.log"',
        rule=tight.LOG,
    ),
    Key(
        "log.date",
        log_date,
        TEXT,
        "strftime format of the local time before lines of the emperor's and of uwsgi.log();"
        ' "" = UTC before the emperor\'s own, as in 2026-01-31T12:00:00Z.',
        '""',
        '"%Y-%m-%d %H:%M:%S"',
    ),
    Key(
        "log.max_size",
        partial(values.size, minimum=4096),
        SIZE,
        "A log file is rotated at this size.",
        '"10M"',
        '"100M"',
        rule=tight.AT_MOST,
    ),
    Key(
        "log.keep",
        partial(values.whole, minimum=0, maximum=100),
        integer(0, 100),
        "Rotated files to keep.",
        "3",
        "10",
        rule=tight.AT_MOST,
    ),
    Key(
        "log.rate",
        partial(values.number, minimum=1, maximum=1_000_000),
        {"type": "number", "minimum": 1, "maximum": 1_000_000},
        "Lines per second; what is more is dropped and counted.",
        "1000",
        "100",
        rule=tight.AT_MOST,
    ),
    Key(
        "log.touch_reopen",
        values.paths,
        PATHS,
        "When one of these files is touched, the log is opened anew: somebody has moved it away.",
        default="[]",
        example='["reopen.txt"]',
    ),
    Key(
        "log.touch_rotate",
        values.paths,
        PATHS,
        "When one of these files is touched, the log is rotated, whatever its size.",
        default="[]",
        example='["rotate.txt"]',
    ),
)

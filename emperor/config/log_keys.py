"""The keys of a vassal's log. Pure."""

from functools import partial

from emperor.config import tightness as tight
from emperor.config import values
from emperor.config.access_log import ACCESS_LOG
from emperor.config.key import Key
from emperor.config.problems import Invalid, quoted
from emperor.config.schemas import PATHS, SIZE, TEXT, integer

LOG_WORDS = ("file", "journal", "inherit")


def log_target(value: object) -> str:
    """Return "file", "journal", "inherit" or a path as written."""
    remedy = 'write "journal", "inherit", "file", or a path like "/var/log/blog.log"'
    if isinstance(value, str) and value not in LOG_WORDS and "/" not in value:
        raise Invalid(f"{quoted(value)} is no place for a log", remedy)
    return values.path_text(value) if value not in LOG_WORDS else str(value)


LOG_KEYS = (
    ACCESS_LOG,
    Key(
        "log.target",
        log_target,
        TEXT,
        'Where output goes: "file" (in the emperor\'s log_dir), "journal", "inherit" or a path.',
        '"file"',
        '"/srv/blog/log/app.log"',
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

"""The one table of everything that a vassal file can say. Pure.

The loader, "did you mean", the JSON Schema and the documentation are all made from it.
To add a key: one entry here, one field in settings.VassalSettings.
"""

from collections.abc import Mapping
from functools import partial

from emperor.config import directives, values
from emperor.config import tightness as tight
from emperor.config.application import application
from emperor.config.command_keys import COMMAND_KEYS
from emperor.config.health_keys import HEALTH_KEYS
from emperor.config.key import Key
from emperor.config.limits_keys import LIMITS_KEYS
from emperor.config.log_keys import LOG_KEYS
from emperor.config.network_keys import NETWORK_KEYS
from emperor.config.sandbox_keys import SANDBOX_KEYS
from emperor.config.schemas import (
    ACCOUNT,
    ENVIRONMENT,
    PATH,
    PATHS,
    TEXT,
    WORD,
    choice,
)
from emperor.config.serving_keys import SERVING_KEYS
from emperor.config.task_keys import TASK_KEYS
from emperor.config.worker_keys import WORKER_KEYS

_APPLICATION = (
    Key(
        "app",
        application,
        TEXT,
        "The WSGI application: MODULE:CALLABLE or FILE.py:CALLABLE, or a FACTORY(ARGUMENTS).",
        example='"blog.wsgi:application"',
    ),
    Key(
        "directory",
        values.path_text,
        PATH,
        "Working directory, on the import path. Default: the folder of this file.",
        example='"/srv/blog"',
    ),
    Key(
        "python",
        values.interpreter,
        PATH,
        "A virtualenv or an interpreter (CPython 3.9 or later). Default: the emperor's own.",
        example='"/srv/blog/.venv"',
    ),
    Key(
        "pythonpath",
        values.paths,
        PATHS,
        "More folders on the import path, before `directory`.",
        default="[]",
        example='["lib"]',
    ),
    Key(
        "env",
        values.environment,
        ENVIRONMENT,
        "Environment variables of the application.",
        default="{}",
        example='{ DJANGO_SETTINGS_MODULE = "blog.settings" }',
    ),
    Key(
        "user",
        values.account_name,
        ACCOUNT,
        "The account to run as. Default: the owner of a tenant's file, else default_user.",
        example='"blog"',
    ),
    Key(
        "group",
        values.account_name,
        ACCOUNT,
        "The group to run as. Default: the user's own.",
        example='"blog"',
    ),
    Key(
        "touch_reload",
        values.paths,
        PATHS,
        "Files that reload the vassal when they are touched.",
        default="[]",
        example='["reload.txt"]',
    ),
)

_POLICY = (
    Key(
        "plan",
        directives.word,
        WORD,
        'The plan of the emperor\'s file that is merged under this one; "none" = no plan.',
        "",
        '"small"',
    ),
    Key(
        "on_unsupported",
        partial(values.one_of, choices=("fail", "warn")),
        choice("fail", "warn"),
        "What a key of [limits] or [sandbox] that this machine cannot do leads to."
        ' Default: "fail" for keys that somebody wrote, "warn" for the others.',
        "",
        '"warn"',
        tight.ON_UNSUPPORTED,
    ),
)

VASSAL_KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        *_APPLICATION,
        *SERVING_KEYS,
        *COMMAND_KEYS,
        *TASK_KEYS,
        *_POLICY,
        *NETWORK_KEYS,
        *WORKER_KEYS,
        *LOG_KEYS,
        *HEALTH_KEYS,
        *LIMITS_KEYS,
        *SANDBOX_KEYS,
    )
}

REQUIRED = ("listen",)
ONE_OF = ("app", "mounts")
"""One of these is required too."""
NOT_IN_DEFAULTS = ("listen", "stats", "hosts", "pidfile", "fifo")
"""Two vassals cannot share these."""

DIRECTIVE_TABLES = ("limits.", "sandbox.")
"""In these tables a tenant may have what it has without a word, and tighten it."""


def is_directive(name: str) -> bool:
    """Return whether a dotted name is a key of [limits] or [sandbox]."""
    return name.startswith(DIRECTIVE_TABLES)


PLAN_KEYS: Mapping[str, Key] = {
    name: key for name, key in VASSAL_KEYS.items() if is_directive(name) or key.rule is not None
}
"""What a plan can say: directives, bounds of other keys, and where logs go."""

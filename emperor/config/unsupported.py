"""Decides whether a directive that this host cannot apply refuses the file. Pure.

By default what somebody wrote must be applied, and what is only a default may be missing:
status lists it either way.
"""

from collections.abc import Iterable

from emperor.config.keys import VASSAL_KEYS
from emperor.config.problems import Problem
from emperor.config.settings import VassalSettings
from limits.plan import Unsupported

_OTHER_NAMES = {"pid_namespace": "private_pids", "drop_capabilities": "capability_bounding_set"}
"""Names of steps that answer to a directive of another name."""


def key_of(step_key: str) -> str:
    """Return the dotted key of the vassal file that a step's key stands for, "" = none."""
    name = _OTHER_NAMES.get(step_key, step_key)
    for section in ("limits", "sandbox"):
        if f"{section}.{name}" in VASSAL_KEYS:
            return f"{section}.{name}"
    return ""


def refusals_of_unsupported(
    settings: VassalSettings, missing: Iterable[Unsupported], file: str
) -> list[Problem]:
    """Return the problems of a file that must not run without what is `missing`."""
    if settings.on_unsupported == "warn":
        return []
    found = {}
    for item in missing:
        key = key_of(item.key)
        if key and (settings.on_unsupported == "fail" or key in settings.written):
            found[key] = Problem(
                file=file,
                line=1,
                key=key,
                problem=f"is not possible on this host: {item.reason}",
                remedy='mend that, remove the key, or write on_unsupported = "warn"',
            )
    return list(found.values())

"""Which of the keys that somebody wrote this version does not apply. Pure.

Remove the module when [limits] and [sandbox] are applied: the applier says then what it
could not do.
"""

from emperor.config.keys import VASSAL_KEYS, is_directive
from emperor.config.settings import VassalSettings

_ALWAYS = ("sandbox.no_new_privileges",)


def not_applied(settings: VassalSettings) -> tuple[str, ...]:
    """Return the written keys that are checked and not applied, in the table's order."""
    return tuple(
        name
        for name in VASSAL_KEYS
        if name in settings.written
        and is_directive(name)
        and not name.startswith("limits.limit_")
        and name not in _ALWAYS
    )

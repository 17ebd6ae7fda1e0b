"""What the brain notes of a master when it is born, for a later brain. The spawner keeps it."""

import json

from emperor.brain.birth import Spec
from emperor.config.identity import UNKNOWN_UID
from emperor.core.reconcile import Desired


def memo_of(desired: Desired, spec: Spec, cgroup: str) -> str:
    """Return the memo of a master that is to be what is `desired`, in this cgroup."""
    return json.dumps(
        {
            "birth": desired.birth,
            "fingerprint": desired.fingerprint,
            "restart": desired.restart_serial,
            "limits": desired.limits,
            "path": spec.path,
            "uid": spec.identity.uid,
            "cgroup": cgroup,
        }
    )


def text_in_memo(memo: str, key: str) -> str:
    """Return what is noted under a key, "" if nothing is."""
    try:
        return str(json.loads(memo)[key])
    except (ValueError, KeyError, TypeError):
        return ""


def number_in_memo(memo: str, key: str) -> int:
    """Return the number that is noted under a key, 0 if none is."""
    text = text_in_memo(memo, key)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def path_in_memo(memo: str) -> str:
    """Return the path of the file that a master was started for; "" if it is not said."""
    return text_in_memo(memo, "path")


def uid_in_memo(memo: str) -> int:
    """Return as whom the processes below a master run."""
    uid = text_in_memo(memo, "uid")
    return int(uid) if uid.isdecimal() else UNKNOWN_UID

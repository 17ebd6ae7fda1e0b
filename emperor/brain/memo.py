"""What the brain notes of a master when it is born, for a later brain. The spawner keeps it."""

import json
import math

from emperor.brain.birth import Spec
from emperor.brain.roll import UNKNOWN_TERMS, EndTerms, terms_of
from emperor.config.identity import UNKNOWN_UID
from emperor.core.reconcile import Desired


def memo_of(desired: Desired, spec: Spec, cgroup: str) -> str:
    """Return the memo of a master that is to be what is `desired`, in this cgroup."""
    terms = terms_of(spec)
    return json.dumps(
        {
            "birth": desired.birth,
            "fingerprint": desired.fingerprint,
            "restart": desired.restart_serial,
            "limits": desired.limits,
            "path": spec.path,
            "uid": spec.identity.uid,
            "cgroup": cgroup,
            "stop_s": terms.stop_s,
            "clearing_s": terms.clearing_s,
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


def terms_in_memo(memo: str) -> EndTerms:
    """Return on which terms a master ends, as it was when it was born."""
    stop_s = _seconds(text_in_memo(memo, "stop_s"), UNKNOWN_TERMS.stop_s)
    return EndTerms(stop_s, _seconds(text_in_memo(memo, "clearing_s"), UNKNOWN_TERMS.clearing_s))


def _seconds(text: str, unknown: float) -> float:
    try:
        found = float(text)
    except ValueError:
        return unknown
    return found if math.isfinite(found) and found >= 0 else unknown

"""Where an emperor has its things when nobody says otherwise. Pure."""

from collections.abc import Mapping
from typing import NamedTuple


class Places(NamedTuple):
    """Where things are when nobody says otherwise."""

    runtime_dir: str
    log_dir: str
    state_dir: str


def default_places(uid: int, environ: Mapping[str, str]) -> Places:
    """Return the places for an emperor that runs as `uid` in this environment."""
    if uid == 0:
        return Places("/run/emperor", "/var/log/emperor", "/var/lib/emperor")
    home = environ.get("HOME") or "/"
    state = environ.get("XDG_STATE_HOME") or f"{home.rstrip('/')}/.local/state"
    # Never a fixed name in /tmp: somebody else may have made it first.
    runtime = environ.get("XDG_RUNTIME_DIR") or ""
    if not runtime.startswith("/"):
        runtime = f"{state}/run"
    return Places(f"{runtime}/emperor", f"{state}/emperor/log", f"{state}/emperor/state")

"""Chooses the runtime directory: where the emperor of these commands is. Pure."""

from collections.abc import Mapping
from pathlib import Path

from emperor.cli.errors import UsageError

VARIABLE = "EMPEROR_RUNTIME_DIR"
SYSTEM_DIR = Path("/run/emperor")


def named_runtime_dir(option: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the directory that the user named, by option or environment, if any."""
    return option or environ.get(VARIABLE) or None


def default_runtime_dir(environ: Mapping[str, str], euid: int) -> Path:
    """Return the directory for users who named none; raise UsageError if there is none."""
    if euid == 0:
        return SYSTEM_DIR
    base = environ.get("XDG_RUNTIME_DIR", "")
    if not base.startswith("/"):
        # Not /tmp: whoever comes first could put a socket of their own there.
        raise UsageError(
            "which emperor? XDG_RUNTIME_DIR is not set, so there is no default. "
            f"Write --runtime-dir DIR or set {VARIABLE}; the system's emperor is in {SYSTEM_DIR}"
        )
    return Path(base, "emperor")


def runtime_dir(option: str | None, environ: Mapping[str, str], euid: int) -> Path:
    """Return the directory to look for the control socket in; raise UsageError."""
    named = named_runtime_dir(option, environ)
    return Path(named) if named else default_runtime_dir(environ, euid)

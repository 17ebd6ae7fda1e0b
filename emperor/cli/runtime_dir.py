"""Chooses the runtime directory: where the emperor of these commands is. Pure."""

from collections.abc import Mapping
from pathlib import Path

from emperor.config.default_places import default_places

VARIABLE = "EMPEROR_RUNTIME_DIR"


def named_runtime_dir(option: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the directory that the user named, by option or environment, if any."""
    return option or environ.get(VARIABLE) or None


def default_runtime_dir(environ: Mapping[str, str], euid: int) -> Path:
    """Return the directory for users who named none: that of an emperor which they start so."""
    return Path(default_places(euid, environ).runtime_dir)


def runtime_dir(option: str | None, environ: Mapping[str, str], euid: int) -> Path:
    """Return the directory to look for the control socket in."""
    named = named_runtime_dir(option, environ)
    return Path(named) if named else default_runtime_dir(environ, euid)

"""The CPythons that vassals may run in, as far as this machine has them."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.need import need

SUPPORTED = tuple(f"3.{minor}" for minor in range(9, 15))
SYSTEM = "system"
"""Debian's own, whatever its version."""

_NEWEST = Path(__file__).parents[2] / ".cache" / "python3.14" / "usr" / "bin" / "python3.14"


def need_interpreter(version: str) -> str:
    """Return the path of an interpreter; skip or fail without it. CI has all of them, but most are
    in root's home, where an ordinary user may not look."""
    found = interpreters().get(version, "")
    if not found and os.environ.get("EMPEROR_TEST_ROOTLESS") == "1":
        pytest.skip(f"needs CPython {version}")
    need(found, f"needs CPython {version}")
    return found


def interpreters() -> dict[str, str]:
    """Return the paths of all that this machine has, one of each minor version, by version."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    may_enter = os.access(home.parent, os.X_OK)  # the CI's user may not enter root's home
    found = {SYSTEM: "/usr/bin/python3", _NEWEST.name.removeprefix("python"): str(_NEWEST)}
    for version in SUPPORTED:
        for path in sorted(home.glob(f"versions/{version}.*/bin/python3")) if may_enter else ():
            found[version] = str(path)
        if not Path(found.get(version, "/")).is_file() and (
            which := shutil.which(f"python{version}")
        ):
            found[version] = which
    return {name: path for name, path in found.items() if Path(path).is_file()}

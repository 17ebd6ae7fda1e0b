"""A copy of the code, to run an emperor of it that is of another version, or has a fault."""

import shutil
import sysconfig
import venv
from pathlib import Path

from tests.support.control import REPOSITORY


def installed(base: Path) -> tuple[Path, str]:
    """Install a copy of the code below `base`; return where it is and its interpreter."""
    code = base / "code"
    for package in ("emperor", "vassal", "limits"):
        shutil.copytree(
            REPOSITORY / package, code / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    venv.create(base / "venv", symlinks=True)
    [packages] = (base / "venv" / "lib").glob("*/site-packages")
    # What it needs is where our own interpreter has it.
    (packages / "code.pth").write_text(f"{code}\n{sysconfig.get_path('purelib')}\n")
    return code, str(base / "venv" / "bin" / "python")


def change(path: Path, old: str, new: str) -> None:
    """Replace a text that there must be."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

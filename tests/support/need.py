"""What a test needs of the machine: missing, it skips on a laptop and fails in CI.

CI=true promises a machine with everything. EMPEROR_TEST_ROOTLESS=1 marks the run in which an
ordinary user is meant, so that only what needs root is left out there.
"""

import os
import shutil
from pathlib import Path

import pytest


def need(condition: object, reason: str) -> None:
    """Go on if `condition` is true; else skip the test, or fail it in CI."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI lacks what this test needs: {reason}", pytrace=False)
    pytest.skip(reason)


def need_root() -> None:
    """Go on as root; skip as an ordinary user, which in CI must be the rootless run."""
    if os.geteuid() != 0 and os.environ.get("EMPEROR_TEST_ROOTLESS") == "1":
        pytest.skip("needs root")
    need(os.geteuid() == 0, "needs root")


def need_user() -> None:
    """Go on as an ordinary user; skip as root. The rootless run covers it in CI."""
    if os.geteuid() == 0:
        pytest.skip("needs an ordinary user")


def need_open_checkout() -> None:
    """Go on if other users may come to our virtualenvs, as they may not below /root."""
    checkout = Path(__file__).resolve().parents[2]
    closed = [str(path) for path in (checkout, *checkout.parents) if not path.stat().st_mode & 1]
    need(os.geteuid() != 0 or not closed, f"other users may not enter {', '.join(closed)}")


def need_tenant_venv() -> Path:
    """Return the virtualenv of tests/support/tenant-requirements.txt, for any user."""
    venv = Path(__file__).resolve().parents[2] / ".venv-tenant"
    need((venv / "bin" / "python").exists(), "needs .venv-tenant: packaging/dev/setup.sh tenant")
    need_open_checkout()
    return venv


def need_program(name: str) -> str:
    """Return the path of a program, /usr/sbin included; skip or fail without it."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    need(path, f"needs the program {name}")
    assert path is not None
    return path

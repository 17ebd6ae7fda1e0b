"""What a test needs of the machine: missing, it skips on a laptop and fails in CI.

CI=true promises a machine with everything. EMPEROR_TEST_ROOTLESS=1 marks the run in which an
ordinary user is meant, so that only what needs root is left out there.
"""

import os
import shutil

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


def need_program(name: str) -> str:
    """Return the path of a program, /usr/sbin included; skip or fail without it."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    need(path, f"needs the program {name}")
    assert path is not None
    return path

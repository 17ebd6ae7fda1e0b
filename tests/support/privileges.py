"""Skipping what this machine cannot do, except in CI, where it must."""

import os

import pytest


def require(condition: bool, reason: str) -> None:
    """Skip the test with `reason` when the condition is false; fail it in CI."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must be able to run this: {reason}")
    pytest.skip(reason)


def require_root() -> None:
    """Skip the test when we are not root; fail it in CI."""
    require(os.geteuid() == 0, "needs root")

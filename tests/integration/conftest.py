"""What tests of this folder start from."""

from collections.abc import Iterator

import pytest

from limits import pidns
from limits.facts import probe
from tests.support.born import Place
from tests.support.forked import run_forked
from tests.support.need import need, need_root


@pytest.fixture
def confinable() -> None:
    """Let a test begin only where processes can have a root and namespaces of their own."""
    need_root()
    need(probe().mount_api, "needs the mount calls of Linux 5.12")
    need(run_forked(pidns.can_fork_in_new_pid_namespace), "cannot create PID namespaces")


@pytest.fixture
def place(confinable: None, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Yield what a vassal may have and what it may not; the parameter is the folder it is in."""
    made = Place(getattr(request, "param", "/srv"))
    yield made
    made.remove()

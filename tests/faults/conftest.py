"""What the tests of this folder start from."""

from collections.abc import Iterator

import pytest

from tests.support.emperor import Emperor
from tests.support.fuse import FallingSilent
from tests.support.need import need_root
from tests.support.site import Site


@pytest.fixture
def site(emperor: Emperor) -> Site:
    """Return a vassal that serves and can be asked in every way."""
    one = Site(emperor)
    one.drop()
    emperor.start()
    emperor.wait_state("blog", "ready")
    return one


@pytest.fixture
def remote() -> Iterator[FallingSilent]:
    """Yield a mounted folder, still empty, whose server can stop answering."""
    need_root()
    with FallingSilent() as one:
        yield one

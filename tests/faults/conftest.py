"""What the tests of this folder start from."""

import pytest

from tests.support.emperor import Emperor
from tests.support.site import Site


@pytest.fixture
def site(emperor: Emperor) -> Site:
    """Return a vassal that serves and can be asked in every way."""
    one = Site(emperor)
    one.drop()
    emperor.start()
    emperor.wait_state("blog", "ready")
    return one

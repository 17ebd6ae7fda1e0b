"""What is told of a vassal when its master does not answer."""

from emperor.brain.views import Confined, vassal_status
from emperor.core.registry import Vassal
from emperor.status import VassalState


def shown(vassal: Vassal) -> int:
    return vassal_status(vassal, None, "", None, {}, Confined(), (), None, 5.0, 9.0).generation


def test_a_generation_that_was_begun_is_not_said_to_serve() -> None:
    # `emperor reload --wait` would take a failed deploy for a good one.
    ready = Vassal(name="blog", state=VassalState.READY, generation=3, serving="b", attempted="b")
    failed = Vassal(name="blog", state=VassalState.READY, generation=4, serving="b", attempted="c")
    assert shown(ready) == 3
    assert shown(failed) == 0

"""What is told of a vassal when its master does not answer."""

import msgspec

from emperor.brain.views import Confined, reload_waits_for, vassal_status
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


def test_reload_that_has_to_wait_is_not_said_to_have_begun() -> None:
    serving = Vassal(name="blog", state=VassalState.READY, token="t", birth="b", serving="b")
    hung = msgspec.structs.replace(serving, replace_at=7.0)
    adopted = msgspec.structs.replace(serving, birth=None)
    assert reload_waits_for(serving, waits_for_room=False) == ""
    assert "spawn_concurrency" in reload_waits_for(serving, waits_for_room=True)
    assert "no sign of life" in reload_waits_for(hung, waits_for_room=False)
    assert "to say what it runs" in reload_waits_for(adopted, waits_for_room=False)

"""No master is lost, whatever happens between two decisions about its vassal."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from emperor.status import VassalState
from tests.support.world import HAPPENINGS, World

S = VassalState


@settings(max_examples=400, deadline=None)
@example(["obey", "ready", "silence", "obey", "the master dies"])
@example(["obey", "ready", "rebirth", "obey", "the master dies", "the file goes", "obey"])
@example(["obey", "ready", "rebirth", "obey", "the master dies", "stop", "obey", "obey"])
@given(st.lists(st.one_of(st.just("obey"), st.sampled_from(HAPPENINGS)), max_size=80))
def test_no_master_is_lost_and_in_the_end_there_is_what_is_wanted(happenings: list[str]) -> None:
    world = World()
    for what in happenings:
        world.happen(what)
        world.check()

    world.come_to_rest()
    wanted, vassal = world.wanted, world.vassal
    assert wanted is not None
    assert world.is_content()
    if vassal.state is S.DORMANT:
        assert wanted.on_demand
        assert not world.alive
        return
    assert vassal.state is S.READY, vassal
    assert (vassal.serving, vassal.birth) == (wanted.fingerprint, wanted.birth)
    assert world.alive == {vassal.token}

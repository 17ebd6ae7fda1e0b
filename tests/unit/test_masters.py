"""What the brain sends to masters that do not read it."""

from typing import Any

import pytest

from emperor.brain.links import ChannelFull
from emperor.brain.masters import Masters
from vassal.messages import Resume


class Full:
    def send(self, *_: Any) -> None:
        raise ChannelFull("20000 messages unread")


def test_one_that_reads_nothing_costs_nobody_else_anything_but_a_start_is_told_of() -> None:
    masters = Masters(lambda *_: None, lambda *_: None)
    masters._links["t"] = Full()  # type: ignore[assignment]
    masters.send("t", Resume())
    masters.ping(["t"])
    assert masters.silent == {"t"}
    with pytest.raises(ChannelFull):
        masters.must_send("t", Resume())

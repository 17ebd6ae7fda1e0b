"""What is told of folders that a vassal serves from and does not see, where Landlock hides them."""

import pytest

from emperor.brain.unseen import unseen
from emperor.config.settings import VassalSettings
from limits.confinement import Confinement
from limits.facts import HostFacts
from limits.landlock import ABI_MIN, LandlockRules
from limits.layout import Layout

RULES = LandlockRules(hidden=("/etc/emperor", "/home"), visible=("/etc/emperor/apps",))
LAYOUT = Layout(birth=Confinement(), workload=Confinement(landlock=RULES))
SETTINGS = VassalSettings(
    name="blog",
    app="a:b",
    directory="/srv",
    listen=(),
    static={"/a": "/etc/emperor/apps/a", "/b": "/etc/emperor/b", "/c": "/srv/c"},
    mounts={"/d": "/etc/emperor/d.py:d", "/e": "e:e"},
)


def facts_with(abi: int) -> HostFacts:
    return HostFacts(uids=(1, 1, 1), gids=(1, 1, 1), landlock_abi=abi)


@pytest.mark.parametrize("by_tenant", [False, True])
def test_nearest_rule_decides_what_is_told(by_tenant: bool) -> None:
    facts = facts_with(ABI_MIN)
    problems, remarks = unseen(SETTINGS, LAYOUT, facts, by_tenant, (), "blog.toml")
    assert [(one.key, one.reason) for one in remarks] == [
        (
            "static",
            "/etc/emperor/b is not seen: /etc/emperor is hidden by Landlock; "
            "keep it elsewhere, or hide less",
        )
    ]
    assert [one.key for one in problems] == ["mounts"]


def test_nothing_is_told_where_the_kernel_hides_nothing_or_that_is_said_already() -> None:
    none = facts_with(0)
    assert unseen(SETTINGS, LAYOUT, none, False, (), "blog.toml") == ([], ())
    facts = facts_with(ABI_MIN)
    withheld = ("/etc/emperor", "/etc/emperor/b")
    assert unseen(SETTINGS, LAYOUT, facts, True, withheld, "blog.toml") == ([], ())

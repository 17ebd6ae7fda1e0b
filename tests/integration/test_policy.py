"""Plans and owner policy in a running emperor: what a tenant's file may not have."""

import time

import pytest

from tests.support.emperor import HELLO, Emperor, get
from tests.support.need import need_root
from tests.support.processes import children
from tests.support.tenants import drop_as
from tests.support.wait import wait_until

POLICY = """
[plan.small]
workers = 2
on_unsupported = "warn"
[plan.small.limits]
memory_max = "256M"
[owner.games]
plan = "small"
customer = "acme"
max_vassals = 1
[customer.acme]
[customer.beta]
"""


@pytest.fixture(autouse=True)
def emperor_with_a_plan(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text(POLICY)
    emperor.start()


def refused(emperor: Emperor, name: str, words: str) -> bool:
    failure = emperor.vassal(name).get("last_failure")
    return failure is not None and words in failure["message"]


def test_tenant_that_asks_for_more_than_its_plan_is_refused_and_the_old_version_runs(
    emperor: Emperor,
) -> None:
    port = drop_as(emperor, "games", "blog")
    status = emperor.wait_state("blog", "ready")
    assert len(status["workers"]) == 2
    limits = {
        row["key"]: row for row in emperor.ask("GET", "/v1/vassals/blog/explain")[1]["limits"]
    }
    assert limits["limits.memory_max"]["value"] == '"256M"'
    assert limits["limits.slice"]["value"] == '"acme"'
    drop_as(emperor, "games", "blog", port=port, workers=3)
    wait_until(
        lambda: refused(
            emperor,
            "blog",
            'blog.toml:4: workers: 3 is more than plan "small" grants, 2; write at most 2',
        ),
        10.0,
        "the file is refused",
    )
    assert get(port)[0] == 200
    assert len(emperor.vassal("blog")["workers"]) == 2


def test_owner_with_as_many_vassals_as_it_may_have_gets_no_other(emperor: Emperor) -> None:
    drop_as(emperor, "games", "blog")
    emperor.wait_state("blog", "ready")
    drop_as(emperor, "games", "shop")
    wait_until(
        lambda: refused(emperor, "shop", '"games" has 1 vassals, and may have 1'),
        10.0,
        "the second is refused",
    )


def test_file_that_is_away_for_a_moment_makes_no_room_for_another(emperor: Emperor) -> None:
    drop_as(emperor, "games", "blog")
    emperor.wait_state("blog", "ready")
    (emperor.vassals / "blog.toml").rename(emperor.base / "between")
    drop_as(emperor, "games", "shop")
    time.sleep(0.03)
    (emperor.base / "between").rename(emperor.vassals / "blog.toml")
    # On a very busy machine it was away for longer: then there is room for the other one.
    names = ("blog", "shop")
    wait_until(lambda: any(refused(emperor, one, "may have 1") for one in names), 10.0, "a refusal")
    wait_until(lambda: len(children(emperor.pid)) == 2, 10.0, "the brain and one master")
    assert sorted(bool(emperor.vassal(one)["pid"]) for one in names) == [False, True]


def test_new_name_of_the_only_vassal_that_its_owner_may_have(emperor: Emperor) -> None:
    drop_as(emperor, "games", "blog")
    pid = emperor.wait_state("blog", "ready")["pid"]
    emperor.app("hello", "import time; time.sleep(0.5)\n" + HELLO)
    (emperor.vassals / "blog.toml").rename(emperor.vassals / "shop.toml")
    wait_until(lambda: emperor.vassal("shop").get("pid") == pid, 10.0, "it is the same vassal")
    emperor.wait_state("shop", "ready")
    assert "event=file_refused" not in emperor.log()
    assert "event=vassal_stopping" not in emperor.log()


def test_newcomer_does_not_get_the_place_of_one_that_is_renamed_meanwhile(emperor: Emperor) -> None:
    drop_as(emperor, "games", "blog")
    pid = emperor.wait_state("blog", "ready")["pid"]
    drop_as(emperor, "games", "another")
    wait_until(lambda: refused(emperor, "another", "may have 1"), 10.0, "it is one too many")
    (emperor.vassals / "another.toml").rename(emperor.base / "between")
    wait_until(lambda: not emperor.vassal("another"), 10.0, "it is gone")
    (emperor.vassals / "blog.toml").rename(emperor.vassals / "shop.toml")
    (emperor.base / "between").rename(emperor.vassals / "another.toml")  # read before shop
    wait_until(lambda: emperor.vassal("shop").get("pid") == pid, 10.0, "it is the same vassal")
    wait_until(lambda: refused(emperor, "another", "may have 1"), 10.0, "it is one too many")
    emperor.wait_state("shop", "ready")
    wait_until(lambda: len(children(emperor.pid)) == 2, 20.0, "the brain and one master")
    assert not emperor.vassal("another")["pid"]


def test_second_customer_of_a_uid_is_refused(emperor: Emperor) -> None:
    drop_as(emperor, "games", "blog")
    emperor.wait_state("blog", "ready")
    emperor.drop("shop", text='[limits]\nslice = "beta"\n', user="games")
    wait_until(
        lambda: refused(emperor, "shop", 'is customer "acme"\'s by blog'), 10.0, "it is refused"
    )


def test_file_that_names_a_customer_without_a_section_is_refused_and_the_old_version_runs(
    emperor: Emperor,
) -> None:
    port = emperor.drop("shop", text='[limits]\nslice = "beta"\n', user="games")
    emperor.wait_state("shop", "ready")
    emperor.drop("shop", text='[limits]\nslice = "bet"\n', user="games", port=port)
    wanted = 'shop.toml:6: limits.slice: there is no customer "bet"; did you mean "beta"?'
    wait_until(lambda: refused(emperor, "shop", wanted), 10.0, "it is refused")
    assert get(port)[0] == 200


def test_roots_file_may_exceed_the_plan_of_the_account_it_names(emperor: Emperor) -> None:
    emperor.drop("blog", user="games", workers=3)
    status = emperor.wait_state("blog", "ready")
    assert len(status["workers"]) == 3

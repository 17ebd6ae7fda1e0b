import pytest

from emperor.control.authorise import Caller, may_handle, may_see_event, visible_status
from emperor.control.connections import (
    CONNECTIONS_MAX,
    CONNECTIONS_PER_UID_MAX,
    CONNECTIONS_RESERVED,
    has_room,
)
from emperor.control.throttle import Throttle
from emperor.status import (
    EmperorStatus,
    Event,
    Status,
    UnknownVassal,
    VassalState,
    VassalStatus,
)

ROOT = Caller(0, emperor_uid=900)
EMPEROR = Caller(900, emperor_uid=900)
TENANT = Caller(1001, emperor_uid=900)
STRANGER = Caller(1002, emperor_uid=900)


def owner_of(name: str) -> int:
    owners = {"blog": 1001, "shop": 1002}
    if name not in owners:
        raise UnknownVassal(name)
    return owners[name]


@pytest.mark.parametrize(
    ("caller", "name", "allowed"),
    [
        (ROOT, "blog", True),
        (EMPEROR, "blog", True),
        (TENANT, "blog", True),
        (STRANGER, "blog", False),
        (TENANT, "shop", False),
        (ROOT, "nix", False),
        (TENANT, "nix", False),
    ],
)
def test_vassal_is_handled_by_its_owner_the_emperor_and_root_only(caller, name, allowed):
    assert may_handle(caller, name, owner_of) is allowed


def status_of(*names: str) -> Status:
    emperor = EmperorStatus(
        pid=2,
        spawner_pid=1,
        version="1",
        since=0,
        mode="root",
        directories=("/srv/a",),
        errors=("/srv/a/x.toml:1: app: is missing",),
    )
    vassals = [
        VassalStatus(name=name, state=VassalState.READY, config="", user="") for name in names
    ]
    return Status(emperor=emperor, vassals=tuple(vassals))


def test_trusted_caller_sees_the_whole_status():
    status = status_of("blog", "shop")
    assert visible_status(ROOT, status, owner_of) is status
    assert visible_status(EMPEROR, status, owner_of) is status


def test_tenant_sees_its_own_vassals_and_nothing_of_other_files():
    seen = visible_status(TENANT, status_of("blog", "shop", "removed"), owner_of)
    assert [vassal.name for vassal in seen.vassals] == ["blog"]
    assert seen.emperor.errors == ()
    assert seen.emperor.directories == ()
    assert seen.emperor.pid == 2


@pytest.mark.parametrize(
    ("event", "vassal", "seen"),
    [
        ("vassal_ready", "blog", True),
        ("vassal_ready", "shop", False),
        ("vassal_removed", "removed", False),
        ("emperor_started", None, False),
        ("events_lost", None, True),
    ],
)
def test_tenant_sees_events_of_its_own_vassals_only(event, vassal, seen):
    one = Event(at=0, event=event, vassal=vassal)
    assert may_see_event(TENANT, one, owner_of) is seen
    assert may_see_event(ROOT, one, owner_of)


def test_one_user_has_room_for_sixteen_connections():
    assert has_room(TENANT, {1001: CONNECTIONS_PER_UID_MAX - 1})
    assert not has_room(TENANT, {1001: CONNECTIONS_PER_UID_MAX})
    assert has_room(STRANGER, {1001: CONNECTIONS_PER_UID_MAX})


def test_last_connections_are_kept_for_trusted_callers():
    others = dict.fromkeys(range(5000, 5000 + CONNECTIONS_MAX - CONNECTIONS_RESERVED), 1)
    assert not has_room(TENANT, others)
    assert has_room(ROOT, others)
    assert has_room(EMPEROR, others)
    assert not has_room(ROOT, {**others, **dict.fromkeys(range(CONNECTIONS_RESERVED), 1)})


def test_burst_is_free_and_what_follows_waits_its_turn():
    throttle = Throttle(per_second=10, burst=3)
    assert [throttle.delay(1, now=100.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    assert throttle.delay(2, now=100.0) == 0, "users do not slow one another"
    assert throttle.delay(1, now=100.5) == 0, "the wait is over by then"


def test_long_silence_earns_no_more_than_one_burst():
    throttle = Throttle(per_second=10, burst=3)
    throttle.delay(1, now=0.0)
    assert [throttle.delay(1, now=1e6) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])

"""What is done so that what runs becomes what is wanted."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from emperor.core.reconcile import (
    Desired,
    ForgetVassal,
    GiveUpSuccessor,
    KillRetired,
    KillVassal,
    LimitVassal,
    ReloadVassal,
    SettleVassal,
    SleepVassal,
    StartVassal,
    StopVassal,
    SucceedVassal,
    decide,
    is_begun,
    is_behind,
    next_look,
    reconcile,
    stays,
    why_not_yet,
)
from emperor.core.registry import (
    RUNNING,
    Fact,
    Successor,
    Vassal,
    advance,
    fail,
    renamed,
    succeed,
    without_retired,
)
from emperor.core.restarts import RestartPolicy
from emperor.status import VassalState
from vassal.failure import Failure

S = VassalState
WANTED = Desired(fingerprint="v1", birth="b1", limits="l1")
READY = Vassal(
    name="blog",
    state=S.READY,
    token="t",
    pid=7,
    serving="v1",
    attempted="v1",
    birth="b1",
    limits="l1",
    ready_at=0.0,
)


def with_(vassal: Vassal, **changes: object) -> Vassal:
    from msgspec.structs import replace

    return replace(vassal, **changes)


def test_new_file_starts_its_vassal() -> None:
    assert reconcile({"blog": WANTED}, {}, 0.0, 4).actions == [StartVassal("blog")]


def test_running_as_wanted_needs_nothing() -> None:
    assert reconcile({"blog": WANTED}, {"blog": READY}, 0.0, 4).actions == []


def test_master_that_has_not_said_yet_what_it_is_stays_whatever_is_wanted() -> None:
    unknown = Vassal(name="blog", state=S.STARTING, token="t", pid=7, deadline=10.0)
    changed = Desired(fingerprint="v2", birth="b2", limits="l2", restart_serial=1)
    assert decide(changed, unknown, 9.0) is None
    assert decide(changed, unknown, 10.0) == KillVassal("blog")
    assert isinstance(decide(None, unknown, 0.0), StopVassal)


def test_changed_content_reloads() -> None:
    assert decide(Desired(fingerprint="v2", birth="b1", limits="l1"), READY, 0.0) == ReloadVassal(
        "blog"
    )


NEW_BIRTH = Desired(fingerprint="v2", birth="b2", limits="l1")
SUCCEEDING = msgspec.structs.replace(
    READY,
    state=S.RELOADING,
    attempted="v2",
    attempted_birth="b2",
    successor=Successor(token="s", pid=9, birth="b2", limits="l1", deadline=60.0),
)


def test_change_that_needs_a_new_master_builds_it_beside_the_one_that_serves() -> None:
    assert decide(NEW_BIRTH, READY, 0.0) == SucceedVassal("blog")
    assert decide(NEW_BIRTH, SUCCEEDING, 0.0) is None


def test_master_that_never_served_is_not_kept_for_its_successor() -> None:
    starting = with_(READY, state=S.STARTING, serving=None)
    assert isinstance(decide(NEW_BIRTH, starting, 0.0), StopVassal)


def test_successor_that_failed_is_not_tried_again_without_a_change() -> None:
    failed = with_(READY, attempted="v2", attempted_birth="b2")
    assert decide(NEW_BIRTH, failed, 0.0) is None
    changed = Desired(fingerprint="v3", birth="b2", limits="l1")
    assert decide(changed, failed, 0.0) == SucceedVassal("blog")


def test_successor_that_is_late_or_not_wanted_any_more_is_given_up() -> None:
    assert isinstance(decide(NEW_BIRTH, SUCCEEDING, 60.0), GiveUpSuccessor)
    assert isinstance(decide(WANTED, SUCCEEDING, 0.0), GiveUpSuccessor)
    assert next_look(SUCCEEDING) == 60.0


def test_reload_of_a_master_with_older_code_is_a_new_master() -> None:
    outdated = with_(READY, outdated=True)
    assert decide(WANTED, outdated, 0.0) is None
    reloaded = Desired(fingerprint="v2", birth="b1", limits="l1")
    assert decide(reloaded, outdated, 0.0) == SucceedVassal("blog")
    building = with_(outdated, state=S.RELOADING, attempted="v2", successor=SUCCEEDING.successor)
    assert decide(reloaded, building, 0.0) is None
    newer = Desired(fingerprint="v3", birth="b1", limits="l1")
    assert decide(newer, building, 0.0) == SucceedVassal("blog")
    assert isinstance(decide(WANTED, building, 0.0), GiveUpSuccessor)
    assert not succeed(building, "v2", 10.0, 40.0).outdated


def test_successor_takes_over_and_the_old_master_retires() -> None:
    after = succeed(SUCCEEDING, "v2", 10.0, 40.0)
    assert (after.token, after.pid, after.birth, after.serving) == ("s", 9, "b2", "v2")
    assert after.state is S.READY
    assert decide(NEW_BIRTH, after, 39.9) is None
    assert decide(NEW_BIRTH, after, 40.0) == KillRetired("blog", "t")
    assert next_look(after) == 40.0
    assert without_retired(after, "t").retiring == ()


def test_vassal_is_not_forgotten_while_an_old_master_finishes() -> None:
    after = succeed(SUCCEEDING, "v2", 10.0, 40.0)
    stopped = with_(after, state=S.STOPPED, token=None)
    assert decide(None, stopped, 11.0) is None
    assert decide(None, without_retired(stopped, "t"), 11.0) == ForgetVassal("blog")


def test_changed_limits_are_changed_before_a_new_generation_is_built() -> None:
    wanted = Desired(fingerprint="v2", birth="b1", limits="l2")
    assert decide(wanted, READY, 0.0) == LimitVassal("blog")
    assert decide(wanted, with_(READY, limits="l2"), 0.0) == ReloadVassal("blog")


def test_changed_limits_alone_need_no_generation() -> None:
    wanted = Desired(fingerprint="v1", birth="b1", limits="l2")
    assert decide(wanted, READY, 0.0) == LimitVassal("blog")
    assert decide(wanted, with_(READY, limits="l2"), 0.0) is None
    # Its master is not there yet: it is born into the limits of that moment.
    assert decide(wanted, with_(READY, state=S.STARTING, pid=0), 0.0) is None


def test_reload_that_failed_is_not_tried_again_without_a_change() -> None:
    failed = with_(READY, attempted="v2")
    assert decide(Desired(fingerprint="v2", birth="b1", limits="l1"), failed, 0.0) is None


def test_going_back_to_what_serves_after_a_failed_reload_needs_nothing() -> None:
    assert decide(WANTED, with_(READY, attempted="v2"), 0.0) is None


def test_reload_has_begun_when_it_was_tried_or_is_not_to_be() -> None:
    again = Desired(fingerprint="v2")
    assert not is_begun(again, READY)
    assert not is_begun(again, None)
    assert is_begun(again, with_(READY, state=S.RELOADING, attempted="v2"))
    assert is_begun(again, with_(READY, serving="v2"))
    assert is_begun(Desired(fingerprint="v2", run=False), READY)
    assert is_begun(Desired(fingerprint=None), READY)
    assert is_begun(None, READY)


def test_later_reload_supersedes_one_under_way() -> None:
    reloading = with_(READY, state=S.RELOADING, attempted="v2")
    assert decide(
        Desired(fingerprint="v3", birth="b1", limits="l1"), reloading, 0.0
    ) == ReloadVassal("blog")


def test_removed_file_stops_a_running_vassal_and_forgets_a_stopped_one() -> None:
    assert isinstance(decide(None, READY, 0.0), StopVassal)
    assert decide(None, Vassal(name="blog"), 0.0) == ForgetVassal("blog")
    assert decide(None, with_(READY, state=S.STOPPING, deadline=9.0), 0.0) is None


def test_vassal_whose_config_was_removed_is_killed_after_its_stop_deadline() -> None:
    stopping = with_(READY, state=S.STOPPING, deadline=10.0)
    assert decide(None, stopping, 9.999) is None
    assert decide(None, stopping, 10.0) == KillVassal("blog")


def test_removed_and_added_again_waits_for_the_old_master() -> None:
    stopping = with_(READY, state=S.STOPPING, deadline=10.0)
    assert decide(WANTED, stopping, 0.0) is None
    assert decide(WANTED, Vassal(name="blog"), 0.0) == StartVassal("blog")


def test_file_that_was_never_valid_starts_nothing() -> None:
    assert decide(Desired(fingerprint=None), Vassal(name="blog", state=S.PARKED), 0.0) is None


def test_backoff_waits_until_its_time() -> None:
    waiting = Vassal(name="blog", state=S.BACKOFF, attempted="v1", retry_at=5.0)
    assert decide(WANTED, waiting, 4.9) is None
    assert decide(WANTED, waiting, 5.0) == StartVassal("blog")


def test_fixed_file_starts_at_once_from_backoff_and_from_parking() -> None:
    for state in (S.BACKOFF, S.PARKED):
        vassal = Vassal(name="blog", state=state, attempted="v1", retry_at=99.0)
        changed = Desired(fingerprint="v2", birth="b1", limits="l1")
        assert decide(changed, vassal, 0.0) == StartVassal("blog")


def test_parked_vassal_stays_parked() -> None:
    parked = Vassal(name="blog", state=S.PARKED, attempted="v1")
    assert decide(WANTED, parked, 1e9) is None


def test_stop_by_hand_stops_and_then_settles() -> None:
    held = Desired(fingerprint="v1", birth="b1", run=False)
    assert isinstance(decide(held, READY, 0.0), StopVassal)
    assert decide(held, Vassal(name="blog"), 0.0) is None
    assert decide(held, Vassal(name="blog", state=S.PARKED), 0.0) == SettleVassal("blog")


def test_failed_vassal_whose_master_lingers_is_not_started_twice() -> None:
    lingering = Vassal(name="blog", state=S.BACKOFF, token="t", retry_at=0.0, deadline=5.0)
    assert decide(WANTED, lingering, 1.0) is None
    assert decide(WANTED, lingering, 5.0) == KillVassal("blog")


def test_no_more_start_than_there_is_room_for_and_the_others_wait() -> None:
    desired = {f"v{n}": WANTED for n in range(6)}
    look = reconcile(desired, {"v0": with_(READY, name="v0")}, 0.0, 3)
    assert look.actions == [StartVassal(f"v{n}") for n in (1, 2, 3)]
    assert look.waiting == {"v4", "v5"}


def test_whoever_has_a_successor_already_needs_no_room_for_a_newer_one() -> None:
    newer = Desired(fingerprint="v3", birth="b3", limits="l1")
    look = reconcile({"blog": newer}, {"blog": SUCCEEDING}, 0.0, 0)
    assert look.actions == [SucceedVassal("blog")]


def test_next_look_is_the_earliest_deadline_or_retry() -> None:
    assert next_look(with_(READY, state=S.STOPPING, deadline=10.0)) == 10.0
    assert next_look(Vassal(name="b", state=S.BACKOFF, retry_at=7.0)) == 7.0
    assert next_look(Vassal(name="b", state=S.BACKOFF, retry_at=7.0), after=7.0) is None
    assert next_look(Vassal(name="c", state=S.PARKED, retry_at=1.0)) is None
    assert next_look(READY) is None


names = st.sampled_from(["a", "b", "c"])
desires = st.builds(
    Desired,
    fingerprint=st.sampled_from(["v1", "v2", None]),
    birth=st.sampled_from(["b1", "b2"]),
    run=st.booleans(),
)
vassals = st.builds(
    Vassal,
    name=st.just("x"),
    state=st.sampled_from(S),
    token=st.sampled_from([None, "t"]),
    serving=st.sampled_from([None, "v1"]),
    attempted=st.sampled_from([None, "v1", "v2"]),
    birth=st.sampled_from(["b1", "b2"]),
    retry_at=st.sampled_from([None, 5.0]),
    deadline=st.sampled_from([None, 5.0]),
)


@given(st.dictionaries(names, desires), st.dictionaries(names, vassals), st.floats(0, 10))
def test_asking_twice_gives_the_same_answer_and_one_action_a_name(
    desired: dict[str, Desired], actual: dict[str, Vassal], now: float
) -> None:
    actual = {name: with_(vassal, name=name) for name, vassal in actual.items()}
    actions, waiting = reconcile(desired, actual, now, 2)
    assert (actions, waiting) == reconcile(desired, actual, now, 2)
    assert not waiting & {action.name for action in actions}
    assert len({action.name for action in actions}) == len(actions)
    for action in actions:
        if isinstance(action, StartVassal):
            assert actual.get(action.name, Vassal(name="x")).token is None
    for name in desired.keys() | actual.keys():
        assert why_not_yet(desired.get(name), actual.get(name, Vassal(name=name)), now)


class World:
    """One vassal and a shell that obeys, for the law below."""

    def __init__(self) -> None:
        self.vassal = Vassal(name="x")
        self.masters = 0
        self.now = 0.0

    def obey(self, wanted: Desired | None) -> None:
        action = decide(wanted, self.vassal, self.now)
        if isinstance(action, StartVassal):
            self.masters += 1
            self.move(
                Fact.START_BEGAN,
                token="t",
                attempted=wanted.fingerprint if wanted else None,
                birth=wanted.birth if wanted else None,
                deadline=self.now + 60,
            )
        elif isinstance(action, ReloadVassal):
            self.move(Fact.RELOAD_BEGAN, attempted=wanted.fingerprint if wanted else None)
        elif isinstance(action, StopVassal):
            self.move(Fact.STOP_BEGAN, deadline=self.now + 30)
        elif isinstance(action, KillVassal):
            self.exit()
        elif isinstance(action, SettleVassal):
            self.move(Fact.SETTLED)
        elif isinstance(action, ForgetVassal):
            self.vassal = Vassal(name="x")

    def move(self, fact: Fact, **changes: object) -> None:
        self.vassal = advance(self.vassal, fact, self.now, **changes)

    def exit(self) -> None:
        if self.vassal.token is None:
            return
        self.masters -= 1
        if self.vassal.state in RUNNING:
            crash = Failure(kind="crash", message="x")
            self.vassal = fail(self.vassal, crash, self.now, RestartPolicy(), 0.5)
        else:
            self.move(Fact.MASTER_GONE, serving=None)
        self.vassal = with_(self.vassal, token=None, deadline=None)


@given(st.lists(st.sampled_from(["obey", "kill", "ready", "wait", "edit", "remove", "stop"])))
def test_whatever_happens_there_is_one_master_and_in_the_end_what_is_wanted(
    happenings: list[str],
) -> None:
    world = World()
    version, present, run = 1, True, True

    def wanted() -> Desired | None:
        return Desired(fingerprint=f"v{version}", birth="b", run=run) if present else None

    for happening in happenings:
        if happening == "obey":
            world.obey(wanted())
        elif happening == "kill":
            world.exit()
        elif happening == "ready":
            world.move(Fact.BECAME_READY, serving=world.vassal.attempted)
        elif happening == "wait":
            world.now += 10.0
        elif happening == "edit":
            version += 1
        elif happening == "remove":
            present = not present
        else:
            run = not run
        assert world.masters in (0, 1)
        assert (world.vassal.token is not None) == (world.masters == 1)
    present = run = True
    for _ in range(8):
        world.now += 100.0
        world.obey(wanted())
        world.move(Fact.BECAME_READY, serving=world.vassal.attempted, deadline=None)
    assert world.vassal.state is S.READY
    assert world.vassal.serving == f"v{version}"


# ── on_demand ────────────────────────────────────────────────────────────────────────────

ON_DEMAND = msgspec.structs.replace(WANTED, on_demand=True)


def asleep(**changes: object) -> Vassal:
    return msgspec.structs.replace(
        Vassal(name="blog", state=S.DORMANT, attempted=WANTED.fingerprint), **changes
    )


def test_vassal_on_demand_sleeps_instead_of_starting() -> None:
    assert decide(ON_DEMAND, Vassal(name="blog"), 5.0) == SleepVassal("blog")
    assert decide(ON_DEMAND, asleep(), 5.0) is None


def test_sleeping_vassal_starts_when_a_connection_came() -> None:
    assert decide(ON_DEMAND, asleep(retry_at=5.0), 5.0) == StartVassal("blog")


def test_sleeping_vassal_whose_file_changed_binds_anew_and_does_not_start() -> None:
    assert decide(ON_DEMAND, asleep(attempted="v0"), 5.0) == SleepVassal("blog")


def test_sleeping_vassal_that_is_not_on_demand_any_more_starts() -> None:
    assert decide(WANTED, asleep(), 5.0) == StartVassal("blog")


def test_sleeping_vassal_is_forgotten_and_held_like_any_other() -> None:
    assert decide(None, asleep(), 5.0) == ForgetVassal("blog")
    held = msgspec.structs.replace(ON_DEMAND, run=False)
    assert decide(held, asleep(), 5.0) == SettleVassal("blog")


def test_failed_start_on_demand_sleeps_after_its_pause_and_waits_for_the_next_client() -> None:
    failed = asleep(state=S.BACKOFF, retry_at=9.0)
    assert decide(ON_DEMAND, failed, 5.0) is None
    assert decide(ON_DEMAND, failed, 9.0) == SleepVassal("blog")
    assert decide(ON_DEMAND, asleep(state=S.PARKED), 1e9) is None
    assert decide(ON_DEMAND, asleep(state=S.PARKED, attempted="v0"), 5.0) == SleepVassal("blog")


def test_idle_vassal_stops_only_if_it_is_on_demand() -> None:
    idle = asleep(
        state=S.READY,
        token="t",
        pid=7,
        birth=WANTED.birth,
        limits=WANTED.limits,
        serving=WANTED.fingerprint,
        idle_at=4.0,
    )
    assert decide(ON_DEMAND, idle, 5.0) == StopVassal("blog", "no request came for idle_stop")
    assert decide(WANTED, idle, 5.0) is None


def test_stopping_master_is_waited_for_before_its_vassal_sleeps() -> None:
    assert decide(ON_DEMAND, asleep(state=S.STOPPING, token="t"), 5.0) is None


def test_who_takes_over_a_socket_comes_before_who_is_forgotten() -> None:
    gone = Vassal(name="blog")
    look = reconcile({"shop": Desired(fingerprint="a")}, {"blog": gone}, 5.0, room=1)
    assert look.actions == [StartVassal("shop"), ForgetVassal("blog")]


def test_who_has_tried_what_is_wanted_stays_where_it_is() -> None:
    edited = with_(WANTED, fingerprint="v2")
    failed = with_(READY, attempted="v2")
    assert stays(WANTED, READY)
    assert stays(edited, failed)
    assert not stays(edited, READY)  # it is still to be tried
    assert not stays(edited, with_(failed, state=S.RELOADING))
    assert not stays(with_(edited, run=False), failed)


def test_vassal_is_behind_while_what_is_wanted_has_failed_and_what_served_serves_on() -> None:
    edited, moved = with_(WANTED, fingerprint="v2"), with_(WANTED, birth="b2")
    failed = with_(READY, attempted="v2")
    assert is_behind(edited, failed)
    assert why_not_yet(edited, failed, 0.0) == (
        "what is wanted has failed: what served before serves on"
    )
    assert is_behind(moved, with_(READY, attempted_birth="b2"))
    assert not is_behind(WANTED, READY)
    assert not is_behind(WANTED, failed)  # the file says again what serves
    assert not is_behind(edited, READY)  # it is still to be tried
    assert not is_behind(edited, with_(failed, state=S.RELOADING))
    assert not is_behind(None, failed)
    building = with_(failed, successor=Successor(token="t2", birth="b2", deadline=9.0))
    assert not is_behind(edited, building)
    assert why_not_yet(edited, building, 0.0).startswith("waiting for its application to load")


def test_vassal_whose_file_is_broken_is_not_said_to_be_as_wanted() -> None:
    assert why_not_yet(WANTED, READY, 0.0) == "as wanted"
    broken = with_(READY, last_failure=Failure(kind="config", message="blog.toml:1: no"))
    assert why_not_yet(WANTED, broken, 0.0) == (
        "its file cannot be used: what served before serves on"
    )


def test_vassal_whose_file_was_renamed_gets_a_master_of_that_name() -> None:
    moved = renamed(READY, "shop")
    assert decide(WANTED, moved, 0.0) == SucceedVassal("shop")
    failed = with_(moved, attempted="v1", attempted_birth="b1")
    assert decide(WANTED, failed, 0.0) is None
    assert "blog, whose file is gone, serves on" in why_not_yet(WANTED, failed, 0.0)
    assert decide(None, failed, 0.0) == StopVassal("shop", "its file was removed")
    assert decide(WANTED, renamed(failed, "blog"), 0.0) is None

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from limits import steps
from limits.confinement import Confinement
from limits.facts import Capability, HostFacts
from limits.filter_steps import InstallFilter, JoinNewKeyring, RaiseAmbient
from limits.landlock import LandlockRules
from limits.landlock_steps import EnterLandlock
from limits.plan import plan
from limits.rlimits import RLIMITS

EVERYTHING = Confinement(
    uid=33,
    gid=34,
    groups=(34, 50),
    rlimits=dict.fromkeys(RLIMITS, (1, 2)),
    umask=0o027,
    nice=-5,
    oom_score_adjust=-10,
    new_session=True,
    no_new_privs=True,
    drop_capabilities=True,
    pid_namespace=True,
    death_signal=9,
    dumpable=False,
    system_call_filter=bytes(8),
    landlock=LandlockRules(writable=("/srv",)),
    capability_bounding_set=("CAP_CHOWN", "CAP_KILL"),
    ambient_capabilities=("CAP_KILL",),
    keyring="private",
    io_priority=("realtime", 1),
    cpu_affinity=(0, 1),
)
KEYS = {
    "user",
    "group",
    "groups",
    "umask",
    "nice",
    "oom_score_adjust",
    "new_session",
    "no_new_privs",
    "drop_capabilities",
    "pid_namespace",
    "death_signal",
    "dumpable",
    "system_call_filter",
    "landlock",
    "ambient_capabilities",
    "keyring_mode",
    "io_scheduling_class",
    "cpu_affinity",
} | {f"limit_{name}" for name in RLIMITS}

ROOT = HostFacts(
    uids=(0, 0, 0),
    gids=(0, 0, 0),
    capabilities=2**41 - 1,
    can_pid_namespace=True,
    rlimits=dict.fromkeys(RLIMITS, (1, 1)),
    seccomp=True,
    landlock_abi=7,
    keyrings=True,
    cpus=(0, 1),
)
USER = HostFacts(
    uids=(1000, 1000, 1000),
    gids=(1000, 1000, 1000),
    groups=(20, 1000),
    rlimits=dict.fromkeys(RLIMITS, (1, 1)) | {"nice": (0, 0)},
)


def keys_of(made):
    keys = {step.key for step in made.steps} | {item.key for item in made.unsupported}
    return keys - {""}


def position(made, kind):
    return next(i for i, step in enumerate(made.steps) if isinstance(step, kind))


def test_root_can_do_everything():
    made = plan(EVERYTHING, ROOT)

    assert made.unsupported == ()
    assert keys_of(made) == KEYS


def test_nothing_asked_means_no_step():
    assert plan(Confinement(), ROOT).steps == ()
    assert plan(Confinement(), USER) == plan(Confinement(), ROOT)


def test_steps_come_in_the_order_in_which_privileges_are_lost():
    made = plan(EVERYTHING, ROOT)
    order = [
        steps.StartSession,
        steps.SetOomScore,
        steps.SetRlimit,
        JoinNewKeyring,
        steps.LockCapabilities,
        steps.SetGroups,
        steps.SetGid,
        steps.SetUid,
        RaiseAmbient,
        steps.VerifyIdentity,
        steps.SetDumpable,
        steps.SetNoNewPrivs,
        steps.SetDeathSignal,
        EnterLandlock,
        InstallFilter,
    ]

    positions = [position(made, kind) for kind in order]

    assert positions == sorted(positions)
    assert positions[-1] == len(made.steps) - 1


def test_ordinary_user_is_told_why_each_privileged_key_is_not_applied():
    made = plan(EVERYTHING, USER)

    reasons = {item.key: item.reason for item in made.unsupported}

    assert keys_of(made) == KEYS
    assert reasons["user"] == "uid 33 needs CAP_SETUID, which uid 1000 does not have here"
    assert "gid 34 needs CAP_SETGID" in reasons["group"]
    assert "CAP_SETGID" in reasons["groups"]
    assert "CAP_SYS_ADMIN" in reasons["pid_namespace"]
    assert "from 0 to -5 needs CAP_SYS_NICE" in reasons["nice"]
    assert "from 0 to -10 needs CAP_SYS_RESOURCE" in reasons["oom_score_adjust"]
    assert "bounding set" in reasons["drop_capabilities"]
    assert "limit_nofile" in reasons
    assert "CAP_KILL: keeping it needs CAP_SETPCAP" in reasons["ambient_capabilities"]
    assert "realtime needs CAP_SYS_NICE" in reasons["io_scheduling_class"]
    # Of the machine that USER stands for nothing is known.
    assert "the kernel has no seccomp" in reasons["system_call_filter"]
    assert "the kernel has none" in reasons["landlock"]
    assert "no keyrings" in reasons["keyring_mode"]
    assert "there is no CPU 0, 1 online" in reasons["cpu_affinity"]


def test_ordinary_user_still_drops_what_capabilities_it_has():
    made = plan(Confinement(drop_capabilities=True), USER)

    assert made.steps == (steps.EmptyCapabilities(),)
    assert made.degraded_keys() == {"drop_capabilities"}


def test_ordinary_user_may_ask_for_its_own_ids():
    made = plan(Confinement(uid=1000, gid=1000, groups=(20,)), USER)

    assert made.unsupported == ()
    assert steps.VerifyIdentity(1000, 1000, (20,), final=False) in made.steps


def test_root_that_becomes_a_user_verifies_that_there_is_no_way_back():
    made = plan(Confinement(uid=33, gid=33, groups=()), ROOT)

    assert made.steps[-1] == steps.VerifyIdentity(33, 33, (), final=True)


def test_root_that_stays_root_does_not_look_for_a_way_back():
    made = plan(Confinement(uid=0, gid=0, groups=()), ROOT)

    assert made.steps[-1] == steps.VerifyIdentity(0, 0, (), final=False)


def test_hard_limit_above_the_present_one_is_set_as_high_as_possible_and_reported():
    facts = msgspec.structs.replace(USER, rlimits={"nofile": (512, 2048)})

    made = plan(Confinement(rlimits={"nofile": (4096, 8192)}), facts)

    assert made.steps == (steps.SetRlimit("nofile", 2048, 2048),)
    assert made.unsupported[0].key == "limit_nofile"
    assert "8192 is above the present 2048" in made.unsupported[0].reason
    assert "2048:2048 is set instead" in made.unsupported[0].reason


def test_lower_limits_need_no_privilege():
    facts = msgspec.structs.replace(USER, rlimits={"nofile": (512, 2048), "cpu": (-1, -1)})

    made = plan(Confinement(rlimits={"nofile": (1024, 2048), "cpu": (10, -1)}), facts)

    assert made.unsupported == ()


def test_root_without_sys_resource_cannot_raise_a_hard_limit():
    weaker = ROOT.capabilities & ~(1 << Capability.SYS_RESOURCE)
    facts = msgspec.structs.replace(ROOT, capabilities=weaker)

    made = plan(Confinement(rlimits={"core": (1, 2)}), facts)

    assert "which root does not have here" in made.unsupported[0].reason


def test_nobody_can_open_more_files_than_the_kernel_allows():
    facts = msgspec.structs.replace(ROOT, nofile_max=1000)

    made = plan(Confinement(rlimits={"nofile": (10, -1)}), facts)

    assert made.steps == (steps.SetRlimit("nofile", 10, 1000),)
    assert "fs.nr_open = 1000" in made.unsupported[0].reason


def test_nice_may_be_lowered_as_far_as_its_rlimit_says():
    facts = msgspec.structs.replace(USER, nice=5, rlimits={"nice": (20, 20)})

    assert plan(Confinement(nice=0), facts).unsupported == ()
    assert plan(Confinement(nice=-1), facts).steps == ()


def test_death_signal_knows_which_parent_to_look_for():
    facts = msgspec.structs.replace(ROOT, parent_pid=7)

    assert plan(Confinement(death_signal=15), facts).steps == (steps.SetDeathSignal(15, 7),)


def test_plan_reads_as_a_list():
    made = plan(Confinement(uid=33, gid=33, groups=(), rlimits={"core": (0, -1)}), USER)

    assert str(made).splitlines()[0] == "set limit_core to 0:1"
    assert "not user: uid 33 needs CAP_SETUID" in str(made)


ids = st.integers(0, 3)
pairs = st.tuples(st.integers(-1, 5), st.integers(-1, 5)).map(
    lambda pair: (min(pair), max(pair)) if -1 not in pair else (max(pair), -1)
)


@given(
    capabilities=st.sets(st.sampled_from(Capability)),
    uids=st.tuples(ids, ids, ids),
    gids=st.tuples(ids, ids, ids),
    identity=st.tuples(ids, ids, st.lists(ids, max_size=3).map(tuple)),
    rlimits=st.dictionaries(st.sampled_from(sorted(RLIMITS)), pairs),
    present=pairs,
    score=st.integers(-999, 1000),
    nice=st.integers(-20, 19),
    can_pid_namespace=st.booleans(),
)
def test_every_key_asked_for_is_a_step_or_is_listed(
    capabilities, uids, gids, identity, rlimits, present, score, nice, can_pid_namespace
):
    facts = HostFacts(
        uids=uids,
        gids=gids,
        capabilities=sum(1 << capability for capability in capabilities),
        can_pid_namespace=can_pid_namespace,
        rlimits=dict.fromkeys(RLIMITS, present),
    )
    uid, gid, groups = identity
    asked = msgspec.structs.replace(
        EVERYTHING,
        uid=uid,
        gid=gid,
        groups=groups,
        rlimits=rlimits,
        oom_score_adjust=score,
        nice=nice,
    )

    made = plan(asked, facts)

    wanted = {key for key in KEYS if not key.startswith("limit_")}
    assert keys_of(made) == wanted | {f"limit_{name}" for name in rlimits}
    assert all(item.reason for item in made.unsupported)
    assert all(step.describe() for step in made.steps)


# What the process that becomes a mold is: without privileges, with no_new_privs.
MOLD = msgspec.structs.replace(
    USER, no_new_privs=True, seccomp=True, landlock_abi=7, keyrings=True, cpus=(0, 1)
)
GUARDED = Confinement(system_call_filter=bytes(8), landlock=LandlockRules())


def test_unprivileged_process_that_has_no_new_privs_already_may_restrict_itself():
    made = plan(GUARDED, MOLD)

    assert [type(step) for step in made.steps] == [EnterLandlock, InstallFilter]
    assert made.unsupported == ()


def test_without_no_new_privs_filter_and_landlock_need_a_capability_to_the_end():
    bare = msgspec.structs.replace(MOLD, no_new_privs=False)
    leaving = msgspec.structs.replace(GUARDED, uid=33, gid=33, groups=())

    for asked, facts in ((GUARDED, bare), (leaving, ROOT)):
        reasons = {item.key: item.reason for item in plan(asked, facts).unsupported}
        assert reasons.keys() == {"landlock", "system_call_filter"}
        assert "needs CAP_SYS_ADMIN to the end" in reasons["landlock"]
    assert plan(GUARDED, ROOT).unsupported == ()


def test_landlock_of_an_old_kernel_is_degraded_and_its_oldest_is_none():
    old = msgspec.structs.replace(MOLD, landlock_abi=2)
    oldest = msgspec.structs.replace(MOLD, landlock_abi=1)

    assert plan(GUARDED, old).degraded_keys() == {"landlock"}
    made = plan(GUARDED, oldest)
    assert [type(step) for step in made.steps] == [InstallFilter]
    assert "ABI 1" in made.unsupported[0].reason


def test_ambient_capabilities_that_root_itself_lacks_are_reported_and_the_others_kept():
    weaker = msgspec.structs.replace(ROOT, capabilities=ROOT.capabilities & ~(1 << 5))
    names = ("CAP_KILL", "CAP_CHOWN")
    asked = Confinement(
        drop_capabilities=True, capability_bounding_set=names, ambient_capabilities=names
    )

    made = plan(asked, weaker)

    assert RaiseAmbient(("CAP_CHOWN",)) in made.steps
    assert steps.LockCapabilities(names, lock=False) in made.steps
    assert made.unsupported[0].reason == "root does not have CAP_KILL here"


def test_cpus_that_exist_are_used_and_the_others_named():
    made = plan(Confinement(cpu_affinity=(1, 7)), MOLD)

    assert made.steps[0].describe() == "run on CPU 1 only"
    assert made.unsupported[0].reason == "there is no CPU 7 online"

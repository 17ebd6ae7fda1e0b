"""Real forks that are really confined, seen through /proc."""

import os
import signal
from pathlib import Path

import msgspec
import prctl
import pytest

from limits import pidns
from limits.apply import StepFailed, apply
from limits.confinement import Confinement
from limits.facts import Capability, probe
from limits.fds import close_all_fds_except
from limits.plan import plan
from limits.rlimits import RLIMITS
from limits.steps import SetRlimit, SetUid, VerifyIdentity
from limits.syscalls import close_range
from tests.support.forked import run_forked
from tests.support.need import need, need_root

NOBODY = 65534
TENANT = Confinement(
    uid=NOBODY,
    gid=NOBODY,
    groups=(NOBODY, 4321),
    umask=0o027,
    nice=3,
    oom_score_adjust=300,
    new_session=True,
    no_new_privs=True,
    drop_capabilities=True,
    dumpable=False,
)


@pytest.fixture
def as_root():
    need_root()


def proc_status():
    lines = Path("/proc/self/status").read_text().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def confine(confinement, facts=None):
    made = plan(confinement, facts or probe())
    apply(made.steps)
    return made


def become_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    prctl.set_dumpable(1)  # what a program started by nobody would be


@pytest.mark.usefixtures("as_root")
def test_confined_process_has_the_ids_and_groups_of_the_tenant():
    def child():
        assert confine(TENANT).unsupported == ()
        return proc_status()

    status = run_forked(child)

    assert status["Uid"] == [str(NOBODY)] * 4
    assert status["Gid"] == [str(NOBODY)] * 4
    assert sorted(status["Groups"]) == sorted([str(NOBODY), "4321"])


@pytest.mark.usefixtures("as_root")
def test_confined_process_has_no_capability_in_any_set_and_no_new_privs():
    def child():
        confine(TENANT)
        return proc_status()

    status = run_forked(child)

    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[key][0], 16) == 0, key
    assert status["NoNewPrivs"] == ["1"]


@pytest.mark.usefixtures("as_root")
def test_confined_root_has_lost_its_capabilities_before_any_exec():
    def child():
        confine(Confinement(uid=0, gid=0, groups=(), drop_capabilities=True))
        return [proc_status(), prctl.get_securebits()]

    status, securebits = run_forked(child)

    assert [int(status[f"Cap{kind}"][0], 16) for kind in ("Eff", "Prm", "Inh", "Amb")] == [0] * 4
    assert securebits == 0b11101011  # all locked; NO_SETUID_FIXUP and KEEP_CAPS off


@pytest.mark.usefixtures("as_root")
def test_confined_root_has_no_capability_either():
    asked = Confinement(uid=0, gid=0, groups=(), drop_capabilities=True)

    def child():
        confine(asked)
        os.execv("/bin/sh", ["sh", "-c", "grep ^Cap /proc/self/status >&9"])

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 9)
        child()
    os.close(writer)
    with os.fdopen(reader) as pipe:
        lines = pipe.read().splitlines()
    os.waitpid(pid, 0)

    assert len(lines) == 5
    assert all(int(line.split()[1], 16) == 0 for line in lines)


@pytest.mark.usefixtures("as_root")
def test_umask_nice_oom_score_and_session_are_as_asked():
    def child():
        before = os.getsid(0)
        confine(TENANT)
        score = Path("/proc/self/oom_score_adj").read_text()
        own_session = os.getsid(0) == os.getpid() != before
        return [os.umask(0), os.getpriority(os.PRIO_PROCESS, 0), int(score), own_session]

    assert run_forked(child) == [0o027, 3, 300, True]


@pytest.mark.usefixtures("as_root")
def test_confined_process_is_closed_to_its_own_uid():
    def child(dumpable):
        confine(msgspec.structs.replace(TENANT, dumpable=dumpable))
        me = os.getpid()

        def neighbour():
            try:
                os.close(os.open(f"/proc/{me}/mem", os.O_RDONLY))
            except PermissionError:
                return "denied"
            return "open"

        return run_forked(neighbour)

    assert run_forked(lambda: child(False)) == "denied"
    assert run_forked(lambda: child(True)) == "open"


def test_all_rlimits_can_be_lowered_and_locks_is_one_of_them():
    # Zero processes and zero memory would end the child before it can answer.
    wanted = dict.fromkeys(RLIMITS, (0, 0)) | {
        "cpu": (5, 6),
        "fsize": (65536, 65536),
        "data": (2**30, 2**30),
        "stack": (2**20, 2**22),
        "rss": (2**30, 2**30),
        "nofile": (40, 50),
        "as": (2**32, 2**32),
        "locks": (7, 9),
    }

    def child():
        made = confine(Confinement(rlimits=wanted))
        return [Path("/proc/self/limits").read_text(), [str(item) for item in made.unsupported]]

    text, unsupported = run_forked(child)
    rows = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()}

    assert unsupported == []
    assert rows["Max file locks"] == ["7", "9"]
    assert rows["Max open files"] == ["40", "50"]
    assert rows["Max stack size"] == [str(2**20), str(2**22)]
    assert rows["Max cpu time"] == ["5", "6"]
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max realtime timeout"] == ["0", "0"]
    assert rows["Max processes"] == ["0", "0"]
    assert len(rows) == 17  # with the title


@pytest.mark.usefixtures("as_root")
def test_raised_hard_limit_is_applied_or_reported_but_never_fatal():
    def child():
        facts = probe()
        made = confine(Confinement(rlimits={"nofile": (64, -1)}), facts)
        return [facts.has(Capability.SYS_RESOURCE), [u.reason for u in made.unsupported]]

    may_raise, reasons = run_forked(child)

    assert len(reasons) == 1
    assert ("fs.nr_open" in reasons[0]) is may_raise


@pytest.mark.usefixtures("as_root")
def test_failed_step_names_itself_its_value_and_the_errno():
    def child():
        become_nobody()
        try:
            apply([SetRlimit("locks", 1, 1), SetUid(1)])
        except StepFailed as failed:
            return [str(failed), failed.step.key]

    text, key = run_forked(child)

    assert text == "set the user id to 1: Operation not permitted (EPERM)"
    assert key == "user"


@pytest.mark.usefixtures("as_root")
def test_verification_notices_a_way_back_to_root():
    def child():
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, 0)
        check = VerifyIdentity(None, NOBODY, None, final=True)
        apply([check])  # the saved uid is not asked for here
        try:
            apply([VerifyIdentity(NOBODY, None, None, final=True)])
        except StepFailed as failed:
            return str(failed)

    assert f"user ids are ({NOBODY}, {NOBODY}, 0)" in run_forked(child)


@pytest.mark.usefixtures("as_root")
def test_verification_tries_to_regain_root():
    def child():
        # CAP_SETUID kept across the uid change is a way back that the ids do not show.
        prctl.set_keepcaps(1)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        prctl.cap_effective.setuid = True
        try:
            apply([VerifyIdentity(NOBODY, None, None, final=True)])
        except StepFailed as failed:
            return failed.detail

    assert run_forked(child) == "uid 0 could be regained"


@pytest.mark.usefixtures("as_root")
def test_ordinary_user_gets_what_is_possible_and_a_list_of_what_is_not():
    asked = msgspec.structs.replace(
        TENANT,
        uid=1,
        pid_namespace=True,
        nice=-5,
        oom_score_adjust=-1,
        rlimits={"core": (0, 0), "nproc": (10, -1)},
    )

    def child():
        become_nobody()
        made = confine(asked)
        status = proc_status()
        return [
            sorted(item.key for item in made.unsupported),
            status["NoNewPrivs"],
            status["Uid"],
            Path("/proc/self/limits").read_text(),
        ]

    unsupported, no_new_privs, uids, limits = run_forked(child)

    assert unsupported == [
        "drop_capabilities",
        "groups",
        "limit_nproc",
        "nice",
        "oom_score_adjust",
        "pid_namespace",
        "user",
    ]
    assert no_new_privs == ["1"]
    assert uids == [str(NOBODY)] * 4
    core = next(line for line in limits.splitlines() if "core" in line)
    assert core.split()[4:6] == ["0", "0"]


def test_every_descriptor_that_is_not_kept_is_closed():
    def child():
        opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
        keep = opened[3], opened[11]
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            close_all_fds_except([*keep, writer, 99999, -1])
            names = [int(name) for name in os.listdir("/proc/self/fd")]
            alive = [fd for fd in names if os.path.exists(f"/proc/self/fd/{fd}")]
            os.write(writer, " ".join(map(str, sorted(alive))).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        return [sorted([*keep, writer]), [int(fd) for fd in os.read(reader, 999).split()]]

    expected, found = run_forked(child)

    assert found == expected


def test_descriptors_are_closed_without_close_range_too(monkeypatch):
    def refused(first, last):
        raise OSError(38, "Function not implemented")

    def child():
        writer = os.dup(2)
        for _ in range(5):
            os.open("/dev/null", os.O_RDONLY)
        answer = sorted({0, 1, 2, *pipes})
        monkeypatch.setattr("limits.syscalls.close_range", refused)
        close_all_fds_except(answer)
        left = [f for f in range(256) if os.path.exists(f"/proc/self/fd/{f}")]
        return [writer in left, left == answer]

    # run_forked's own pipe must survive: keep everything below the next free number.
    probe_fd = os.open("/dev/null", os.O_RDONLY)
    os.close(probe_fd)
    pipes = range(3, probe_fd + 2)

    assert run_forked(child) == [False, True]


def test_close_range_of_nothing_open_is_no_error():
    close_range(2**31 - 2, 2**31 - 1)


def test_death_signal_kills_the_child_of_a_dead_parent():
    def child():
        reader, writer = os.pipe()
        middle = os.fork()
        if middle == 0:
            middle_pid = os.getpid()
            if os.fork() == 0:
                confine(Confinement(death_signal=signal.SIGKILL), probe(parent_pid=middle_pid))
                os.write(writer, b"armed")
                signal.pause()
            os.read(reader, 5)
            os._exit(0)
        os.waitpid(middle, 0)
        os.close(writer)
        return os.read(reader, 5) == b""  # end of file: nobody holds the other end any more

    assert run_forked(child) is True


def test_death_signal_notices_a_parent_that_died_before():
    def child():
        try:
            confine(Confinement(death_signal=signal.SIGKILL), probe(parent_pid=99999999))
        except StepFailed as failed:
            return str(failed)

    assert (
        run_forked(child) == "get SIGKILL when the parent dies: the parent 99999999 is gone already"
    )


def test_pid_namespace_that_was_not_made_is_noticed():
    def child():
        try:
            confine(Confinement(pid_namespace=True), probe(can_pid_namespace=True))
        except StepFailed as failed:
            return str(failed)

    assert "be PID 1 of a PID namespace: this is pid" in run_forked(child)


def test_probe_says_whether_a_pid_namespace_is_possible():
    def child():
        return [probe().can_pid_namespace, pidns.can_fork_in_new_pid_namespace()]

    need_root()
    by_capability, by_trial = run_forked(child)

    need(by_capability, "needs CAP_SYS_ADMIN")
    assert by_trial is True

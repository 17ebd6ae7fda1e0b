"""Every verdict of compiled filters, against a description that was written independently."""

import errno

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limits.directives import Sandbox
from limits.seccomp.compile import compile_filter
from limits.seccomp.filters import ESSENTIAL, members
from limits.seccomp.numbers import NUMBERS
from tests.support.bpf import Machine

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "i386": 0x40000003, "arm": 0x40000028}
MACHINES = ("x86_64", "aarch64")

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, EAFNOSUPPORT = (
    0x00050000 + number for number in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT)
)

HOSTING = Sandbox()
OPEN = Sandbox(
    lock_personality=False,
    restrict_realtime=False,
    restrict_suid_sgid=False,
    restrict_namespaces=False,
    restrict_address_families=(),
    protect_clock=False,
    protect_kernel_modules=False,
    protect_kernel_logs=False,
    protect_hostname=False,
    private_devices=False,
    system_call_filter=("@known",),
)

_DENIED_TEXT = """
    _sysctl acct add_key adjtimex afs_syscall bpf chroot clock_adjtime clock_settime
    create_module delete_module fanotify_init fanotify_mark finit_module fsconfig fsmount
    fsopen fspick get_kernel_syms getpmsg init_module io_uring_enter io_uring_register
    io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl listmount
    lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr memfd_secret
    modify_ldt mount mount_setattr move_mount name_to_handle_at nfsservctl open_by_handle_at
    open_tree perf_event_open pidfd_getfd pivot_root process_vm_readv process_vm_writev
    ptrace putpmsg query_module quotactl quotactl_fd reboot request_key security
    setdomainname sethostname setns settimeofday statmount swapoff swapon sysfs syslog
    tuxcall umount2 unshare uselib userfaultfd ustat vhangup vserver
"""
DENIED_BY_HOSTING = _DENIED_TEXT.split()


def machine_for(sandbox, machine="x86_64"):
    program = compile_filter(sandbox, machine)
    assert program is not None
    return Machine(program)


def verdict(sandbox, name, *arguments, machine="x86_64"):
    built = machine_for(sandbox, machine)
    return built.run(ARCHES[machine], NUMBERS[machine][name], arguments)


def changed(**keys):
    return msgspec.structs.replace(HOSTING, **keys)


# --- the whole range of numbers


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_has_the_verdict_of_hosting(machine):
    built = machine_for(HOSTING, machine)
    names = {number: name for name, number in NUMBERS[machine].items()}

    for number in range(1024):
        name = names.get(number)
        if name is None or name in ("clone3", "openat2"):
            expected = ENOSYS
        elif name in DENIED_BY_HOSTING or name in ("sched_setattr",):
            expected = EPERM
        elif name in ("socket", "socketpair"):
            expected = EAFNOSUPPORT  # family 0
        else:
            expected = ALLOW
        assert built.run(ARCHES[machine], number) == expected, (number, name)


def test_calls_that_are_denied_exist():
    assert set(DENIED_BY_HOSTING) <= set(NUMBERS["x86_64"])
    assert len(NUMBERS["x86_64"]) > 370
    assert len(NUMBERS["aarch64"]) > 310


@pytest.mark.parametrize(
    ("name", "x86_64", "aarch64"),
    [
        ("read", 0, 63),
        ("execve", 59, 221),
        ("clone", 56, 220),
        ("seccomp", 317, 277),
        ("pidfd_send_signal", 424, 424),
        ("clone3", 435, 435),
        ("futex_waitv", 449, 449),
        ("mseal", 462, 462),
    ],
)
def test_table_has_the_numbers_of_the_kernel(name, x86_64, aarch64):
    assert NUMBERS["x86_64"][name] == x86_64
    assert NUMBERS["aarch64"][name] == aarch64


@pytest.mark.parametrize("machine", MACHINES)
def test_no_two_calls_have_one_number(machine):
    assert len(set(NUMBERS[machine].values())) == len(NUMBERS[machine])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("sandbox", [HOSTING, changed(system_call_filter=())])
def test_call_of_another_architecture_kills(machine, sandbox):
    built = machine_for(sandbox, machine)

    for name, arch in ARCHES.items():
        if name != machine:
            assert {built.run(arch, number) for number in range(600)} == {KILL}


def test_x32_call_kills_whatever_its_number():
    built = machine_for(HOSTING)

    for number in (*range(1024), 0x3FFFFFFF, 0xBFFFFFFE):
        assert built.run(ARCHES["x86_64"], 0x40000000 + number) == KILL
    assert built.run(ARCHES["x86_64"], 0x3FFFFFFF) == ENOSYS


def test_call_that_a_tracer_skips_is_unknown():
    for machine in MACHINES:
        assert machine_for(HOSTING, machine).run(ARCHES[machine], 0xFFFFFFFF) == ENOSYS


def test_high_number_of_a_machine_without_x32_is_unknown():
    assert machine_for(HOSTING, "aarch64").run(ARCHES["aarch64"], 0x40000000) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_allowed_call_without_rules_never_looks_at_arguments(machine):
    # The kernel remembers such verdicts only.
    built = machine_for(HOSTING, machine)

    for name in ("read", "write", "futex", "epoll_pwait", "recvfrom", "sendto", "getpid"):
        assert built.run(ARCHES[machine], NUMBERS[machine][name]) == ALLOW
        assert built.executed <= 16


# --- rules on arguments

NEW_FLAGS = {
    "mnt": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
THREAD = 0x3D0F00  # what pthread_create asks for
FORK = 0x01200011


@pytest.mark.parametrize("machine", MACHINES)
def test_clone_makes_threads_and_processes_but_no_namespaces(machine):
    for flags in (THREAD, FORK, 0x4111, 17):  # vfork; plain
        assert verdict(HOSTING, "clone", flags, machine=machine) == ALLOW
    for flag in NEW_FLAGS.values():
        assert verdict(HOSTING, "clone", FORK | flag, machine=machine) == EPERM
        # The kernel looks at the low half only, and so do we.
        assert verdict(HOSTING, "clone", FORK | flag | 1 << 40, machine=machine) == EPERM


def test_namespaces_that_are_left_can_be_made_by_whoever_may_call_unshare():
    asked = changed(
        restrict_namespaces=("user", "mnt"), system_call_filter=("@hosting", "unshare", "setns")
    )

    for name, flag in NEW_FLAGS.items():
        expected = ALLOW if name in ("user", "mnt") else EPERM
        assert verdict(asked, "clone", FORK | flag) == expected
        assert verdict(asked, "unshare", flag) == expected
        assert verdict(asked, "setns", 3, flag) == expected
    assert verdict(asked, "unshare", NEW_FLAGS["user"] | NEW_FLAGS["net"]) == EPERM
    assert verdict(asked, "unshare", 0x80) == EPERM  # CLONE_NEWTIME
    assert verdict(asked, "unshare", 0x400) == ALLOW  # CLONE_FILES
    assert verdict(asked, "setns", 3, 0) == EPERM
    assert verdict(asked, "clone3") == ENOSYS


def test_clone3_is_allowed_where_namespaces_are_free_and_somebody_lists_it():
    asked = changed(restrict_namespaces=False)

    assert verdict(asked, "clone3") == ENOSYS
    listed = msgspec.structs.replace(asked, system_call_filter=("@hosting", "clone3"))
    assert verdict(listed, "clone3") == ALLOW


def test_terminal_cannot_be_typed_into():
    for request in (0x5412, 0x541C, 0x5423, 0x5412 | 1 << 32):
        assert verdict(HOSTING, "ioctl", 0, request) == EPERM
    for request in (0x5401, 0x5413, 0x541B, 0x5421, 0x8912):
        assert verdict(HOSTING, "ioctl", 0, request) == ALLOW


@pytest.mark.parametrize("call", ["socket", "socketpair"])
def test_only_the_listed_address_families_have_sockets(call):
    for family in range(64):
        expected = ALLOW if family in (1, 2, 10) else EAFNOSUPPORT
        assert verdict(HOSTING, call, family) == expected


def test_address_families_may_be_free_or_none():
    assert verdict(changed(restrict_address_families=()), "socket", 40) == ALLOW
    assert verdict(changed(restrict_address_families=("none",)), "socket", 1) == EAFNOSUPPORT


def test_personality_can_be_read_and_be_that_of_linux():
    assert verdict(HOSTING, "personality", 0xFFFFFFFF) == ALLOW
    assert verdict(HOSTING, "personality", 0) == ALLOW
    for persona in (8, 0x0040000, 0x0400000, 1 << 32 | 8):
        assert verdict(HOSTING, "personality", persona) == EPERM
        assert verdict(changed(lock_personality=False), "personality", persona) == ALLOW


def test_realtime_policies_are_denied():
    for policy in range(8):
        expected = ALLOW if policy in (0, 3, 5) else EPERM
        assert verdict(HOSTING, "sched_setscheduler", 0, policy) == expected
        assert verdict(HOSTING, "sched_setscheduler", 0, policy | 0x40000000) == expected
        free = changed(restrict_realtime=False)
        assert verdict(free, "sched_setscheduler", 0, policy) == ALLOW
    assert verdict(HOSTING, "sched_setattr", 0, 0, 0) == EPERM


MODE_AT = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1}


@pytest.mark.parametrize(("call", "position"), [*MODE_AT.items(), ("mknodat", 2)])
def test_setuid_and_setgid_bits_cannot_be_set(call, position):
    for mode in range(0o10000):
        if mode & 0o777 not in (0, 0o755):
            continue
        arguments = [0] * position + [mode]
        expected = EPERM if mode & 0o6000 else ALLOW
        assert verdict(HOSTING, call, *arguments) == expected
        assert verdict(changed(restrict_suid_sgid=False), call, *arguments) == ALLOW


def test_open_looks_at_the_mode_only_where_it_makes_a_file():
    create, tmpfile = 0o100, 0o20200000
    for call, before in (("open", [0]), ("openat", [0, 0])):
        assert verdict(HOSTING, call, *before, create | 1, 0o644) == ALLOW
        assert verdict(HOSTING, call, *before, create | 1, 0o4755) == EPERM
        assert verdict(HOSTING, call, *before, create | 1, 0o2755) == EPERM
        assert verdict(HOSTING, call, *before, tmpfile | 2, 0o4755) == EPERM
        assert verdict(HOSTING, call, *before, 0, 0o7777) == ALLOW
    assert verdict(HOSTING, "openat2") == ENOSYS
    assert verdict(changed(restrict_suid_sgid=False), "openat2") == ALLOW


def test_memory_is_writable_or_executable_when_asked():
    asked = changed(
        memory_deny_write_execute=True, system_call_filter=("@hosting", "pkey_mprotect")
    )
    for prot in range(8):
        both = EPERM if prot & 6 == 6 else ALLOW
        executable = EPERM if prot & 4 else ALLOW
        assert verdict(asked, "mmap", 0, 4096, prot) == both
        assert verdict(asked, "mprotect", 0, 4096, prot) == executable
        assert verdict(asked, "pkey_mprotect", 0, 4096, prot) == executable
        assert verdict(HOSTING, "mmap", 0, 4096, prot) == ALLOW
        assert verdict(HOSTING, "mprotect", 0, 4096, prot) == ALLOW
    assert verdict(asked, "shmat", 0, 0, 0o100000) == EPERM
    assert verdict(asked, "shmat", 0, 0, 0o10000) == ALLOW


def test_io_uring_is_no_way_around_a_rule_even_where_it_is_listed():
    listed = ("@hosting", "io_uring_setup")
    free = msgspec.structs.replace(OPEN, system_call_filter=listed)

    assert verdict(changed(system_call_filter=listed), "io_uring_setup") == ENOSYS
    assert verdict(free, "io_uring_setup") == ALLOW


@pytest.mark.parametrize(
    ("key", "calls"),
    [
        ("protect_clock", ["clock_settime", "settimeofday", "adjtimex"]),
        ("protect_kernel_modules", ["init_module", "finit_module", "delete_module"]),
        ("protect_kernel_logs", ["syslog"]),
        ("protect_hostname", ["sethostname", "setdomainname"]),
        ("private_devices", ["iopl", "ioperm"]),
    ],
)
def test_protect_keys_deny_calls_whatever_the_list_says(key, calls):
    protected = msgspec.structs.replace(OPEN, **{key: True})

    for call in calls:
        assert verdict(protected, call) == EPERM
        assert verdict(changed(system_call_filter=("@known",), **{key: False}), call) == ALLOW


def test_sandbox_that_denies_nothing_needs_no_filter():
    # With a list, even this one, numbers that nobody knows fail.
    assert compile_filter(OPEN, "x86_64") is not None
    assert compile_filter(msgspec.structs.replace(OPEN, system_call_filter=()), "x86_64") is None


def test_sandbox_without_a_list_still_has_its_rules():
    asked = changed(system_call_filter=())

    built = machine_for(asked)

    assert built.run(ARCHES["x86_64"], 900) == ALLOW
    assert verdict(asked, "mount") == ALLOW
    assert verdict(asked, "socket", 40) == EAFNOSUPPORT
    assert verdict(asked, "clone", FORK | NEW_FLAGS["user"]) == EPERM


def test_unknown_machine_and_unknown_names_are_refused():
    with pytest.raises(ValueError, match="riscv64 are not known"):
        compile_filter(HOSTING, "riscv64")
    with pytest.raises(ValueError, match="no such address family"):
        compile_filter(changed(restrict_address_families=("AF_INET7",)), "x86_64")
    with pytest.raises(ValueError, match="no such namespace"):
        compile_filter(changed(restrict_namespaces=("mount",)), "x86_64")


# Values that rules know, beside any others.
ARGUMENTS = st.sampled_from(
    (0, 1, 2, 3, 4, 5, 6, 10, 16, 40, 0o100, 0o755, 0o2755, 0o4755, 0o100000, 0o20200000)
    + (0x5401, 0x5412, 0x5423, 0x80, 0x1200011, 0x11200011, 0x40000001, 0xFFFFFFFF, 2**64 - 1)
) | st.integers(0, 2**64 - 1)

entries = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from([*sorted(NUMBERS["x86_64"]), "@hosting", "@known", "@file-system"]),
    ),
    min_size=1,
    max_size=60,
)


@given(
    machine=st.sampled_from(MACHINES),
    drawn=entries,
    arguments=st.lists(ARGUMENTS, min_size=6, max_size=6),
    realtime=st.booleans(),
    suid=st.booleans(),
    write_execute=st.booleans(),
)
@example("x86_64", [(False, "@known")], [0] * 6, True, True, True)
@settings(max_examples=60, deadline=None)
def test_any_filter_gives_the_verdicts_of_its_description(
    machine, drawn, arguments, realtime, suid, write_execute
):
    texts = [f"~{name}" if out and name not in ESSENTIAL else name for out, name in drawn]
    texts[0] = texts[0].removeprefix("~")
    asked = changed(
        system_call_filter=tuple(texts),
        restrict_realtime=realtime,
        restrict_suid_sgid=suid,
        memory_deny_write_execute=write_execute,
    )
    built = machine_for(asked, machine)
    allowed = set(members("@default")) | ESSENTIAL
    for text in texts:
        name = text.removeprefix("~")
        named = members(name) if name.startswith("@") else {name}
        allowed = allowed - (named - ESSENTIAL) if text.startswith("~") else allowed | named

    for name, number in NUMBERS[machine].items():
        low = [argument & 0xFFFFFFFF for argument in arguments]
        found = built.run(ARCHES[machine], number, arguments)
        assert found == described(asked, name, name in allowed, low), (name, arguments)


def described(sandbox, name, allowed, low):
    """Say in plain words what a call deserves."""
    if name in members("@clock") | members("@module") | members("@raw-io"):
        return EPERM
    if name in ("syslog", "sethostname", "setdomainname"):
        return EPERM
    if name == "clone3":
        return ENOSYS
    if not allowed:
        return EPERM
    if name == "io_uring_setup":
        return ENOSYS
    if name in ("socket", "socketpair"):
        return ALLOW if low[0] in (1, 2, 10) else EAFNOSUPPORT
    return EPERM if denied_by_arguments(sandbox, name, low) else described_whole(sandbox, name)


def described_whole(sandbox, name):
    if name == "openat2" and sandbox.restrict_suid_sgid:
        return ENOSYS
    return ALLOW


def denied_by_arguments(sandbox, name, low):
    special = 0o6000
    creates = 0o100 | 0o20000000
    if name == "clone":
        return low[0] & 0x7E020000 != 0
    if name == "unshare":
        return low[0] & 0x7E020080 != 0
    if name == "setns":
        return low[1] == 0 or low[1] & 0x7E020080 != 0
    if name == "ioctl":
        return low[1] in (0x5412, 0x541C, 0x5423)
    if name == "personality":
        return low[0] not in (0, 0xFFFFFFFF)
    if sandbox.restrict_realtime and name == "sched_setscheduler":
        return low[1] & ~0x40000000 not in (0, 3, 5)
    if sandbox.restrict_realtime and name == "sched_setattr":
        return True
    if sandbox.restrict_suid_sgid and name in ("chmod", "fchmod", "creat", "mknod"):
        return low[1] & special != 0
    if sandbox.restrict_suid_sgid and name in ("fchmodat", "fchmodat2", "mknodat"):
        return low[2] & special != 0
    if sandbox.restrict_suid_sgid and name == "open":
        return low[1] & creates != 0 and low[2] & special != 0
    if sandbox.restrict_suid_sgid and name == "openat":
        return low[2] & creates != 0 and low[3] & special != 0
    if sandbox.memory_deny_write_execute:
        return {
            "mmap": low[2] & 6 == 6,
            "mprotect": low[2] & 4 != 0,
            "pkey_mprotect": low[2] & 4 != 0,
            "shmat": low[2] & 0o100000 != 0,
        }.get(name, False)
    return False

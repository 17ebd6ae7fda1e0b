"""Capabilities that are kept, keyrings, I/O priority and affinity, on real processes."""

import ctypes
import errno
import os
import signal
from pathlib import Path

import msgspec
import prctl
import pytest

from limits.apply import apply
from limits.capabilities import NUMBERS
from limits.confinement import Confinement
from limits.facts import Capability, probe
from limits.plan import plan
from tests.support.confined import run_python
from tests.support.forked import run_forked
from tests.support.need import need, need_root

NOBODY = 65534
PYTHON = "/usr/bin/python3"  # one that nobody may execute
TENANT = Confinement(
    uid=NOBODY, gid=NOBODY, groups=(), no_new_privs=True, drop_capabilities=True, keyring="private"
)
BIND = ("CAP_NET_BIND_SERVICE",)
BINDING = msgspec.structs.replace(TENANT, capability_bounding_set=BIND, ambient_capabilities=BIND)

STATUS = """
import json
rows = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({name: int(value, 16) for name, value in rows.items() if name[:3] == "Cap"}))
"""
ALL_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def test_names_have_the_numbers_of_the_kernel():
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())

    assert len(NUMBERS) == 41
    assert NUMBERS["CAP_CHECKPOINT_RESTORE"] == 40
    assert last >= 40
    for capability in Capability:
        assert NUMBERS[f"CAP_{capability.name}"] == capability
    known = {name: value for name, value in vars(prctl).items() if name in NUMBERS}
    assert known == {name: NUMBERS[name] for name in known}
    assert len(known) > 30


def test_default_leaves_no_capability_after_the_exec():
    need_root()

    assert run_python(STATUS, TENANT, path=PYTHON).json() == dict.fromkeys(ALL_SETS, 0)


def test_ambient_capability_survives_uid_change_and_exec_and_no_other_does():
    need_root()

    sets = run_python(STATUS, BINDING, path=PYTHON).json()

    assert sets == dict.fromkeys(ALL_SETS, 1 << NUMBERS["CAP_NET_BIND_SERVICE"])


def test_tenant_with_the_ambient_capability_binds_a_low_port_and_one_without_does_not():
    need_root()
    ports = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    need(int(ports.read_text()) > 80, "needs a kernel with privileged ports")
    script = """
import socket
try:
    socket.socket().bind(("127.0.0.3", 79))
except PermissionError as error:
    print(error.errno)
else:
    print(0)
"""

    assert run_python(script, BINDING, path=PYTHON).json() == 0
    assert run_python(script, TENANT, path=PYTHON).json() == errno.EACCES


def test_bounding_set_alone_gives_nothing():
    need_root()
    asked = msgspec.structs.replace(TENANT, capability_bounding_set=(*BIND, "CAP_CHOWN"))

    sets = run_python(STATUS, asked, path=PYTHON).json()

    assert sets.pop("CapBnd") == 1 << 10 | 1 << 0
    assert set(sets.values()) == {0}


@pytest.mark.parametrize("asked", [TENANT, BINDING])
def test_securebits_are_locked_whatever_is_kept(asked):
    need_root()

    def child():
        apply(plan(asked, probe()).steps)
        return ctypes.CDLL(None).prctl(27, 0, 0, 0, 0)  # PR_GET_SECUREBITS

    # NOROOT, NO_CAP_AMBIENT_RAISE, and the locks of all four
    assert run_forked(child) == 0x01 | 0x02 | 0x08 | 0x20 | 0x40 | 0x80


def test_tenant_that_may_change_ids_is_not_said_to_have_regained_root():
    need_root()
    ids = ("CAP_SETUID", "CAP_SETGID")
    asked = msgspec.structs.replace(TENANT, capability_bounding_set=ids, ambient_capabilities=ids)

    assert run_python(STATUS, asked, path=PYTHON).json()["CapEff"] == 0b11 << 6


def test_ordinary_user_cannot_keep_a_capability_and_is_told():
    def child():
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
        asked = Confinement(
            no_new_privs=True,
            drop_capabilities=True,
            capability_bounding_set=BIND,
            ambient_capabilities=BIND,
        )
        made = plan(asked, probe())
        apply(made.steps)
        return {item.key: item.reason for item in made.unsupported}

    reasons = run_forked(child)

    assert "CAP_NET_BIND_SERVICE" in reasons["ambient_capabilities"]
    assert "drop_capabilities" in reasons


KEYS = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
def add(ring, name):
    return libc.syscall(numbers[0], b"user", name, b"secret", 6, ring)
def search(ring, name):
    return libc.syscall(numbers[1], 10, ring, b"user", name, 0)
def session():
    return libc.syscall(numbers[1], 0, -3, 0)
"""


def test_private_keyring_shows_no_key_of_the_parents_session():
    need(probe().keyrings, "needs a kernel with keyrings")
    scope: dict = {}
    exec(KEYS, scope)  # the same helpers on both sides of the fork

    def child():
        # A session of its own first, so that nothing stays in the one of the test run.
        apply(plan(Confinement(keyring="private"), probe()).steps)
        assert scope["add"](-3, b"emperor-test") > 0
        before = scope["session"]()

        def tenant(asked):
            apply(plan(asked, probe()).steps)
            found = scope["search"](-3, b"emperor-test") > 0
            return [found, scope["session"]() == before]

        private = run_forked(lambda: tenant(Confinement(keyring="private")))
        return [private, run_forked(lambda: tenant(Confinement()))]

    assert run_forked(child) == [[False, False], [True, True]]


def test_io_priority_is_inherited_by_what_is_started():
    asked = Confinement(io_priority=("best-effort", 6))
    script = """
import ctypes, os
number = {"x86_64": 252, "aarch64": 31}[os.uname().machine]
print(ctypes.CDLL(None).syscall(number, 1, 0))
"""

    assert run_python(script, asked).json() == 2 << 13 | 6
    idle = Confinement(io_priority=("idle", 0))
    assert run_python(script, idle).json() == 3 << 13


def test_realtime_io_needs_privileges():
    asked = Confinement(io_priority=("realtime", 0))

    def child():
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
        made = plan(asked, probe())
        apply(made.steps)
        return [item.key for item in made.unsupported]

    assert run_forked(child) == ["io_scheduling_class"]


def test_affinity_is_set_to_the_cpus_that_exist():
    present = min(os.sched_getaffinity(0))

    def child():
        made = plan(Confinement(cpu_affinity=(present, 8000)), probe())
        apply(made.steps)
        return [sorted(os.sched_getaffinity(0)), [str(u.reason) for u in made.unsupported]]

    assert run_forked(child) == [[present], ["there is no CPU 8000 online"]]


def test_probe_knows_the_machine():
    facts = probe()

    assert set(os.sched_getaffinity(0)) <= set(facts.cpus)
    assert facts.seccomp
    assert not facts.no_new_privs

    def child():
        prctl.set_no_new_privs(1)
        return probe().no_new_privs

    assert run_forked(child) is True


def test_one_user_may_have_more_vassals_than_keys():
    need_root()
    most = int(Path("/proc/sys/kernel/keys/maxkeys").read_text())
    made = plan(TENANT, probe()).steps
    children = []
    told, tell = os.pipe()
    try:
        for _ in range(most + 10):
            if (pid := os.fork()) == 0:
                try:
                    apply(made)
                    os.write(tell, b".")
                    signal.pause()
                finally:
                    os._exit(1)
            children.append(pid)
        os.close(tell)
        born = b""
        while len(born) < len(children) and (more := os.read(told, 4096)):
            born += more
        assert len(born) == len(children)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(told)

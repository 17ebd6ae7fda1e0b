"""All that a sandbox can ask for at once: no mechanism may take from another what it needs."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from limits.confinement import Confinement
from limits.directives import Sandbox, TemporaryFileSystem
from limits.facts import probe
from limits.landlock import ABI_MIN
from limits.landlock_rules import landlock_rules
from limits.plan import plan
from limits.seccomp.compile import compile_filter
from tests.support.born import UID, confinement, run_confined, subject, touch

pytestmark = pytest.mark.usefixtures("confinable")


def everything(sandbox, homes):
    program = compile_filter(sandbox, os.uname().machine)
    rules = landlock_rules(sandbox, subject(homes), namespaces=True)
    return msgspec.structs.replace(
        confinement(sandbox, homes),
        system_call_filter=program,
        landlock=rules if probe().landlock_abi >= ABI_MIN else None,
        keyring="private" if probe().keyrings else None,
        dumpable=False,
        oom_score_adjust=300,
    )


@pytest.mark.parametrize("proc_subset", ["all", "pid"])
@pytest.mark.parametrize("private_users", [False, True])
@pytest.mark.parametrize("network", ["host", "none"])
def test_program_starts_and_writes_where_it_may(place, private_users, network, proc_subset):
    def live():
        run = [sys.executable, "-I", "-c", "import os, ssl; print(os.getuid())"]
        answer = subprocess.run(run, capture_output=True, text=True, check=False)
        return [
            answer.stdout.strip() or answer.stderr,
            touch(place.blog / "mine"),
            touch("/tmp/mine"),
            touch("/dev/shm/mine"),
            Path("/proc/self/oom_score_adj").read_text().strip(),
        ]

    sandbox = Sandbox(
        private_users=private_users,
        network=network,
        proc_subset=proc_subset,
        private_tmp=TemporaryFileSystem(size=2**20),
    )
    made = everything(sandbox, [(place.blog, True), (sys.prefix, False)])

    assert run_confined(live, made) == [str(UID), "done", "done", "done", "300"]


def test_second_plan_can_be_made_inside_for_the_mold(place):
    """A master plans its molds' limits from within its own private root."""

    def inside():
        made = plan(Confinement(rlimits={"core": (0, 0)}, umask=0o077), probe())
        return [str(made).splitlines(), len(made.unsupported)]

    for proc_subset in ("all", "pid"):
        sandbox = Sandbox(proc_subset=proc_subset, network="none")
        lines, unsupported = run_confined(inside, everything(sandbox, [(place.blog, True)]))
        assert lines == ["set the umask to 0077", "set limit_core to 0:0"]
        assert unsupported == 0

"""A whole `emperor serve` under the filter and Landlock: master, mold, workers, harakiri.

In production the master is free of both; what works for all of them works for the others.
"""

import os
import sys
from pathlib import Path

from limits.apply import apply
from limits.confinement import Confinement
from limits.directives import Sandbox, Subject
from limits.facts import probe
from limits.landlock import ABI_MIN
from limits.landlock_rules import landlock_rules
from limits.plan import plan
from limits.seccomp.compile import compile_filter
from limits.seccomp.numbers import NUMBERS
from tests.support.confined import ROOT
from tests.support.emperor import Emperor, get
from tests.support.need import need
from tests.support.served import served
from tests.support.wait import wait_until

APP = """
import os, socket, subprocess, threading

def attempt(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return type(error).__name__
    return "done"

def application(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        threading.Event().wait()
    thread = threading.Thread(target=str)
    thread.start(), thread.join()
    found = [
        attempt(subprocess.check_call, ["/bin/true"]),
        attempt(socket.socket, 16, socket.SOCK_RAW),
        attempt(open, "/var/lib/emperor-test", "w"),
        attempt(os.kill, os.getppid(), 0),
    ]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(found).encode()]
"""


def test_application_is_served_and_watched_under_filter_and_landlock(emperor: Emperor) -> None:
    machine = os.uname().machine
    facts = probe()
    need(facts.seccomp and machine in NUMBERS, "needs seccomp")
    need(facts.landlock_abi >= ABI_MIN, "needs Landlock")
    homes = ((str(emperor.base), True), (str(ROOT), False), (sys.prefix, False))
    subject = Subject(vassal="v", customer="c", uid=1, gid=1, groups=(), homes=homes)
    # With pidfd_getfd the master takes a hanging worker's connection, to answer on it.
    sandbox = Sandbox(system_call_filter=("@hosting", "pidfd_getfd"))
    asked = Confinement(
        no_new_privs=True,
        system_call_filter=compile_filter(sandbox, machine),
        landlock=landlock_rules(Sandbox(), subject, namespaces=False),
    )
    steps = plan(asked, facts).steps
    emperor.app("hello", APP)

    with served(emperor, "--harakiri", "1", preexec_fn=lambda: apply(steps)) as one:
        one.wait_ready()
        # The master is in the same domain here, so a worker may signal it.
        assert get(one.port)[1] == b"done OSError PermissionError done"
        (worker,) = one.worker_pids()
        assert "Seccomp:\t2" in Path(f"/proc/{worker}/status").read_text()

        assert get(one.port, "/hang")[0] == 504

        wait_until(lambda: one.worker_pids() not in (set(), {worker}), what="another worker")
        assert get(one.port)[0] == 200
        assert "reason=harakiri" in one.log()

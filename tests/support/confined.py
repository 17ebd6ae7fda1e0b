"""Real interpreters under a confinement, and what they had to say."""

import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limits.apply import apply
from limits.confinement import Confinement
from limits.facts import probe
from limits.plan import plan

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How an interpreter ended: `signal` 0 = it exited with `status`."""

    output: str
    status: int
    signal: int
    dumped: bool

    def json(self) -> Any:
        """Return its output as a value; fail the test if it did not end well."""
        assert self.status == 0, self.output
        assert self.signal == 0, (self.signal, self.output)
        return json.loads(self.output)


def run_python(
    code: str, confinement: Confinement, uid: int | None = None, cwd: str = "/", path: str = ""
) -> Ended:
    """Run `code` in a new interpreter, confined in its child as a mold is.

    `uid`: whom root becomes before, so that the confinement is an ordinary user's.
    """
    python = path or sys.executable
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            os.chdir(cwd)
            if uid is not None and os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            apply(plan(confinement, probe()).steps)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(python, [python, "-c", code], {"PATH": os.defpath, "LC_ALL": "C.UTF-8"})
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(99)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as pipe:
        output = pipe.read()
    status = os.waitpid(pid, 0)[1]
    return Ended(
        output=output,
        status=os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 0,
        signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        dumped=os.WCOREDUMP(status),
    )

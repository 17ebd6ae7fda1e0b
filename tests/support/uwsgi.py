"""The real uWSGI, which packaging/dev/setup.sh builds: what ours is compared with."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.need import need
from tests.support.processes import pid_tree

PROGRAM = Path(__file__).resolve().parents[2] / ".cache" / "uwsgi-venv" / "bin" / "uwsgi"

_OPTION = re.compile(r"\s+(?:-(\w)\|)?--([A-Za-z0-9_-]+)(?=\s|$)")


def uwsgi_program() -> str:
    """Return the path of uWSGI; skip or fail without it."""
    need(PROGRAM.exists(), "needs uWSGI: packaging/dev/setup.sh uwsgi")
    return str(PROGRAM)


@contextlib.contextmanager
def real_uwsgi(folder: Path, *words: str) -> Iterator[None]:
    """Run uWSGI in a folder for the time of a with block; its output goes to uwsgi.log there."""
    with (folder / "uwsgi.log").open("wb") as log:
        process = subprocess.Popen(
            [uwsgi_program(), *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield
    finally:
        # An emperor would wait for its vassals for long.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def end(process: "subprocess.Popen[bytes]", signum: int = signal.SIGTERM) -> None:
    """End a uWSGI with all its processes: some of its ends hang, which no test is about."""
    tree = [process.pid, *pid_tree(process.pid)] if process.poll() is None else []
    process.send_signal(signum)
    try:
        process.wait(8)
    except subprocess.TimeoutExpired:
        for pid in tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(10)


def output_of(*arguments: str) -> str:
    """Return what uWSGI prints."""
    run = subprocess.run(
        [uwsgi_program(), *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return run.stdout + run.stderr


def options() -> dict[str, str]:
    """Return all options of this build, by name, with their short forms."""
    found = {}
    for line in output_of("--help").splitlines():
        match = _OPTION.match(line)
        if match is not None:
            found[match.group(2)] = match.group(1) or ""
    return found


def features() -> set[str]:
    """Return what this build was made with, in the words of emperor.uwsgi.rows.Known.build."""
    flags = set(re.findall(r"-DUWSGI_(\w+)", output_of("--cflags")))
    if flags & {"PCRE", "PCRE2"}:
        flags.add("pcre")
    return {flag.lower() for flag in flags}

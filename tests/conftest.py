"""Shared fixtures: a runtime directory, and the check for what process tests leave behind."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import leftovers
from tests.support.emperor import Emperor, emperor_over
from tests.support.processes import fds_of, pid_tree
from tests.support.uwsgi_emperor import Running, our_site, real_site_somewhere

# No example is timed: a machine that does something else makes nothing wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PROCESS_TESTS = tuple(Path(__file__).parent / name for name in ("integration", "faults"))


def is_process_test(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in PROCESS_TESTS)


@pytest.fixture(autouse=True, scope="session")
def no_group_is_signalled() -> Iterator[None]:
    """A pid that is 0, as of a process that is not there, would be all of pytest's own group."""
    real = os.kill

    def kill(pid: int, signum: int) -> None:
        assert pid > 0, f"kill({pid}, {signum})"
        real(pid, signum)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "kill", kill)
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a process test that leaves a process or a descriptor behind, and kill the process."""
    if not is_process_test(request.path):
        yield
        return
    leftovers.adopt_orphans()
    processes = set(pid_tree(os.getpid()))
    fds = fds_of(os.getpid())
    yield
    found = leftovers.stray_processes(processes) + leftovers.stray_fds(fds)
    if found:
        pytest.fail("left behind:\n  " + "\n  ".join(found), pytrace=False)


@pytest.fixture
def runtime_dir(nothing_left_behind: None) -> Iterator[Path]:
    """Yield a new runtime directory, which must be empty or gone at the end of the test.

    It is not below tmp_path: that is too long for a socket's name, and closed to other users.
    """
    directory = Path(tempfile.mkdtemp(prefix="emperor-"))
    directory.chmod(0o755)
    try:
        yield directory
        found = leftovers.stray_files(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if found:
        pytest.fail("left behind in the runtime directory:\n  " + "\n  ".join(found), pytrace=False)


@pytest.fixture
def emperor(nothing_left_behind: None) -> Iterator[Emperor]:
    """Yield an emperor, not started yet, over folders of its own.

    Its log must tell of no fault of our own at the end, whatever was done to it.
    """
    with emperor_over() as one:
        yield one
        if one.process is not None and one.process.poll() is None:
            assert one.stop() == 0, one.log()
            found = leftovers.of(one)
            assert not found, found
        assert "Traceback" not in one.log(), one.log()
        assert "event=fault" not in one.log(), one.log()


@pytest.fixture(params=["uwsgi", "ours"])
def running(request: pytest.FixtureRequest, emperor: Emperor) -> Running:
    """Return what runs a site, under uWSGI's emperor and under ours."""
    if request.param == "ours":
        return lambda more="": our_site(emperor, more)
    return real_site_somewhere

"""`emperor uwsgi --reload PIDFILE` and its like, as units have them: one signal to one master.

The file may lie in a folder of the application's user. So it is believed only where its owner
could send the signal as well, and no link of somebody else's leads to it.
"""

import os
import signal
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from emperor.cli.errors import DONE, FAILED
from emperor.config.resolve import is_shared, open_folder, weak_spot
from limits.pidfd import send_signal

SIGNALS = {
    "reload": signal.SIGHUP,
    "stop": signal.SIGINT,
    "pause": signal.SIGTSTP,
    "suspend": signal.SIGTSTP,
    "resume": signal.SIGTSTP,
}
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def steer(options: Iterable[tuple[str, str]]) -> int | None:
    """Send the signal of the first of these options that has one; return the exit status.

    None = none of them has.
    """
    for name, path in options:
        if name in SIGNALS:
            problem = _send(path, SIGNALS[name])
            if problem:
                print(f"emperor uwsgi: --{name} {path}: {problem}", file=sys.stderr)
            return FAILED if problem else DONE
    return None


def _send(path: str, signum: int) -> str:
    """Return why the signal was not sent, "" = it was."""
    try:
        pid, owner = _read(os.path.abspath(path))
        pidfd = os.pidfd_open(pid)
    except (OSError, OverflowError) as error:
        return str(error)
    try:
        if owner not in (0, _uid_of(pid)):
            return f"process {pid} does not belong to the owner of this file"
        return "" if send_signal(pidfd, signum) else f"process {pid} has ended"
    except PermissionError as error:
        return f"process {pid}: {error.strerror}"
    finally:
        os.close(pidfd)


def _read(path: str) -> tuple[int, int]:
    """Return the pid in a file, and whose word it is; raise OSError."""
    folder, name = os.path.split(path)
    folder_fd = open_folder(folder)
    try:
        fd = os.open(name, _READ, dir_fd=folder_fd)
    finally:
        os.close(folder_fd)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        text = file.read(32).strip() if stat.S_ISREG(status.st_mode) else b""
    if not text.isdigit() or int(text) < 1:
        raise OSError(22, "there is no pid in it")
    if status.st_uid == 0 and (weak := weak_spot(folder, is_shared)):
        raise OSError(
            1, f"{weak} is not root's alone: another file of root's may have been put here"
        )
    return int(text), status.st_uid


def _uid_of(pid: int) -> int:
    """Return whom a process runs as, -1 = it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return -1
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), -1)

"""The emperor's first steps: its settings, its directories, its lock."""

import errno
import fcntl
import os
from pathlib import Path

import msgspec

from emperor.config.default_places import Places, default_places
from emperor.config.emperor_file import load_emperor
from emperor.config.machine import probe_machine
from emperor.config.problems import ConfigError
from emperor.config.settings import EmperorSettings


class CannotStart(Exception):
    """The emperor cannot run like this; str() says why and what to do."""


def read_settings(
    config_file: str | None, runtime_dir: str | None, directories: list[str]
) -> EmperorSettings:
    """Return the settings of file and command line together; raise CannotStart."""
    places = default_places(os.geteuid(), os.environ)
    if runtime_dir is not None:
        # An emperor in a directory of its own keeps its logs there too.
        places = Places(runtime_dir, f"{runtime_dir}/log", f"{runtime_dir}/state")
    text, file = "", "emperor.toml"
    if config_file is not None:
        file = config_file
        try:
            text = Path(config_file).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise CannotStart(f"{config_file}: is not UTF-8; save it as UTF-8") from error
        except OSError as error:
            raise CannotStart(
                f"{config_file}: {error.strerror}; write the path of the emperor's own file"
            ) from error
    folder = str(Path(file).absolute().parent)
    settings = load_emperor(text, file, folder, places, probe_machine())
    if isinstance(settings, ConfigError):
        raise CannotStart(str(settings))
    changes: dict[str, object] = {}
    if runtime_dir is not None:
        changes["runtime_dir"] = runtime_dir
    if directories:
        changes["directories"] = tuple(dict.fromkeys((*settings.directories, *directories)))
    settings = msgspec.structs.replace(settings, **changes)
    if not settings.directories:
        raise CannotStart(f'{file}: no directories; write directories = ["/etc/emperor/vassals"]')
    return settings


def prepare_directories(settings: EmperorSettings) -> None:
    """Make the runtime, log and state directories; raise CannotStart."""
    runtime, state = Path(settings.runtime_dir), Path(settings.state_dir)
    try:
        for path in (
            runtime,
            runtime / "sockets",
            runtime / "hosts",
            Path(settings.log_dir),
            state,
        ):
            path.mkdir(parents=True, exist_ok=True)
            if path.stat().st_uid != os.geteuid():
                raise CannotStart(
                    f"{path} belongs to another user, who could replace what is in it; "
                    "choose a directory of your own with --runtime-dir"
                )
            # Names in it are for everyone, contents are not. Of the state nothing is.
            path.chmod(0o700 if path == state else 0o755)
    except OSError as error:
        raise CannotStart(
            f"{error.filename}: {error.strerror}; choose another with --runtime-dir DIR"
        ) from error


def take_lock(settings: EmperorSettings) -> int:
    """Return the locked descriptor; raise CannotStart when another emperor has it.

    The lock belongs to the open file: it lasts while any process holds a copy, and the
    spawner does.
    """
    path = Path(settings.runtime_dir) / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise CannotStart(
                f"another emperor runs in {settings.runtime_dir}; "
                "stop it, or choose another directory with --runtime-dir"
            ) from error
        raise
    if os.fstat(fd).st_ino != path.stat().st_ino:
        # The one before us removed the file while we waited at its door.
        os.close(fd)
        return take_lock(settings)
    return fd


def remove_traces(settings: EmperorSettings) -> None:
    """Remove what only a running emperor needs from the runtime directory."""
    runtime = Path(settings.runtime_dir)
    for link in (runtime / "hosts").glob("*.sock"):
        link.unlink(missing_ok=True)
    for folder in (runtime / "hosts", runtime / "sockets"):
        try:
            folder.rmdir()
        except OSError:
            pass  # somebody else's files are in it
    (runtime / "lock").unlink(missing_ok=True)

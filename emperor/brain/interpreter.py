"""Chooses the interpreter that a vassal's mold runs in. Nothing of the tenant's is executed."""

import os
import stat
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from emperor.config.identity import Identity
from limits.real_path import real_path

SYSTEM_PYTHON = "/usr/bin/python3"


class NoInterpreter(Exception):
    """No usable interpreter: which was tried, and what to write."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"python: {problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


def choose(python: str | None, identity: Identity, on_host: Callable[[str], str] = str) -> str:
    """Return the absolute path of the interpreter.

    `python` is a virtualenv's folder or an interpreter; None means the one that the
    emperor itself runs in if that user may execute it, else the system's. `on_host` tells where
    the host has what the vassal finds at a path.
    """
    if python is not None:
        path = locate(python, on_host)
        blocker = first_blocker(on_host(path), identity)
        if blocker:
            at = "" if blocker == path else f"{path}: "
            raise NoInterpreter(
                f"{at}user {identity.user} may not pass {blocker}",
                f"choose an interpreter that it may execute, such as {SYSTEM_PYTHON}",
            )
        return path
    own = own_interpreter()
    for path in (own, SYSTEM_PYTHON):
        if os.path.exists(path) and not first_blocker(path, identity):
            return path
    raise NoInterpreter(
        f"user {identity.user} may execute neither {own} nor {SYSTEM_PYTHON}",
        "write python = an interpreter that it may execute",
    )


def locate(python: str, on_host: Callable[[str], str] = str) -> str:
    """Return the path of an interpreter that exists, whoever may execute it."""
    is_folder = Path(on_host(python)).is_dir()
    path = str(Path(python) / "bin" / "python") if is_folder else python
    if not Path(on_host(path)).exists():
        raise NoInterpreter(
            f"{path} does not exist", "write a virtualenv's folder or an interpreter"
        )
    return path


@cache
def own_interpreter() -> str:
    """Return the emperor's interpreter outside its virtualenv: ours is not for tenants.

    That which this process runs, whatever the links to it lead to by now.
    """
    base = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(base)


def first_blocker(path: str, identity: Identity) -> str | None:
    """Return the first folder or file on the way to `path` that keeps the user out.

    Follows symbolic links as the kernel would; None = the user may execute it.
    """
    # A real path is often the path itself, and every folder on the way is asked for once.
    steps = dict.fromkeys(part for whole in (path, real_path(path)) for part in _way_to(whole))
    for part in steps:
        if not may_execute(os.stat(part), identity.uid, identity.gid, identity.groups):
            return part
    return None


def _way_to(path: str) -> list[str]:
    """Return the folders from the root to a path, and the path itself."""
    names = [name for name in path.split("/") if name]
    return ["/", *("/" + "/".join(names[: depth + 1]) for depth in range(len(names)))]


def may_execute(status: os.stat_result, uid: int, gid: int, groups: tuple[int, ...]) -> bool:
    """Return whether the mode bits let the user execute the file or enter the folder."""
    mode = status.st_mode
    if uid == 0:
        return bool(mode & 0o111) or stat.S_ISDIR(mode)
    if status.st_uid == uid:
        return bool(mode & stat.S_IXUSR)
    if status.st_gid in (gid, *groups):
        return bool(mode & stat.S_IXGRP)
    return bool(mode & stat.S_IXOTH)

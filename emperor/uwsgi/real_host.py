"""Answers for files in uWSGI's dialect from the machine itself, as its owner may see it."""

import fnmatch
import grp
import os
import pwd
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from emperor.config.identity import owner_of
from emperor.uwsgi.host import Facts, Kind
from limits.fsid import acting_as

_T = TypeVar("_T")

READ_BYTES_MAX = 256 * 1024
ENTRIES_MAX = 10_000
"""How many names a pattern may be compared with: a tenant writes it."""


class RealHost:
    """The machine as this process sees it."""

    def read(self, path: str) -> bytes | None:
        """Return what is in a regular file, as far as READ_BYTES_MAX; never waits."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except (OSError, ValueError):
            return None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            data = b""
            while len(data) < READ_BYTES_MAX:
                part = os.read(fd, READ_BYTES_MAX - len(data))
                if not part:
                    break
                data += part
            return data
        except OSError:
            return None
        finally:
            os.close(fd)

    def kind(self, path: str) -> Kind:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            return Kind.NOTHING
        if stat.S_ISREG(mode):
            return Kind.FILE
        return Kind.FOLDER if stat.S_ISDIR(mode) else Kind.OTHER

    def real_path(self, path: str) -> tuple[str, int]:
        try:
            real = path if Path(path).is_symlink() else os.path.realpath(path)
            return real, os.lstat(real).st_ino
        except (OSError, ValueError):
            return path, 0

    def glob(self, pattern: str) -> list[str]:
        try:
            found = sorted(_Glob().matches(pattern))
        except (OSError, ValueError):
            found = []
        return found or [pattern]


class OwnersHost(RealHost):
    """The machine as an ordinary user sees it. For a thread that does nothing else meanwhile."""

    def __init__(self, uid: int) -> None:
        self._uid = uid
        self._gid, self._groups = _groups_of(uid)

    def read(self, path: str) -> bytes | None:
        return self._as_owner(lambda: super(OwnersHost, self).read(path), None)

    def kind(self, path: str) -> Kind:
        return self._as_owner(lambda: super(OwnersHost, self).kind(path), Kind.NOTHING)

    def real_path(self, path: str) -> tuple[str, int]:
        return self._as_owner(lambda: super(OwnersHost, self).real_path(path), (path, 0))

    def glob(self, pattern: str) -> list[str]:
        return self._as_owner(lambda: super(OwnersHost, self).glob(pattern), [pattern])

    def _as_owner(self, look: Callable[[], _T], nothing: _T) -> _T:
        try:
            with acting_as(self._uid, self._gid, self._groups):
                return look()
        except PermissionError:
            return nothing


class _Glob:
    """glob(7) with a bound; a folder comes with a slash behind it."""

    def __init__(self) -> None:
        self._left = ENTRIES_MAX

    def matches(self, pattern: str) -> Iterator[str]:
        return self._below("/", [part for part in pattern.split("/") if part])

    def _below(self, folder: str, parts: list[str]) -> Iterator[str]:
        if not parts:
            yield folder
            return
        part, rest = parts[0], parts[1:]
        if not any(char in part for char in "*?["):
            path = f"{folder}{part}"
            if os.path.lexists(path):
                yield from self._step(path, rest)
            return
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in self._counted(entries)]
        except OSError:
            return
        for name in names:
            if fnmatch.fnmatchcase(name, part) and (name[0] != "." or part[0] == "."):
                yield from self._step(f"{folder}{name}", rest)

    def _step(self, path: str, rest: list[str]) -> Iterator[str]:
        if Path(path).is_dir():
            yield from self._below(f"{path}/", rest)
        elif not rest:
            yield path

    def _counted(self, entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        for entry in entries:
            self._left -= 1
            if self._left < 0:
                raise ValueError("the pattern matches too much")
            yield entry


def seen_by(owner_uid: int, cwd: str) -> tuple[RealHost, Facts]:
    """Return what a file of this user's may ask the machine, and what uWSGI would find.

    A tenant's sees what that tenant can, and nothing if this process may not look as
    somebody else.
    """
    if owner_of(owner_uid).tenant:
        # Nothing of the emperor's environment.
        gid = _groups_of(owner_uid)[0]
        return OwnersHost(owner_uid), facts_of(cwd, owner_uid, gid, {"PATH": os.defpath})
    return RealHost(), facts_of(cwd, os.geteuid(), os.getegid(), os.environ)


def facts_of(cwd: str, uid: int, gid: int, environ: Mapping[str, str]) -> Facts:
    """Return what uWSGI would find, running as `uid` and `gid` in `cwd`."""
    return Facts(
        cwd=cwd,
        hostname=socket.gethostname(),
        cpus=os.cpu_count() or 1,
        uid=uid,
        user=_user_name(uid),
        gid=gid,
        group=_group_name(gid),
        unix_us=time.time_ns() // 1000,
        environ=environ,
    )


def _groups_of(uid: int) -> tuple[int, list[int]]:
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return uid, []
    return account.pw_gid, os.getgrouplist(account.pw_name, account.pw_gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

"""The step that puts a process under Landlock."""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from limits import kernel
from limits.landlock import ON_FILES, LandlockRules
from limits.real_path import real_path
from limits.steps import Step

_DEAD = frozenset({errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""What is said where a file system's server has gone, as that of a FUSE mount in /tmp."""


@dataclass(frozen=True)
class EnterLandlock(Step):
    """Paths are looked up when it is executed: in the root that the process has by then.

    They are followed through symlinks: a tenant who puts one into a path of its own widens
    what Landlock allows, not what its uid may do.
    """

    rules: LandlockRules
    abi: int
    key: ClassVar[str] = "landlock"

    def describe(self) -> str:
        writable = ", ".join(self.rules.writable) or "nothing"
        return f"allow changes below {writable} only, by Landlock {self.abi}"

    def execute(self) -> None:
        ruleset = self.ruleset()
        try:
            kernel.restrict_self(ruleset)
        finally:
            os.close(ruleset)

    def ruleset(self) -> int:
        """Return a descriptor of the rules, which restrict nobody yet; raise OSError."""
        handled = self.rules.handled_fs(self.abi)
        ruleset = kernel.create_ruleset(
            handled, self.rules.handled_net(self.abi), self.rules.scoped(self.abi)
        )
        try:
            for path, rights in _resolved(self.rules).allowed(_list_folder).items():
                _allow(ruleset, path, rights & handled)
        except OSError:
            os.close(ruleset)
            raise
        return ruleset


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return  # out of reach for the process, too
    except OSError as error:
        if error.errno in _DEAD:
            return  # and nobody else comes to what lies there
        raise
    try:
        _allow_what_fits(ruleset, fd, rights)
    finally:
        os.close(fd)


def _allow_what_fits(ruleset: int, fd: int, rights: int) -> None:
    """A file gets no rights that only folders have. Which of them it is the kernel knows, and we do
    not ask: fstat() waits for a file system that others serve, and opening its root does not."""
    if not rights:
        return
    try:
        kernel.allow_beneath(ruleset, fd, rights)
    except OSError as error:
        if error.errno != errno.EINVAL or not rights & ~ON_FILES:
            raise
        _allow_what_fits(ruleset, fd, rights & ON_FILES)


def _resolved(rules: LandlockRules) -> LandlockRules:
    """What is hidden at the end of a symlink has to be hidden there."""
    return msgspec.structs.replace(
        rules,
        **{
            name: tuple(map(real_path, paths))
            for name, paths in msgspec.structs.asdict(rules).items()
            if isinstance(paths, tuple)
        },
    )


def _list_folder(path: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        yield from (entry.name for entry in entries if not entry.is_symlink())

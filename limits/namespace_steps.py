"""The steps that enter new namespaces."""

import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from typing import ClassVar

from limits import signals, syscalls
from limits.namespaces import NAMESPACES, id_map
from limits.steps import Step, VerificationFailed

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_LOOPBACK = struct.Struct("16sh14x")  # struct ifreq, with its flags


@dataclass(frozen=True)
class EnterNamespace(Step):
    """`name` is one of NAMESPACES, but "user"."""

    name: str

    @property
    def key(self) -> str:  # type: ignore[override]
        return NAMESPACES[self.name][1]

    def describe(self) -> str:
        return f"enter a new {self.name} namespace"

    def execute(self) -> None:
        syscalls.unshare(NAMESPACES[self.name][0])


@dataclass(frozen=True)
class BringLoopbackUp(Step):
    key: ClassVar[str] = "network"

    def describe(self) -> str:
        return "bring the loopback interface up"

    def execute(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
            present = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _LOOPBACK.pack(b"lo", 0))
            flags = _LOOPBACK.unpack(present)[1]
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _LOOPBACK.pack(b"lo", flags | _IFF_UP))


@dataclass(frozen=True)
class EnterUserNamespace(Step):
    """Root and the given ids are mapped to themselves; all others become nobody.

    Root inside has no power over what is outside: mounts, network and host name belong to
    the namespaces made before.
    """

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    key: ClassVar[str] = "private_users"

    def describe(self) -> str:
        return f"enter a user namespace with the users 0, {self.uids} and groups 0, {self.gids}"

    def execute(self) -> None:
        # Several ids can be mapped only from outside: by a helper that stays there.
        ready, entered = os.pipe()
        mask = signals.block_all()
        try:
            helper = os.fork()
            if helper == 0:
                self._map_from_outside(os.getppid(), ready, entered)
            try:
                syscalls.unshare(NAMESPACES["user"][0])
                os.write(entered, b"x")
            finally:
                # Without the byte the helper sees the end of the pipe, and ends.
                os.close(entered)
                status = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
        finally:
            os.close(ready)
            signals.set_mask(mask)
        if status != 0:
            raise OSError(status, f"the ids could not be mapped: {os.strerror(status)}")
        if os.getresuid() != (0, 0, 0) or os.getresgid() != (0, 0, 0):
            raise VerificationFailed(f"ids inside are {os.getresuid()} and {os.getresgid()}")

    def _map_from_outside(self, pid: int, ready: int, entered: int) -> None:
        """In the helper: exit with 0 or the errno."""
        status = 1
        try:
            os.close(entered)
            if os.read(ready, 1):
                for name, ids in (("uid_map", self.uids), ("gid_map", self.gids)):
                    fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
                    os.write(fd, id_map(ids).encode("ascii"))
            status = 0
        except OSError as error:
            status = error.errno or 1
        finally:
            os._exit(status)

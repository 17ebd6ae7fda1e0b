"""Keeps what the spawner holds in systemd's store too, which outlives even the spawner.

See sd_pid_notify_with_fds(3) and FileDescriptorStoreMax= in systemd.service(5). Names are keys
in base64, because a name may hold no colon. Nothing is raised and nothing waited for: without
systemd, or without room in its store, the queue of a socket ends with the spawner.
"""

import base64
import binascii
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import NamedTuple

LISTEN_FDS_START = 3
NAME_CHARS_MAX = 255


class FdStore:
    """The way to systemd's store; silent where there is none. Owns its socket only."""

    def __init__(self, notify_socket: str | None) -> None:
        self._socket: socket.socket | None = None
        if notify_socket:
            address = f"\0{notify_socket[1:]}" if notify_socket.startswith("@") else notify_socket
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            with contextlib.suppress(OSError):
                self._socket.connect(address)

    def put(self, key: str, fd: int) -> None:
        """Have systemd keep a copy of `fd` until `remove`."""
        name = name_of(key)
        if self._socket is not None and name is not None:
            # Unwatched: systemd would drop a socket that shows an error.
            message = f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}".encode()
            with contextlib.suppress(OSError):
                socket.send_fds(self._socket, [message], [fd])

    def remove(self, key: str) -> None:
        """Have systemd close what it keeps under `key`."""
        name = name_of(key)
        if name is not None:
            self.remove_name(name)

    def remove_name(self, name: str) -> None:
        """The same, of a name that need not be ours."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(f"FDSTOREREMOVE=1\nFDNAME={name}".encode())

    def close(self) -> None:
        """Close the way to systemd; what it keeps, it keeps."""
        if self._socket is not None:
            self._socket.close()


def name_of(key: str) -> str | None:
    """Return the name that `key` has in the store; None = too long for one."""
    name = base64.urlsafe_b64encode(os.fsencode(key)).decode("ascii")
    return name if len(name) <= NAME_CHARS_MAX else None


class Inherited(NamedTuple):
    """What systemd handed over: `held` by key; `foreign`, with their names, are none of ours,
    like the sockets of a .socket unit."""

    held: dict[str, int]
    foreign: tuple[tuple[str, int], ...] = ()


def inherited(environ: Mapping[str, str], pid: int) -> Inherited:
    """Return what systemd had kept, as sd_listen_fds_with_names(3) finds it.

    All of it is the caller's from then on.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not (count.isascii() and count.isdigit()):
        return Inherited({})
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    held, foreign = {}, []
    for fd, name in zip(
        range(LISTEN_FDS_START, LISTEN_FDS_START + int(count)), names, strict=False
    ):
        os.set_inheritable(fd, False)
        key = _key_of(name)
        if key and key not in held:
            held[key] = fd
        else:
            foreign.append((name, fd))
    return Inherited(held, tuple(foreign))


def _key_of(name: str) -> str | None:
    try:
        key = os.fsdecode(base64.urlsafe_b64decode(name))
    except (binascii.Error, ValueError):
        return None
    return key if name_of(key) == name else None

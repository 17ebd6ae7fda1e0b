"""Binds listening sockets once, and knows which vassal holds which.

Bound sockets go to the spawner at once and outlive every other process.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from emperor.brain.sleepers import Bell
from emperor.config.identity import Identity
from emperor.config.settings import ListenAddress, VassalSettings

DEFER_ACCEPT_S = 1
"""A connection is accepted when its first bytes are there, or after this long without: a
worker that took it earlier could begin another request, and keep this one waiting."""


class ListenError(Exception):
    """A socket could not be bound; str() names the URL, the reason and what to do."""


class Listeners:
    """All listening sockets by key. Owns them; `hold` and `drop` tell the spawner."""

    def __init__(self, hold: Callable[[str, int], None], drop: Callable[[str], None]) -> None:
        self._hold = hold
        self._drop = drop
        self._sockets: dict[str, socket.socket] = {}
        self._holders: dict[str, str] = {}
        self._keys: dict[str, set[str]] = {}  # the same by vassal

    def adopt(self, key: str, fd: int) -> None:
        """Take over a socket that an earlier emperor bound.

        One whose file is gone nobody could connect to: it is closed, to be bound anew.
        """
        held = socket.socket(fileno=fd)
        if key.startswith("unix:") and not os.path.lexists(key.removeprefix("unix:")):
            held.close()
            self._drop(key)
        else:
            self._sockets[key] = held

    def prepare(self, settings: VassalSettings, identity: Identity) -> list[socket.socket]:
        """Return the bound sockets of a vassal, in the order of its `listen`.

        Binds what is not bound yet; all or nothing. Raises ListenError.
        """
        for address in settings.listen:
            holder = self._holders.get(address.key, settings.name)
            if holder != settings.name:
                raise ListenError(f"{address.url}: vassal {holder} listens there already")
        bound: list[str] = []
        try:
            for address in settings.listen:
                if address.key not in self._sockets:
                    self._sockets[address.key] = bind(address, settings, identity)
                    bound.append(address.key)
        except OSError as error:
            for key in bound:
                self._close(key)
            raise ListenError(f"{address.url}: {explain(error)}") from error
        for address in settings.listen:
            # Again for those bound earlier: a backlog that was edited takes effect.
            self._sockets[address.key].listen(settings.backlog)
            self._hold_for(settings.name, address.key)
        for key in bound:
            self._hold(key, self._sockets[key].fileno())
        return [self._sockets[address.key] for address in settings.listen]

    def bells(self, settings: VassalSettings) -> tuple[Bell, ...]:
        """Return a vassal's sockets, as far as they are bound, with their protocols."""
        return tuple(
            Bell(self._sockets[address.key], address.protocol)
            for address in settings.listen
            if address.key in self._sockets
        )

    def claim(self, settings: VassalSettings) -> None:
        """Remember that a running vassal, found at the start, holds its sockets."""
        for address in settings.listen:
            if address.key in self._sockets and address.key not in self._holders:
                self._hold_for(settings.name, address.key)

    def keep_only(self, vassal: str, keys: set[str]) -> None:
        """Close what `vassal` holds besides `keys`, and remove the sockets' files."""
        for key in self._keys.get(vassal, set()) - keys:
            self._release(key)
            self._drop(key)
            self._close(key)

    def close_unclaimed(self) -> None:
        """Close adopted sockets that no vassal claimed."""
        for key in set(self._sockets) - set(self._holders):
            self._drop(key)
            self._close(key)

    def close_all(self) -> None:
        """Close everything and remove the files: the emperor stops for good."""
        for key in list(self._sockets):
            self._close(key)
        self._holders.clear()
        self._keys.clear()

    def _hold_for(self, vassal: str, key: str) -> None:
        self._holders[key] = vassal
        self._keys.setdefault(vassal, set()).add(key)

    def _release(self, key: str) -> None:
        vassal = self._holders.pop(key)
        self._keys[vassal].discard(key)
        if not self._keys[vassal]:
            del self._keys[vassal]

    def _close(self, key: str) -> None:
        held = self._sockets.pop(key)
        if key.startswith("unix:"):
            _remove_file(Path(key.removeprefix("unix:")))
        held.close()


def bind(address: ListenAddress, settings: VassalSettings, identity: Identity) -> socket.socket:
    """Return a new non-blocking listening socket for `address`; raise OSError."""
    if address.path is not None:
        return _bind_unix(address.path, settings, identity)
    return _bind_tcp(address.host, address.port or 0, settings.backlog)


def _bind_tcp(host: str, port: int, backlog: int) -> socket.socket:
    every = host == ""
    dual = every and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT_S)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        listener.bind(("::" if dual else "0.0.0.0" if every else host, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_unix(path: str, settings: VassalSettings, identity: Identity) -> socket.socket:
    folder, name = os.path.split(path)
    # Through a descriptor of the folder: whoever owns it may swap it under a path.
    folder_fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    # The mode comes from the umask: there is no moment with looser permissions.
    umask = os.umask(0o777 & ~settings.socket.mode)
    try:
        local = path if _is_ours_alone(folder_fd) else f"/proc/self/fd/{folder_fd}/{name}"
        _remove_stale(local, path)
        listener.bind(local)
        _give_to(folder_fd, name, settings, identity)
        listener.listen(settings.backlog)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(umask)
        os.close(folder_fd)
    return listener


def _is_ours_alone(folder_fd: int) -> bool:
    """Return whether only we can change the folder: then `ss` may show the true path."""
    status = os.fstat(folder_fd)
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022


def _give_to(folder_fd: int, name: str, settings: VassalSettings, identity: Identity) -> None:
    """Change the owner of the socket file that was just made, and of no other file."""
    import grp
    import pwd

    if os.geteuid() != 0:
        return
    owner, group = settings.socket.user, settings.socket.group
    uid = pwd.getpwnam(owner).pw_uid if owner else identity.uid
    gid = grp.getgrnam(group).gr_gid if group else identity.gid
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        status = os.fstat(fd)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != 0 or status.st_nlink != 1:
            raise PermissionError(1, "somebody replaced the socket while it was made")
        os.chown(f"/proc/self/fd/{fd}", uid, gid)
    finally:
        os.close(fd)


def _remove_stale(local: str, path: str) -> None:
    """Remove a socket file that nobody listens on any more; refuse anything else."""
    try:
        status = os.lstat(local)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise FileExistsError(17, f"{path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(local)
        except ConnectionRefusedError:
            os.unlink(local)
            return
        except OSError as error:
            raise FileExistsError(17, f"{path} exists: {error.strerror}") from error
    raise OSError(98, "another process listens there")


def _remove_file(path: Path) -> None:
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


def explain(error: OSError) -> str:
    """Return what an admin can do about a socket that was not bound."""
    hint = {
        2: "its folder does not exist: create it",
        13: "permission denied: choose a folder, or a port from 1024, that this user may use",
        98: "the address is in use: another process listens there",
        99: "this machine does not have that address",
    }.get(error.errno or 0)
    return hint or error.strerror or str(error)

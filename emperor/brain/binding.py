"""Binds one listening socket, whatever its kind, and makes its file its user's."""

import os
import socket
import stat
from typing import NamedTuple

from emperor.brain.socket_files import FileId
from emperor.brain.socket_owners import change_owner
from emperor.config.resolve import open_folder
from emperor.config.settings import ListenAddress, SocketMode
from emperor.config.stats_addresses import STATS, STATS_HTTP

DEFER_ACCEPT_S = 1
"""A connection is accepted when its first bytes are there, or after this long without: a
worker that took it earlier could begin another request, and keep this one waiting."""


class Bound(NamedTuple):
    """A non-blocking listening socket, and its file, if it has one."""

    listener: socket.socket
    file: FileId | None = None


def bind(address: ListenAddress, backlog: int, access: SocketMode, uid: int, gid: int) -> Bound:
    """Listen at `address`; raise OSError.

    A socket's file belongs to `uid` and `gid`, unless `access` names others.
    """
    if address.is_abstract:
        # It is no file: there is nothing to remove later.
        return Bound(_bind_abstract(address.path or "", backlog))
    if address.file is not None:
        return _bind_unix(address.file, backlog, access, uid, gid)
    # Who asks for statistics sends nothing.
    speaks_first = address.protocol not in (STATS, STATS_HTTP)
    return Bound(_bind_tcp(address.host, address.port or 0, backlog, speaks_first))


def _bind_abstract(name: str, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind("\0" + name.removeprefix("@"))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_tcp(host: str, port: int, backlog: int, speaks_first: bool) -> socket.socket:
    every = host == ""
    dual = every and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if speaks_first:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT_S)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        listener.bind(("::" if dual else "0.0.0.0" if every else host, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_unix(path: str, backlog: int, access: SocketMode, uid: int, gid: int) -> Bound:
    folder, name = os.path.split(path)
    # Through a descriptor of the folder: whoever owns it may swap it under a path.
    folder_fd = open_folder(folder)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    # The mode comes from the umask: there is no moment with looser permissions.
    umask = os.umask(0o777 & ~access.mode)
    try:
        local = path if _is_ours_alone(folder_fd) else f"/proc/self/fd/{folder_fd}/{name}"
        _remove_stale(local, path)
        listener.bind(local)
        file = _give_to(folder_fd, name, access, uid, gid)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(umask)
        os.close(folder_fd)
    return Bound(listener, file)


def _is_ours_alone(folder_fd: int) -> bool:
    """Return whether only we can change the folder: then `ss` may show the true path."""
    status = os.fstat(folder_fd)
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022


def _give_to(folder_fd: int, name: str, access: SocketMode, uid: int, gid: int) -> FileId:
    """Change the owner of the socket file that was just made, and of no other file; return which
    it is."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        status = os.fstat(fd)
        owner = os.geteuid()
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != owner or status.st_nlink != 1:
            raise PermissionError(1, "somebody replaced the socket while it was made")
        if stat.S_IMODE(status.st_mode) != access.mode:  # an ACL of the folder's knows no umask
            os.chmod(f"/proc/self/fd/{fd}", access.mode)
        change_owner(fd, access, uid, gid)
        return FileId(status.st_dev, status.st_ino)
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
            raise FileExistsError(
                17,
                f"{path} exists, and who listens there cannot be seen: {error.strerror}",
            ) from error
    raise OSError(98, "another process listens there")


def explain(error: OSError) -> str:
    """Return what an admin can do about a socket that was not bound."""
    hint = {
        2: "its folder does not exist: create it",
        13: "permission denied: choose a folder, or a port from 1024, that this user may use",
        98: "the address is in use: another process listens there; ss -lp tells which",
        99: "this machine does not have that address",
    }.get(error.errno or 0)
    return hint or error.strerror or str(error)

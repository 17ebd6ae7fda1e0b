"""Sockets that systemd bound for a .socket unit and hands over: sd_listen_fds(3)."""

import os
import socket
from collections.abc import Mapping

FIRST_FD = 3
FDS_MAX = 256


def handed_over(environ: Mapping[str, str], pid: int) -> dict[str, int]:
    """Return the descriptors of listening sockets by ListenAddress.key; they are the caller's.

    `pid` is this process: what was meant for another is none of ours.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not (count.isascii() and count.isdigit()):
        return {}
    found: dict[str, int] = {}
    for fd in range(FIRST_FD, FIRST_FD + min(int(count[:4]), FDS_MAX)):
        try:
            listener = socket.socket(fileno=fd)
        except OSError:
            continue
        os.set_inheritable(fd, False)
        key = _key(listener)
        listener.detach()
        if key:
            found[key] = fd
    return found


def _key(listener: socket.socket) -> str:
    """Return the key of a listening stream socket, "" = it is something else."""
    if listener.type != socket.SOCK_STREAM or not listener.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        return ""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}" if isinstance(name, str) and name else ""
    host = "" if name[0] in ("0.0.0.0", "::") else name[0]
    return f"tcp:{host}:{name[1]}"

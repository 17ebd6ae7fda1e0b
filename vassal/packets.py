"""Packets with descriptors over SOCK_SEQPACKET: the only transport between processes."""

import array
import socket
from typing import NamedTuple

RECEIVE_BYTES = 256 * 1024
FDS_MAX = 64
"""Descriptors beside one packet; the kernel's own bound is 253."""

_FD_BYTES = array.array("i").itemsize


class Packet(NamedTuple):
    """One received packet. The receiver owns `fds`; `pid` is the kernel's word, 0 = unasked."""

    data: bytes
    fds: list[int]
    pid: int = 0


class PeerGone(ConnectionError):
    """The other end was closed and everything it had sent was read."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected, non-blocking SEQPACKET sockets, close-on-exec."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.setblocking(False)
    right.setblocking(False)
    return left, right


def send(channel: socket.socket, data: bytes, fds: list[int] | None = None) -> None:
    """Send one packet without waiting; `fds` stay the caller's.

    Raises BlockingIOError when the peer reads too slowly, PeerGone when it is closed.
    """
    ancillary = []
    if fds:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    try:
        channel.sendmsg([data], ancillary, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise PeerGone(str(error)) from error


def receive(channel: socket.socket) -> Packet:
    """Return the next packet; every descriptor in it is close-on-exec.

    Raises BlockingIOError when there is none, PeerGone at the end, OSError (EMSGSIZE)
    for a truncated packet, whose descriptors are closed.
    """
    space = socket.CMSG_SPACE(FDS_MAX * _FD_BYTES) + socket.CMSG_SPACE(12)
    # recvmsg, not socket.recv_fds: that one ignores its flags.
    arguments = (RECEIVE_BYTES, space, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
    try:
        data, ancillary, flags, _ = channel.recvmsg(*arguments)
    except ConnectionResetError:
        # The kernel says once, and before all that the peer had sent, that the peer ended with
        # packets unread. Its last words are still there.
        try:
            data, ancillary, flags, _ = channel.recvmsg(*arguments)
        except ConnectionResetError as error:
            raise PeerGone(str(error)) from error
    fds = array.array("i")
    pid = 0
    for level, kind, value in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(value[: len(value) - len(value) % _FD_BYTES])
        elif kind == socket.SCM_CREDENTIALS:
            pid = array.array("i", value[:_FD_BYTES])[0]
    packet = Packet(data, list(fds), pid)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(packet.fds)
        raise OSError(90, "packet or descriptors truncated")
    if not data and not fds:
        raise PeerGone("closed")
    return packet


def close_all(fds: list[int]) -> None:
    """Close every descriptor of the list."""
    for fd in fds:
        socket.close(fd)

"""Whose the files of a vassal's sockets are: asks the host for the accounts that [socket] names."""

import errno
import os

from emperor.config.accounts import account_of, gid_of
from emperor.config.identity import Identity
from emperor.config.problems import Problem, quoted
from emperor.config.settings import Remark, SocketMode


def change_owner(fd: int, access: SocketMode, uid: int, gid: int) -> None:
    """Give the file of an O_PATH descriptor to whom `access` names, else to `uid` and `gid`: as
    far as this process may. Raises OSError."""
    path = f"/proc/self/fd/{fd}"
    if os.geteuid() == 0:
        os.chown(path, *_owners(access, uid, gid))
    elif (group := _own_group(access)) != -1:
        os.chown(path, -1, group)


def _owners(access: SocketMode, uid: int, gid: int) -> tuple[int, int]:
    """Return the uid and gid that sockets belong to, `uid` and `gid` where `access` names nobody.

    Raises OSError if there is no such account any more.
    """
    if access.user is not None:
        account = account_of(access.user)
        if account is None:
            raise OSError(errno.EINVAL, f"socket.user: {_no('user', access.user)}")
        uid = account.uid
    if access.group is not None:
        found = gid_of(access.group)
        if found is None:
            raise OSError(errno.EINVAL, f"socket.group: {_no('group', access.group)}")
        gid = found
    return uid, gid


def _own_group(access: SocketMode) -> int:
    """Return the group that an emperor without root can give sockets, -1 = the one they have."""
    gid = gid_of(access.group) if access.group is not None else None
    return gid if gid is not None and gid in os.getgroups() else -1


def strangers(access: SocketMode, file: str) -> list[Problem]:
    """Return which accounts that sockets are to be given to do not exist."""
    missing = {
        "user": access.user is not None and account_of(access.user) is None,
        "group": access.group is not None and gid_of(access.group) is None,
    }
    return [
        Problem(
            file=file,
            line=1,
            key=f"socket.{kind}",
            problem=_no(kind, getattr(access, kind)),
            remedy="create it, or write another name",
        )
        for kind, is_missing in missing.items()
        if is_missing
    ]


def not_given(access: SocketMode, identity: Identity) -> tuple[Remark, ...]:
    """Return what an emperor without root cannot do for the sockets of a vassal."""
    if os.geteuid() == 0:
        return ()
    found = []
    if access.user is not None:
        account = account_of(access.user)
        if account is not None and account.uid != identity.uid:
            found.append(("user", access.user))
    if access.group is not None and _own_group(access) == -1 and gid_of(access.group) is not None:
        if gid_of(access.group) != identity.gid:
            found.append(("group", access.group))
    return tuple(
        Remark(
            key=f"socket.{kind}",
            reason=f"{identity.user} cannot give a socket to the {kind} {quoted(name)}: "
            "run the emperor as root, or let others in with socket.mode",
        )
        for kind, name in found
    )


def _no(kind: str, name: str) -> str:
    return f"there is no {kind} {quoted(name)}"

"""Asks the host for its accounts and groups, by name or by number."""

import grp
import os
import pwd
from typing import NamedTuple


class Account(NamedTuple):
    """An entry of the user database, with the groups that the user is a member of."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    home: str
    shell: str


def account_of(user: str | None, uid: int | None = None) -> Account | None:
    """Return the account of a name, or of `uid` where there is none; None = it does not exist.

    Asks the name service, which may block on a network. So do the others.
    """
    try:
        if user is None:
            entry = pwd.getpwuid(-1 if uid is None else uid)
        elif user.isdecimal():
            entry = pwd.getpwuid(int(user))
        else:
            entry = pwd.getpwnam(user)
    except (KeyError, OverflowError):
        return None
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    shell = entry.pw_shell or "/bin/sh"
    home = entry.pw_dir or "/"
    return Account(entry.pw_uid, entry.pw_gid, groups, entry.pw_name, home, shell)


def own_account() -> Account:
    """Return what this process is. In a container its uid may have no name."""
    uid = os.geteuid()
    known = account_of(None, uid)
    return Account(
        uid=uid,
        gid=os.getegid(),
        groups=tuple(os.getgroups()),
        user=known.user if known else str(uid),
        home=known.home if known else "/",
        shell=known.shell if known else "/bin/sh",
    )


def gid_of(group: str) -> int | None:
    """Return the gid of a group; None = it does not exist."""
    try:
        if group.isdecimal():
            return grp.getgrgid(int(group)).gr_gid
        return grp.getgrnam(group).gr_gid
    except (KeyError, OverflowError):
        return None

"""Access to files as somebody else, for one thread, for a moment: setfsuid(2) and its like.

Leaving uid 0 in this way takes the capabilities that go past permissions of files out of the
effective set, and coming back puts them in again (capabilities(7)).
"""

import contextlib
import os
from collections.abc import Iterator, Sequence

from limits import syscalls


@contextlib.contextmanager
def acting_as(uid: int, gid: int, groups: Sequence[int]) -> Iterator[None]:
    """Open and look for files with the rights of this user, in this thread alone.

    Raises PermissionError, with nothing changed, where the process may not.
    """
    own_groups = os.getgroups()
    own_uid, own_gid = os.geteuid(), os.getegid()
    try:
        syscalls.set_thread_groups(groups)
    except OSError as error:
        raise PermissionError(error.errno, "files cannot be read as their owner") from error
    try:
        syscalls.setfsgid(gid)
        syscalls.setfsuid(uid)
        # Neither call tells whether it did anything; a second one tells what is.
        if (syscalls.setfsgid(-1), syscalls.setfsuid(-1)) != (gid, uid):
            raise PermissionError(1, "files cannot be read as their owner")
        yield
    finally:
        syscalls.setfsuid(own_uid)
        syscalls.setfsgid(own_gid)
        syscalls.set_thread_groups(own_groups)

"""Thin wrappers of the mount calls that descriptors, not path strings, are given to.

All of them are in Linux 5.12. Each raises OSError as the kernel said it; descriptors that
are returned are close-on-exec and the caller's. Nothing here decides anything.
"""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
# The number and six arguments, each as wide as a register: a descriptor, flags, or an address.
# Said once, it need not be found out at each of the hundreds of calls of a birth.
_libc.syscall.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * 6]
_ZEROS = (0,) * 6

# Since Linux 5.0 new calls have one number on every architecture but alpha.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_FSOPEN = 430
_SYS_FSCONFIG = 431
_SYS_FSMOUNT = 432
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442

AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_EMPTY_PATHS = 0x04 | 0x40  # of source and target
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_IN_ROOT = 0x10
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2

RDONLY = 0x1
NOSUID = 0x2
NODEV = 0x4
NOEXEC = 0x8


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def is_available() -> bool:
    """Return whether the kernel has these calls and no filter of a container forbids them."""
    try:
        _call(_SYS_MOUNT_SETATTR, -1, b"", 0, None, 0)
    except OSError as error:
        # A size of 0 is refused before anything else is looked at.
        return error.errno not in (38, 1)  # ENOSYS, EPERM
    return True


def open_inside(folder: int, path: str, flags: int = os.O_PATH) -> int:
    """Open `path` with `folder` as the root that cannot be left; any symlink is ELOOP."""
    return _open(folder, path, flags, _RESOLVE_IN_ROOT)


def has_no_link(path: str) -> bool:
    """Return whether the path leads somewhere without a symlink; False also when nobody can say."""
    try:
        os.close(_open(AT_FDCWD, path, os.O_PATH))
    except OSError:
        return False
    return True


def _open(folder: int, path: str, flags: int, resolve: int = 0) -> int:
    resolve |= _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    return _call(_SYS_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))


def clone_tree(fd: int, recursive: bool = True) -> int:
    """Return a detached copy of the mount that `fd` lies in, from there on downwards."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH
    return _call(_SYS_OPEN_TREE, fd, b"", flags | (_AT_RECURSIVE if recursive else 0))


def attach(tree: int, target: int) -> None:
    """Mount the detached `tree` on what `target` is open at; both must be of one kind."""
    _call(_SYS_MOVE_MOUNT, tree, b"", target, b"", _MOVE_MOUNT_EMPTY_PATHS)


def new_filesystem(kind: str, options: dict[str, str], attributes: int) -> int:
    """Return a detached mount of a new filesystem of this kind."""
    context = _call(_SYS_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC)
    try:
        for name, value in options.items():
            _call(_SYS_FSCONFIG, context, _FSCONFIG_SET_STRING, name.encode(), value.encode(), 0)
        _call(_SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(_SYS_FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def set_attributes(fd: int, attributes: int, recursive: bool) -> None:
    """Add attributes to the mount whose root `fd` is; EINVAL when it is no mount's root."""
    _mount_setattr(fd, b"", _MountAttributes(set=attributes), recursive)


def make_all_private() -> None:
    """Cut every mount of this namespace off from the events of others."""
    _mount_setattr(AT_FDCWD, b"/", _MountAttributes(propagation=_MS_PRIVATE), True)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root and mount the old one on `put_old`."""
    _check(_libc.pivot_root(os.fsencode(new_root), os.fsencode(put_old)))


def detach(path: str) -> None:
    """Unmount what is on `path` and below, at once for all who would still look there."""
    _check(_libc.umount2(os.fsencode(path), ctypes.c_int(_MNT_DETACH)))


def _mount_setattr(fd: int, path: bytes, wanted: _MountAttributes, recursive: bool) -> None:
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _call(_SYS_MOUNT_SETATTR, fd, path, flags, ctypes.byref(wanted), ctypes.sizeof(wanted))


def _call(number: int, *arguments: object) -> int:
    return _check(_libc.syscall(number, *arguments, *_ZEROS[len(arguments) :]))


def _check(result: int) -> int:
    if result == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result

"""Disk quotas of users by quotactl(2): how much of a file system one uid may fill.

For disk_quota and inode_quota on ext4 and xfs. Soft limits are set like the hard ones, so
that there is no time of grace.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

import msgspec

from limits import syscalls
from limits.rlimits import INFINITY

_SYS_QUOTACTL_FD = 443  # Linux 5.14, on every architecture
_NUMBERS = {"x86_64": 179, "aarch64": 60, "riscv64": 60, "loongarch64": 60, "armv7l": 131}

_GET = 0x800007
_SET = 0x800008
_STATE = 0x5805  # Q_XGETQSTAT of linux/dqblk_xfs.h, which answers for ext4 too
_USER = 0

_BLOCK = 1024  # QIF_DQBLKSIZE: the unit of the limits; what is used counts in bytes
_LIMIT_BLOCKS = 1
_LIMIT_INODES = 4

_STATE_SIZE = 128  # struct fs_quota_stat is 80 bytes
_FLAGS_AT = 2
_ENFORCED = 2  # FS_QUOTA_UDQ_ENFD


class QuotaUnavailable(Exception):
    """Quotas cannot be set here; the text says why, and what to do."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """What one uid uses of a file system and may use; a maximum of None = no limit."""

    used_bytes: int = 0
    used_inodes: int = 0
    bytes_max: int | None = None
    inodes_max: int | None = None


class _Dqblk(ctypes.Structure):
    """struct if_dqblk of linux/quota.h."""

    _fields_ = (
        ("bhardlimit", ctypes.c_uint64),
        ("bsoftlimit", ctypes.c_uint64),
        ("curspace", ctypes.c_uint64),
        ("ihardlimit", ctypes.c_uint64),
        ("isoftlimit", ctypes.c_uint64),
        ("curinodes", ctypes.c_uint64),
        ("btime", ctypes.c_uint64),
        ("itime", ctypes.c_uint64),
        ("valid", ctypes.c_uint32),
    )


def get_quota(path: str, uid: int) -> Quota:
    """Return the uid's quota on the file system that `path` is on; raise QuotaUnavailable."""
    block = _Dqblk()
    try:
        _quotactl(path, _GET, uid, block)
    except OSError as error:
        if error.errno == errno.ENOENT and Path(path).exists():
            return Quota()  # xfs: this uid has neither files nor limits
        raise _unavailable(path, error) from error
    return Quota(
        used_bytes=block.curspace,
        used_inodes=block.curinodes,
        bytes_max=block.bhardlimit * _BLOCK or None,
        inodes_max=block.ihardlimit or None,
    )


def set_quota(path: str, uid: int, bytes_max: int | None, inodes_max: int | None) -> None:
    """Limit the uid on the file system that `path` is on; None = leave as is, INFINITY = no limit.

    Less than is used already is legal: nothing more can be written then. Raises
    QuotaUnavailable, also where the kernel would count and not enforce, and ValueError for
    uid 0, which no quota binds, or a limit of 0.
    """
    if uid == 0:
        raise ValueError("root is not bound by quotas")
    block = _Dqblk()
    if bytes_max is not None:
        block.bhardlimit = block.bsoftlimit = _limit("disk_quota", bytes_max, _BLOCK)
        block.valid |= _LIMIT_BLOCKS
    if inodes_max is not None:
        block.ihardlimit = block.isoftlimit = _limit("inode_quota", inodes_max, 1)
        block.valid |= _LIMIT_INODES
    if not block.valid:
        return
    try:
        if not _is_enforced(path):
            raise QuotaUnavailable(
                f"{path}: user quotas are counted, but not enforced; mount its file system "
                "with usrquota (ext4) or uquota (xfs)"
            )
        _quotactl(path, _SET, uid, block)
    except OSError as error:
        raise _unavailable(path, error) from error


def _limit(key: str, value: int, unit: int) -> int:
    """Return the limit in units, rounded up; 0 is the kernel's word for none."""
    if value == INFINITY:
        return 0
    if value <= 0:
        raise ValueError(f"{key} {value} is not above 0")
    return -(-value // unit)


def _is_enforced(path: str) -> bool:
    """ext4 with the quota feature, mounted without usrquota, takes limits and ignores them."""
    state = ctypes.create_string_buffer(_STATE_SIZE)
    try:
        _quotactl(path, _STATE, 0, state)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return True  # quotas are off: the call that sets them says how
        raise
    return bool(int.from_bytes(state.raw[_FLAGS_AT : _FLAGS_AT + 2], sys.byteorder) & _ENFORCED)


_Answer = _Dqblk | ctypes.Array[ctypes.c_char]


def _quotactl(path: str, command: int, uid: int, block: _Answer) -> None:
    number = command << 8 | _USER
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.call(_SYS_QUOTACTL_FD, fd, number, uid, ctypes.addressof(block))
        return
    except OSError as error:
        # ENOSYS is also how a file system without quotas answers: then the older call says so.
        if error.errno != errno.ENOSYS:
            raise
        device = os.fstat(fd).st_dev
    finally:
        os.close(fd)
    _quotactl_by_device(path, device, number, uid, block)


def _quotactl_by_device(path: str, device: int, number: int, uid: int, block: _Answer) -> None:
    """Before Linux 5.14 the file system is named by its block device."""
    machine = os.uname().machine
    if os.major(device) == 0 or machine not in _NUMBERS:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    special = ctypes.create_string_buffer(os.fsencode(_device_node(path, device)))
    syscalls.call(
        _NUMBERS[machine], number, ctypes.addressof(special), uid, ctypes.addressof(block)
    )


def _device_node(path: str, device: int) -> str:
    _, source = _mount_of(device)
    return source or f"/dev/block/{os.major(device)}:{os.minor(device)}"


def _mount_of(device: int) -> tuple[str, str]:
    """Return type and source of the file system with this device number, ("", "") if unknown."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
        before, _, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if len(fields) > 2 and fields[2] == wanted and len(described) > 1:
            return described[0], described[1]
    return "", ""


def _unavailable(path: str, error: OSError) -> QuotaUnavailable:
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    try:
        kind, source = _mount_of(os.stat(path).st_dev)
    except OSError:
        kind, source = "", ""
    where = f"{path} ({kind} on {source})" if kind else path
    if error.errno == errno.ESRCH:
        how = (
            "mount it with uquota" if kind == "xfs" else "tune2fs -O quota, or mount with usrquota"
        )
        return QuotaUnavailable(f"{where}: user quotas are off ({name}); mount it with {how}")
    if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTBLK, errno.EINVAL):
        return QuotaUnavailable(
            f"{where}: this file system or kernel has no user quotas ({name}); "
            "put the files on ext4 or xfs with quotas on"
        )
    if error.errno in (errno.EPERM, errno.EACCES):
        return QuotaUnavailable(f"{where}: quotas need CAP_SYS_ADMIN ({name})")
    return QuotaUnavailable(f"{where}: {error.strerror} ({name})")

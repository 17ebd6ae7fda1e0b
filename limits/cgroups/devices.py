"""Finds the disk behind a path, as "MAJOR:MINOR", for io.max and io.latency."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path


class NoDevice(Exception):
    """There is no disk behind the path whose traffic could be limited."""


def device_of(path: str) -> str:
    """Return the whole disk that the path's file system is on; raise NoDevice."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise NoDevice(f"{path}: {error.strerror}") from error
    number = status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev
    if os.major(number) == 0:
        raise NoDevice(
            f"{path}: its file system (tmpfs, overlay, btrfs, nfs or the like) has no disk of its "
            "own; name the disk, for example /dev/vda, or a path on ext4 or xfs"
        )
    return whole_disk(f"{os.major(number)}:{os.minor(number)}")


def whole_disk(name: str, sysfs: str = "/sys") -> str:
    """Return the disk of a partition, because the kernel limits disks; others stay themselves.

    So does a device-mapper or md device: requests are counted where they are made.
    """
    entry = Path(sysfs, "dev", "block", name)
    if not (entry / "partition").exists():
        return name
    try:
        return (entry.resolve().parent / "dev").read_text(encoding="ascii").strip()
    except OSError as error:
        raise NoDevice(f"the disk of the partition {name}: {error.strerror}") from error


def resolve(paths: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the devices of the paths, and of the others why they have none."""
    devices: dict[str, str] = {}
    problems: dict[str, str] = {}
    for path in paths:
        try:
            devices[path] = device_of(path)
        except NoDevice as error:
            problems[path] = str(error)
    return devices, problems

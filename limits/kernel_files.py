"""Reads and writes the kernel's small files (/proc, /sys) with three system calls each.

Every master does this in its birth. Paths, text streams and codecs would be run there too, and
what CPython runs it writes into: a quarter of a megabyte that is then no longer shared.
"""

import os

_BYTES = 64 * 1024


def read(path: str) -> str:
    """Return a whole file; bytes that are not UTF-8 come as surrogates, as in os.fsdecode()."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, _BYTES):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def write(path: str, text: str) -> None:
    """Write `text` in one call, as the kernel wants it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)

"""Which code this process runs: masters of one digest are of the same code.

A master says its own; an emperor that was upgraded knows by it who still runs the older one.
"""

import os
import zlib

_PACKAGES = ("vassal", "limits")
"""What a master runs, and what it has its molds run."""


def _digest() -> str:
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = 0
    for package in _PACKAGES:
        for folder, folders, files in os.walk(os.path.join(root, package)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    status = os.stat(path)
                    line = f"{path[len(root) :]} {status.st_size} {status.st_mtime_ns}\n"
                    found = zlib.crc32(line.encode(), found)
    return f"{found:08x}"


DIGEST = _digest()
"""Of this process's code as it was when it was loaded: from sizes and times, for nobody to wait."""

"""What ps shows of a process."""

import os
from pathlib import Path

import prctl


def set_title(title: str) -> None:
    """Show `title`, as much of it as fits, in place of the command line.

    python-prctl looks for the command line before the first variable of the environment, and
    crashes where that is not what the kernel put there: none was given (`env -i`), or Python
    or we have set it since. Then the command line stays.
    """
    given = Path("/proc/self/environ").read_bytes().partition(b"\0")[0]
    first = next(iter(os.environb.items()), None)
    if first is not None and b"=".join(first) == given:
        prctl.set_proctitle(title)

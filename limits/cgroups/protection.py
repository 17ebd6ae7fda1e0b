"""Passes memory_low and memory_min up the tree.

A cgroup is protected only as far as every cgroup above it: so each of those must be
promised what the ones below it are, together.
"""

from collections.abc import Iterable

from limits.cgroups import files
from limits.cgroups.files import Failed
from limits.cgroups.names import TENANTS, WORKLOAD, parent

PROTECTIONS = ("memory.low", "memory.min")

_KEYS = {"memory.low": ("memory_low",), "memory.min": ("memory_min",)}


def pass_up(root: str, app: str, private: bool) -> list[Failed]:
    """Let those above an app's workload protect what they must; return what failed.

    Also after the app's removal. What a customer's slice was promised by itself is
    overwritten by the sum of its apps. The root is ours to write if it is `private`.
    """
    failed = []
    above = [app, parent(app), TENANTS] + ([""] if private else [])
    for file in PROTECTIONS:
        below = [f"{root}/{app}/{WORKLOAD}"]
        for path in above:
            directory = f"{root}/{path}" if path else root
            now = files.read(f"{directory}/{file}")
            if now is None:  # no such file, or the cgroup was removed
                continue
            if path != app:
                below = [f"{directory}/{name}" for name in files.children(directory)]
            wanted = total(files.read(f"{one}/{file}") for one in below)
            if now.strip() == wanted:
                break  # and so it is above
            failure = files.try_write(f"{directory}/{file}", wanted, _KEYS[file])
            if failure is not None:
                failed.append(failure)
    return failed


def total(texts: Iterable[str | None]) -> str:
    """Return the sum of what the files say; "max" is more than any."""
    amounts = [text.strip() for text in texts if text]
    if "max" in amounts:
        return "max"
    return str(sum(map(int, amounts)))

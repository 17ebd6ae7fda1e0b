"""Decides which namespaces a sandbox needs, and which ids one of users maps. Pure.

That of pids is not among them: it begins with a fork, which is `limits.pidns`.
"""

from collections.abc import Iterable

from limits.directives import Sandbox

NAMESPACES: dict[str, tuple[int, str]] = {
    "mnt": (0x00020000, ""),
    "ipc": (0x08000000, "private_ipc"),
    "uts": (0x04000000, "protect_hostname"),
    "net": (0x40000000, "network"),
    "cgroup": (0x02000000, "protect_control_groups"),
    "user": (0x10000000, "private_users"),
}
"""Name in /proc/PID/ns → CLONE_NEW* flag and the directive that asks for it, in order."""


def namespaces_for(sandbox: Sandbox, has_root: bool) -> tuple[str, ...]:
    """Return the names of the namespaces that are needed, in the order of making.

    `has_root`: the sandbox leads to a private root.
    """
    wanted = {
        "ipc": sandbox.private_ipc,
        "uts": sandbox.protect_hostname,
        "net": sandbox.network == "none",
        "cgroup": sandbox.protect_control_groups,
        "user": sandbox.private_users,
        "mnt": has_root,
    }
    return tuple(name for name in NAMESPACES if wanted[name])


def id_map(ids: Iterable[int]) -> str:
    """Return the text of a uid_map or gid_map that maps root and `ids` to themselves."""
    ranges: list[list[int]] = []
    for number in sorted({0, *ids}):
        if ranges and number == sum(ranges[-1]):
            ranges[-1][1] += 1
        else:
            ranges.append([number, 1])
    return "".join(f"{first} {first} {count}\n" for first, count in ranges)

"""Decides the Landlock rules of a vassal. Pure; only the brain asks.

With namespaces, mounts do the work, and Landlock is the second wall: it only says once more
what can be written. Without them it is the only one, and also hides what is not to be seen.
"""

from collections.abc import Iterable

from limits.directives import Sandbox, Subject
from limits.landlock import LandlockRules

HOMES = ("/home", "/root", "/run/user")
SYSTEM = ("/usr", "/boot", "/efi")

_SCRATCH = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue")
_DEVICES = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
)


def landlock_rules(sandbox: Sandbox, subject: Subject, namespaces: bool) -> LandlockRules | None:
    """Return the rules, None where Landlock is switched off.

    `namespaces`: the vassal has mount and network namespaces of its own.
    """
    if not sandbox.landlock:
        return None
    homes = tuple(path for path, _ in subject.homes)
    others_homes = [path for path in HOMES if path not in homes]
    writable = [
        *_SCRATCH,
        *(path for path, may_write in subject.homes if may_write),
        *sandbox.read_write_paths,
        *(b.target for b in sandbox.bind_paths if namespaces or b.source == b.target),
        *(sandbox.temporary_file_system if namespaces else ()),
    ]
    read_only: list[str] = []
    if sandbox.protect_system != "strict":
        writable.append("/")
        read_only += _system(sandbox.protect_system)
        read_only += others_homes if sandbox.protect_home != "no" else ()
    hidden: list[str] = []
    if not namespaces:
        # Mounts can do this without the price that `landlock.cover` names.
        read_only += sandbox.read_only_paths
        read_only += (bind.target for bind in sandbox.bind_read_only_paths)
        hidden += others_homes if sandbox.protect_home in ("true", "tmpfs") else ()
        # Inside a home, hiding would close the folders above to listing, and so to imports.
        hidden += (path for path in subject.hidden if not _is_in_one_of(path, homes))
        hidden += sandbox.inaccessible_paths
    alone = not namespaces and sandbox.network == "none"
    return LandlockRules(
        writable=_unique(writable),
        read_only=_unique(read_only),
        writable_files=("/proc", *(_DEVICES if sandbox.private_devices else ("/dev",))),
        hidden=_unique(hidden),
        visible=_unique((*homes, *writable)) if hidden else (),
        no_exec=() if namespaces else _unique(sandbox.no_exec_paths),
        deny_tcp_bind=alone,
        deny_tcp_connect=alone,
    )


def _is_in_one_of(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _unique(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(paths))


def _system(protect_system: str) -> tuple[str, ...]:
    return {"no": (), "true": SYSTEM, "full": (*SYSTEM, "/etc")}[protect_system]

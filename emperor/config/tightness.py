"""Which of two values of a key gives a tenant less. Pure.

A rule compares what a file asks for with what its owner would have without the file.
Equal is always within. The order is partial: what cannot be compared is not within.
"""

import ipaddress
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from limits.directives import Bind, TemporaryFileSystem
from limits.rlimits import INFINITY
from limits.seccomp.filters import allowed_names

Within = Callable[[Any, Any], bool]

NAMESPACES = ("cgroup", "ipc", "net", "mnt", "pid", "user", "uts")
EMPERORS_LOG = "inherit"
NO_FAMILY = ("none",)
"""restrict_address_families: no socket can be made at all."""


class Rule(NamedTuple):
    """`remedy` is what to write instead; "{}" in it is the granted value. `problem` is what is
    wrong, "" = that it is more than is granted."""

    within: Within
    remedy: str
    problem: str = ""


def _ceiling(value: float | None) -> float:
    return float("inf") if value is None or value == INFINITY else value


def _at_most(asked: float | None, granted: float | None) -> bool:
    return _ceiling(asked) <= _ceiling(granted)


def least(asked: int, granted: int) -> int:
    """Return the smaller of two bounds."""
    return asked if _at_most(asked, granted) else granted


def _at_most_zero_is_none(asked: float, granted: float) -> bool:
    """0 turns this limit off."""
    return not granted or (bool(asked) and asked <= granted)


def at_most_or(absent: float) -> Rule:
    """Smaller is tighter; None counts as `absent`."""
    return Rule(
        lambda asked, granted: (
            (absent if asked is None else asked) <= (absent if granted is None else granted)
        ),
        "write at most {}",
    )


def at_least_or(absent: float) -> Rule:
    """Larger is tighter; None counts as `absent`."""
    return Rule(
        lambda asked, granted: (
            (absent if asked is None else asked) >= (absent if granted is None else granted)
        ),
        "write at least {}",
    )


def ordered(*words: str | None) -> Rule:
    """The later of `words`, the tighter."""
    return Rule(
        lambda asked, granted: words.index(asked) >= words.index(granted),
        "write {}, or remove the line",
    )


def _subset(asked: Sequence[object] | None, granted: Sequence[object] | None) -> bool:
    """None is everything."""
    if granted is None:
        return True
    return asked is not None and set(asked) <= set(granted)


def _bounded_table(asked: Mapping[str, int], granted: Mapping[str, int]) -> bool:
    """Every entry limits: more entries and smaller ones are tighter."""
    return all(name in asked and _at_most(asked[name], bound) for name, bound in granted.items())


def _hard_at_most(asked: tuple[int, int], granted: tuple[int, int]) -> bool:
    """What a process may raise by itself, its soft limit, bounds nothing."""
    return _at_most(asked[1], granted[1])


def is_inside(path: str, folder: str) -> bool:
    """Return whether `path` is `folder` or lies in it; both absolute and without dots."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _covers(asked: Sequence[str], granted: Sequence[str]) -> bool:
    """Every path that is hidden stays hidden, itself or with a folder above it."""
    return all(any(is_inside(path, above) for above in asked) for path in granted)


def _still_listed(asked: Sequence[str], granted: Sequence[str]) -> bool:
    return set(granted) <= set(asked)


def _inside(asked: Sequence[str], granted: Sequence[str]) -> bool:
    return all(any(is_inside(path, folder) for folder in granted) for path in asked)


def _binds_inside(asked: Sequence[Bind], granted: Sequence[Bind]) -> bool:
    """A part of a granted folder may be shown, at its own place in it and no other."""
    return all(any(_is_part(bind, whole) for whole in granted) for bind in asked)


def _is_part(bind: Bind, whole: Bind) -> bool:
    if not is_inside(bind.source, whole.source) or not is_inside(bind.target, whole.target):
        return False
    return posixpath.relpath(bind.source, whole.source) == posixpath.relpath(
        bind.target, whole.target
    )


def _tmp_at_most(asked: TemporaryFileSystem | None, granted: TemporaryFileSystem | None) -> bool:
    """None is the host's /tmp."""
    if granted is None:
        return True
    return asked is not None and asked.size <= granted.size and asked.inodes <= granted.inodes


def _same_file_systems(
    asked: Mapping[str, TemporaryFileSystem], granted: Mapping[str, TemporaryFileSystem]
) -> bool:
    """One more would be room to write in, one less would uncover what it hides."""
    return asked.keys() == granted.keys() and all(
        _tmp_at_most(asked[path], granted[path]) for path in granted
    )


def allowed_namespaces(value: bool | Sequence[str]) -> frozenset[str]:
    """Return the namespaces that may be made."""
    if isinstance(value, bool):
        return frozenset() if value else frozenset(NAMESPACES)
    return frozenset(value)


def _namespaces(asked: bool | Sequence[str], granted: bool | Sequence[str]) -> bool:
    return allowed_namespaces(asked) <= allowed_namespaces(granted)


def _families(asked: tuple[str, ...], granted: tuple[str, ...]) -> bool:
    """() is not restricted."""
    if not granted or asked == NO_FAMILY:
        return True
    return bool(asked) and set(asked) <= set(granted)


def _filter(asked: Sequence[str], granted: Sequence[str]) -> bool:
    """() is no filter."""
    if not granted:
        return True
    return bool(asked) and allowed_names(asked) <= allowed_names(granted)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def contains(outer: Network, inner: Network) -> bool:
    """Return whether all addresses of `inner` are in `outer`."""
    if isinstance(outer, ipaddress.IPv4Network):
        return isinstance(inner, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, ipaddress.IPv6Network) and inner.subnet_of(outer)


def networks(texts: Sequence[str]) -> list[Network]:
    """Return networks in CIDR notation as values."""
    return [ipaddress.ip_network(text) for text in texts]


def _networks_inside(asked: Sequence[str], granted: Sequence[str]) -> bool:
    outer = networks(granted)
    return all(any(contains(each, inner) for each in outer) for inner in networks(asked))


def _on_unsupported(asked: str | None, granted: str | None) -> bool:
    order = ("warn", None, "fail")
    return order.index(asked) >= order.index(granted)


def allowed_beside(allow: Sequence[str], granted: Sequence[str], denied: Sequence[str]) -> bool:
    """Return whether `allow` lets nothing through that `denied` stops and `granted` does not."""
    inside, walls = networks(granted), networks(denied)
    for asked in networks(allow):
        if any(contains(each, asked) for each in inside):
            continue
        if any(contains(asked, wall) or contains(wall, asked) for wall in walls):
            return False
    return True


AT_MOST = Rule(_at_most, "write at most {}")
WORKERS = Rule(lambda asked, granted: asked.max <= granted.max, "write at most {}")
AT_MOST_ZERO_IS_NONE = Rule(_at_most_zero_is_none, "write at most {}, and not 0")
SWITCHED_ON = Rule(lambda asked, granted: asked or not granted, "write true, or remove the line")
SWITCHED_OFF = Rule(lambda asked, granted: granted or not asked, "write false, or remove the line")
SUBSET = Rule(_subset, "write some of {}")
BOUNDED_TABLE = Rule(_bounded_table, "write no more than {} for each of these")
RLIMIT = Rule(_hard_at_most, "write at most {}")
PROVIDERS = Rule(
    lambda asked, granted: bool(asked == granted),
    "remove it, or let root own the file",
    "is for the provider to say",
)
LOG = Rule(
    lambda asked, granted: asked != EMPERORS_LOG or bool(granted == EMPERORS_LOG),
    'write "file", "journal", or a path like "log/app.log"',
    "is the emperor's own log, which no tenant writes into",
)
COVERS = Rule(_covers, "keep {} in the list")
STILL_LISTED = Rule(_still_listed, "keep {} in the list")
INSIDE = Rule(_inside, "write paths inside of {}")
BINDS = Rule(_binds_inside, "write parts of {}")
PRIVATE_TMP = Rule(_tmp_at_most, "write at most {}")
FILE_SYSTEMS = Rule(_same_file_systems, "write the paths of {}, and no larger sizes")
NAMESPACES_RULE = Rule(_namespaces, "write {}, or remove the line")
FILTER = Rule(_filter, 'write {}, and after it only what you take out, like "~@keyring"')
FAMILIES = Rule(_families, "write some of {}")
NETWORKS_INSIDE = Rule(_networks_inside, "write networks inside of {}")
DENIED = Rule(lambda asked, granted: _networks_inside(granted, asked), "keep {} in the list")
ON_UNSUPPORTED = Rule(_on_unsupported, 'write "fail", or remove the line')

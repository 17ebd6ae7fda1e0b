"""What vassals with one sandbox share of their roots is as if each had been arranged by itself."""

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limits.directives import Sandbox, Subject
from limits.mounts import AnyMount, Cover, Show
from limits.root import private_root

NOWHERE = "/nowhere-at-all"

places = st.sampled_from(
    [
        "/srv",
        "/srv/blog",
        "/srv/blog/app",
        "/home/anna",
        "/home/anna/blog",
        "/root",
        "/usr",
        "/usr/lib",
        "/tmp/blog",
        "/dev/shm/blog",
        "/run/emperor/blog",
        "/var/log/emperor/blog",
        "/proc/sys/net",
        "/opt",
        "/opt/x",
        "/opt/a/b/c",
        "/opt/a/b/c/d",
    ]
)
homes = st.lists(st.tuples(places, st.booleans()), max_size=6).map(tuple)
sandboxes = st.builds(
    Sandbox,
    protect_system=st.sampled_from(["no", "true", "full", "strict"]),
    protect_home=st.sampled_from(["no", "true", "read-only", "tmpfs"]),
    private_devices=st.booleans(),
    protect_kernel_tunables=st.booleans(),
    root_directory=st.sampled_from([None, "/srv/root"]),
)
hidden = st.lists(
    st.sampled_from(
        ["/run/emperor", "/var/log/emperor", "/srv/blog/secret", "/opt", "/opt/a/b", "/opt/a/b/c"]
    ),
    unique=True,
    max_size=4,
).map(tuple)


def subject(homes: tuple[tuple[str, bool], ...], hidden: tuple[str, ...]) -> Subject:
    return Subject(
        vassal="blog", customer="anna", uid=33, gid=34, groups=(), homes=homes, hidden=hidden
    )


def mounts_of(sandbox: Sandbox, who: Subject) -> tuple[AnyMount, ...]:
    root = private_root(sandbox, who)
    assert root is not None
    return root.mounts


def by_itself(sandbox: Sandbox, who: Subject) -> tuple[AnyMount, ...]:
    """Whoever has written a path is arranged alone: here one that changes nothing else."""
    written = msgspec.structs.replace(sandbox, inaccessible_paths=(f"-{NOWHERE}",))
    return tuple(mount for mount in mounts_of(written, who) if mount.path != NOWHERE)


@settings(max_examples=500, deadline=None)
@given(sandboxes, homes, hidden)
# Hidden within what is hidden, and needed again since a home has opened the outer one.
@example(Sandbox(), (("/opt/x", True), ("/opt/a/b/c/d", True)), ("/opt", "/opt/a/b/c"))
def test_homes_are_put_where_they_would_be(
    sandbox: Sandbox, homes: tuple[tuple[str, bool], ...], hidden: tuple[str, ...]
) -> None:
    who = subject(homes, hidden)
    assert mounts_of(sandbox, who) == by_itself(sandbox, who)


@pytest.mark.parametrize("first", ["/home/anna/blog", "/srv/blog"])
def test_one_vassals_homes_are_not_anothers(first: str) -> None:
    mounts_of(Sandbox(), subject(((first, True),), ()))
    other = mounts_of(Sandbox(), subject((("/home/bert", False),), ()))
    assert not any(mount.path == first for mount in other)
    assert [mount.path for mount in other if isinstance(mount, Cover)].count("/home") == 1
    assert [mount.read_only for mount in other if mount.path == "/home/bert"] == [True]
    assert all(isinstance(mount, Show) for mount in other if mount.path == "/home/bert")

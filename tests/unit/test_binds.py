"""Binds that cannot be mounted are told by their key; folders below one are looked for there."""

import os
from pathlib import Path

import pytest

from emperor.brain.binds import binds_of, possible_places, unmountable, without_missing
from emperor.brain.places import find_places
from emperor.brain.release_links import missing_folders
from emperor.config.identity import Identity
from emperor.config.sandbox_values import bind_texts, binds
from emperor.config.settings import VassalSettings
from limits.directives import Bind, Sandbox, Subject
from limits.root import private_root

SUBJECT = Subject(vassal="blog", customer="blog", uid=1000, gid=1000, groups=())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "data" / "app").mkdir(parents=True)
    (tmp_path / "place").mkdir()
    (tmp_path / "file").touch()
    return tmp_path.resolve()


def faults(*binds: str, **keys: object) -> list[str]:
    # The host's /tmp, where the folders of a test are.
    pairs = (bind.partition(":") for bind in binds)
    found = tuple(Bind(source=source, target=target or source) for source, _, target in pairs)
    sandbox = Sandbox(bind_paths=found, **{"private_tmp": None, **keys})  # type: ignore[arg-type]
    return [str(one) for one in unmountable(sandbox, private_root(sandbox, SUBJECT), "f")]


def test_what_can_be_mounted_is_right(base: Path) -> None:
    assert faults(f"{base}/data:{base}/place", f"{base}/data") == []
    assert faults(f"{base}/file:/home/any/where", f"{base}/data:/root/x") == []  # made there
    assert faults(f"{base}/data:{base}/place", f"{base}/file:{base}/place/app") != []
    assert faults(f"{base}/data:{base}/place", f"{base}/place:{base}/place/app") == []
    assert unmountable(Sandbox(bind_paths=(Bind(source="/a", target="/b"),)), None, "f") == []


def test_missing_sources_and_targets_are_told_with_what_to_do(base: Path) -> None:
    assert faults(f"{base}/gone") == [
        f"f:1: sandbox.bind_paths: {base}/gone does not exist; create it, or correct the path"
    ]
    assert faults(f"{base}/data:{base}/gone") == [
        f"f:1: sandbox.bind_paths: there is no {base}/gone to show {base}/data at; "
        f"create {base}/gone"
    ]
    assert faults(f"{base}/gone:{base}/none") == [
        f"f:1: sandbox.bind_paths: {base}/gone does not exist; create it, or correct the path",
        f"f:1: sandbox.bind_paths: there is no {base}/none to show {base}/gone at; "
        f"create {base}/none",
    ]
    (with_tmp,) = faults(f"{base}/data:/nowhere", private_tmp=Sandbox().private_tmp)
    assert with_tmp.endswith("create /nowhere, or name a target in /tmp, where it is made")
    (nested,) = faults(f"{base}/data:{base}/place", f"{base}/data:{base}/place/no")
    assert nested.endswith(f"create {base}/data/no")


def test_folder_and_file_do_not_fit(base: Path) -> None:
    assert faults(f"{base}/data:{base}/file", f"{base}/file:{base}/place") == [
        f"f:1: sandbox.bind_paths: {base}/data is a folder, and {base}/file a file; "
        "name a target that is a folder",
        f"f:1: sandbox.bind_paths: {base}/file is a file, and {base}/place a folder; "
        "name a target that is a file",
    ]


def test_where_a_tenants_link_leads_to_is_not_told(base: Path) -> None:
    for name, leads_to in (("there", "data"), ("gone", "nothing")):
        link = base / name
        link.symlink_to(base / leads_to)
        if os.geteuid() == 0:
            os.chown(link, 1000, 1000, follow_symlinks=False)
        assert faults(f"{link}:{base}/place") == []


def test_path_below_a_target_is_the_sources() -> None:
    outer, inner = Bind(source="/a", target="/x"), Bind(source="/b/c", target="/x/y")
    same = Bind(source="/s", target="/s")
    binds = binds_of(Sandbox(bind_paths=(outer, same), bind_read_only_paths=(inner,)))
    assert binds.on_host("/x") == "/a"
    assert binds.on_host("/x/z/w") == "/a/z/w"
    assert binds.on_host("/x/y/z") == "/b/c/z"
    assert [binds.are_at(path) for path in ("/x/y", "/xy", "/s/t", "/")] == [True] + [False] * 3


def test_folders_below_a_target_are_looked_for_in_its_source(base: Path) -> None:
    bind = Bind(source=f"{base}/data", target="/mnt/site")
    settings = VassalSettings(
        name="blog",
        app="a:b",
        listen=(),
        directory="/mnt/site/app",
        pythonpath=("/mnt/site/lib",),
        sandbox=Sandbox(bind_paths=(bind,)),
    )
    root = private_root(settings.sandbox, SUBJECT)
    assert [str(one) for one in missing_folders(settings, root, "f")] == [
        f"f:1: pythonpath: /mnt/site/lib does not exist: it is {base}/data/lib of the host; "
        "create it, or correct the path"
    ]
    me = Identity(uid=1000, gid=1000, groups=(), user="me", home="/mnt/site", shell="/bin/sh")
    seen = find_places((), settings, me, "/mnt/site/bin/python", [], False)
    assert not [path for path, _ in seen.homes if path.startswith("/mnt")]


def test_bind_of_what_is_missing_and_may_be_is_none(base: Path) -> None:
    gone = Bind(source=f"{base}/gone", target="/x", optional=True)
    there = Bind(source=f"{base}/data", target="/y", optional=True)
    sandbox = Sandbox(bind_paths=(gone, there), private_tmp=None)
    sandbox = without_missing(sandbox)
    assert sandbox.bind_paths == (there,)
    root = private_root(sandbox, SUBJECT)
    # Of what is there the target has to be there too, or nobody would know why it is not seen.
    assert [str(one) for one in unmountable(sandbox, root, "f")] == [
        f"f:1: sandbox.bind_paths: there is no /y to show {base}/data at; create /y"
    ]


def test_places_that_are_possible_are_told_without_a_look_at_files() -> None:
    sure = Bind(source="/a", target="/x")
    perhaps = Bind(source="/b", target="/x/y", optional=True)
    sandbox = Sandbox(bind_paths=(sure,), bind_read_only_paths=(perhaps,))
    assert possible_places("/x/y/z", sandbox) == ("/b/z", "/a/y/z")
    assert possible_places("/x/z", sandbox) == ("/a/z",)
    assert possible_places("/z", Sandbox()) == ("/z",)


def test_binds_are_written_as_they_were_read() -> None:
    texts = ["-/a:/b", "/c", "-/d"]
    assert binds(texts) == (
        Bind(source="/a", target="/b", optional=True),
        Bind(source="/c", target="/c"),
        Bind(source="/d", target="/d", optional=True),
    )
    assert bind_texts(binds(texts)) == texts
    for wrong in ("-", "--/a", "/a:-/b", "-a:/b"):
        with pytest.raises(ValueError):
            binds([wrong])

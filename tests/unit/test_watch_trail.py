import os

from emperor.watch.trail import HOPS_MAX, Entry, Trail, follow


class Files:
    """A file system of symlinks (name → target) and others (name → None)."""

    def __init__(self, entries):
        self.entries = entries

    def __call__(self, path):
        if path not in self.entries:
            raise FileNotFoundError(path)
        return self.entries[path]


def trail_of(path, **entries):
    return follow(path, Files({f"/{name}": target for name, target in entries.items()}))


def test_trail_of_a_plain_file_is_its_own_entry():
    files = Files({"/etc": None, "/etc/v": None, "/etc/v/a.toml": None})

    assert follow("/etc/v/a.toml", files) == Trail((Entry("/etc/v", "a.toml"),), complete=True)


def test_trail_ends_at_the_first_component_that_is_missing():
    files = Files({"/etc": None})

    assert follow("/etc/v/a.toml", files) == Trail((Entry("/etc", "v"),), complete=False)


def test_trail_leads_through_every_symlink():
    # As Kubernetes mounts a ConfigMap: the middle link is what is swapped.
    files = Files(
        {
            "/v": None,
            "/v/a.toml": "..data/a.toml",
            "/v/..data": "..2024",
            "/v/..2024": None,
            "/v/..2024/a.toml": None,
        }
    )

    assert follow("/v/a.toml", files).entries == (
        Entry("/v", "a.toml"),
        Entry("/v", "..data"),
        Entry("/v/..2024", "a.toml"),
    )


def test_absolute_target_starts_at_the_root():
    assert trail_of("/a/b", a="/c", c=None, **{"c/b": None}).entries == (
        Entry("/", "a"),
        Entry("/c", "b"),
    )


def test_dots_are_resolved_after_the_symlink_before_them():
    files = Files({"/a": "/deep/er", "/deep": None, "/deep/er": None, "/deep/x": None})

    assert follow("/a/../x", files) == Trail((Entry("/", "a"), Entry("/deep", "x")), complete=True)


def test_dangling_symlink_waits_for_its_target():
    assert trail_of("/a", a="b") == Trail((Entry("/", "a"), Entry("/", "b")), complete=False)


def test_loop_of_symlinks_ends():
    trail = trail_of("/a", a="b", b="a")

    assert not trail.complete
    assert len(trail.entries) == HOPS_MAX + 1


def test_trail_agrees_with_the_kernel(tmp_path):
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "real" / "sub" / "f").write_text("")
    (tmp_path / "dir").symlink_to("real/./sub//")
    (tmp_path / "real" / "up").symlink_to("../dir")

    def read_link(path):
        os.lstat(path)
        return os.readlink(path) if os.path.islink(path) else None

    trail = follow(f"{tmp_path}/real/up/../sub/f", read_link)

    assert trail.complete
    assert "/".join(trail.entries[-1]) == os.path.realpath(tmp_path / "real" / "sub" / "f")

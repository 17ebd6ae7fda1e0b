import pytest

from emperor.watch.events import Changed, FileChanged, Rescan, is_vassal_file_name, path_of


@pytest.mark.parametrize(
    "name",
    ["blog.toml", "a.toml", "0.toml", "Shop-2_b.example.toml", "x.toml.toml", "a" * 63 + ".toml"],
)
def test_final_file_of_a_vassal_is_recognised(name):
    assert is_vassal_file_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".toml",
        "x.conf",
        "x.TOML",
        "toml",
        ".x.toml",
        ".x.toml.swp",
        ".x.toml.swx",
        ".#x.toml",
        "#x.toml#",
        "x.toml~",
        "~x.toml",
        "4913",
        ".goutputstream-AB12CD",
        "x.toml.tmp",
        "x.toml.bak",
        "x.toml.swp",
        "x.toml.save",
        "x.toml.dpkg-new",
        "x.toml.dpkg-old",
        "x.toml.dpkg-dist",
        "x.toml.ucf-dist",
        "x.toml.rpmsave",
        "x.toml.rpmnew",
        ".nfs000000000001",
        "-x.toml",
        "_x.toml",
        "a b.toml",
        "ü.toml",
        "x\n.toml",
        "x.toml\n",
        "../x.toml",
        "a/x.toml",
        "a" * 64 + ".toml",
    ],
)
def test_editors_and_package_managers_files_are_no_vassals(name):
    assert not is_vassal_file_name(name)


def test_every_event_has_a_path():
    assert path_of(Changed("/etc/v", "a.toml")) == "/etc/v/a.toml"
    assert path_of(Rescan("/etc/v")) == "/etc/v"
    assert path_of(FileChanged("/srv/reload")) == "/srv/reload"

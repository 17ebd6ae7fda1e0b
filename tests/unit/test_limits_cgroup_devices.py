import pytest

from limits.cgroups.devices import NoDevice, device_of, resolve, whole_disk


@pytest.fixture
def sysfs(tmp_path):
    """sda (8:0) with a partition sda1 (8:1), and a dm device 253:0."""
    block = tmp_path / "dev" / "block"
    block.mkdir(parents=True)
    disk = tmp_path / "devices" / "pci0" / "sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1" / "dev").write_text("8:1\n")
    (disk / "sda1" / "partition").write_text("1\n")
    mapped = tmp_path / "devices" / "virtual" / "dm-0"
    (mapped / "slaves").mkdir(parents=True)
    (mapped / "dev").write_text("253:0\n")
    (block / "8:0").symlink_to(disk)
    (block / "8:1").symlink_to(disk / "sda1")
    (block / "253:0").symlink_to(mapped)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("name", "disk"), [("8:1", "8:0"), ("8:0", "8:0"), ("253:0", "253:0"), ("9:9", "9:9")]
)
def test_limits_are_for_the_whole_disk_of_a_partition(sysfs, name, disk):
    assert whole_disk(name, sysfs) == disk


def test_file_system_without_disk_is_refused_with_what_to_write_instead():
    with pytest.raises(NoDevice, match="name the disk"):
        device_of("/proc")


def test_resolve_keeps_problems_apart():
    found, problems = resolve(["/proc", "/nowhere/at/all"])

    assert found == {}
    assert "No such file" in problems["/nowhere/at/all"]
    assert set(problems) == {"/proc", "/nowhere/at/all"}

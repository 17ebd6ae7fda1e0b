"""The Debian package on a running system: upgrade, removal, purge, in this order."""

from pathlib import Path

import pytest

from tests.vm.guest import VASSALS, Machine, processes, run, wait_until

PACKAGE = "/run/scenarios/emperord.deb"
pytestmark = [pytest.mark.last, pytest.mark.timeout(360)]

OURS = (
    "/opt/emperord",
    "/etc/emperor",
    "/run/emperor",
    "/var/log/emperor",
    "/var/lib/emperor",
    "/usr/bin/emperor",
    "/usr/share/emperord",
    "/usr/lib/systemd/system/emperor.service",
    "/etc/systemd/system/multi-user.target.wants/emperor.service",
)


def dpkg(*words: str) -> str:
    return run("dpkg", "--force-confold", *words, timeout=240)


def ours(listing: str) -> list[str]:
    """Return the lines about us; the machine has Debian's uWSGI Emperor too."""
    theirs = ("uwsgi-emperor", "/usr/lib/uwsgi/plugins/")
    lines = [line for line in listing.splitlines() if "emperor" in line]
    return [line for line in lines if not any(word in line for word in theirs)]


def test_upgrade_makes_a_new_brain_and_stops_no_vassal(machine: Machine) -> None:
    machine.drop("blog")
    machine.wait_served("blog")
    before = machine.wait_state("blog", "ready")
    brain = machine.brain_pid()
    with machine.load("blog") as load:
        dpkg("--install", PACKAGE)
        wait_until(lambda: machine.brain_pid() not in (0, brain), what="a new brain")
        after = machine.wait_state("blog", "ready")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    assert load.failures == []


def test_removal_stops_everything_and_keeps_what_people_wrote(machine: Machine) -> None:
    machine.drop("blog")
    machine.wait_served("blog")
    dpkg("--remove", "emperord")
    assert [p.command for p in processes() if "emperor" in p.command] == []
    assert (VASSALS / "blog.toml").exists()
    assert Path("/etc/emperor/emperor.toml").exists()
    assert not Path("/opt/emperord").exists()
    dpkg("--install", PACKAGE)
    machine.systemctl("enable", "--now", "emperor")
    machine.wait_served("blog")


# The end of this machine's emperor: no scenario may follow.
def test_purge_leaves_nothing(machine: Machine) -> None:
    machine.systemctl("enable", "--now", "emperor")
    machine.drop("blog")
    machine.wait_served("blog")
    dpkg("--purge", "emperord")
    assert [path for path in OURS if Path(path).exists() or Path(path).is_symlink()] == []
    assert run("getent", "passwd", "emperor-vassal", check=False) == ""
    assert run("getent", "group", "emperor-vassal", check=False) == ""
    assert [p.command for p in processes() if "emperor" in p.command] == []
    assert ours(run("systemctl", "list-units", "--all", "--no-legend")) == []
    found = ours(run("find", "/etc", "/usr", "/var", "/run", "-xdev", "-iname", "*emperor*"))
    kept = ("/run/scenarios/", "/etc/nginx/conf.d/emperor-hosts.conf", "/var/lib/emperor-scenarios")
    assert [line for line in found if not line.startswith(kept)] == []

"""A directory of vassals on a file system that stops answering costs its own changes, no more."""

import subprocess

from tests.support.emperor import Emperor, get
from tests.support.fuse import FallingSilent
from tests.support.ports import free_port
from tests.support.wait import wait_until


def vassal(emperor: Emperor, port: int) -> bytes:
    text = f'app = "hello:application"\ndirectory = "{emperor.apps}"\n'
    return f'{text}listen = ["http://127.0.0.1:{port}"]\n'.encode()


def test_directory_that_stops_answering_costs_nobody_else_anything(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    far_port = free_port()
    remote.files["far.toml"] = vassal(emperor, far_port)
    near_port = emperor.drop("near")
    emperor.start(str(remote.path))
    far, near = emperor.wait_state("far", "ready"), emperor.wait_state("near", "ready")

    remote.fall_silent()
    brain = emperor.brain_pid
    # Changes of other directories are applied, and those that serve go on.
    more_port = emperor.drop("more")
    emperor.wait_state("more", "ready")
    assert [get(port)[0] for port in (far_port, near_port, more_port)] == [200] * 3
    assert emperor.brain_pid == brain

    # A new brain reads everything, and gives up on what does not answer.
    old = emperor.kill_brain()
    emperor.wait_new_brain(old, 30)
    late_port = emperor.drop("late")
    emperor.wait_state("late", "ready", 30)
    assert emperor.vassal("far")["pid"] == far["pid"]
    assert emperor.vassal("near")["pid"] == near["pid"]
    assert get(far_port)[0] == get(late_port)[0] == 200
    assert any("does not answer" in line for line in emperor.status()["emperor"]["errors"])

    # It answers again, and so what was changed meanwhile counts.
    remote.files["far.toml"] += b"workers = 2\n"
    remote.answer_again()
    wait_until(lambda: len(emperor.vassal("far")["workers"]) == 2, 30, "the change is applied")
    wait_until(lambda: not emperor.status()["emperor"]["errors"], 10, "nothing is wrong any more")
    assert "event=emperor_hung" not in emperor.log()


def test_directory_that_is_mounted_anew_is_read_though_a_look_at_the_old_one_hangs(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    port = free_port()
    remote.files["far.toml"] = vassal(emperor, port)
    emperor.start(str(remote.path))
    far = emperor.wait_state("far", "ready")
    remote.fall_silent()
    remote.files["far.toml"] += b"workers = 2\n"
    emperor.do("reload", "far")
    wait_until(lambda: emperor.status()["emperor"]["errors"], 20, "the complaint")
    subprocess.run(["umount", "-l", remote.path], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "anew", remote.path], check=True)
    try:
        (remote.path / "far.toml").write_bytes(remote.files["far.toml"])
        wait_until(lambda: len(emperor.vassal("far")["workers"]) == 2, 40, "the change is applied")
        (remote.path / "far.toml").write_bytes(vassal(emperor, port))
        wait_until(lambda: len(emperor.vassal("far")["workers"]) == 1, 20, "and the next one")
        assert emperor.vassal("far")["pid"] == far["pid"]
    finally:
        subprocess.run(["umount", "-l", remote.path], check=True)

"""What vassals name may lie on a file system that does not answer: that costs only them."""

import os
import signal
import stat

import pytest

from emperor.spawner.pulse import LEAVE_S
from tests.support.emperor import Emperor, get
from tests.support.fuse import FallingSilent, HangingFilesystem
from tests.support.need import need_root
from tests.support.ports import free_port
from tests.support.wait import wait_until


def says_silent(emperor: Emperor, name: str) -> bool:
    failure = emperor.vassal(name).get("last_failure") or {}
    return "does not answer" in failure.get("message", "")


def test_vassal_whose_folder_stops_answering_is_told_of_and_costs_nobody_else_anything(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    far_port = emperor.drop("far", directory=str(remote.path), pythonpath=[str(emperor.apps)])
    near_port = emperor.drop("near")
    emperor.start()
    far, near = emperor.wait_state("far", "ready"), emperor.wait_state("near", "ready")
    brain = emperor.brain_pid

    remote.fall_silent()
    keys = {"directory": str(remote.path), "pythonpath": [str(emperor.apps)], "workers": 2}
    emperor.drop("far", port=far_port, **keys)
    more_port = emperor.drop("more")
    emperor.wait_state("more", "ready")
    wait_until(lambda: says_silent(emperor, "far"), 20, "it says why")
    assert str(remote.path) in emperor.vassal("far")["last_failure"]["message"]
    assert [get(port)[0] for port in (far_port, near_port, more_port)] == [200] * 3
    assert emperor.brain_pid == brain

    emperor.wait_new_brain(emperor.kill_brain(), 30)
    late_port = emperor.drop("late")
    emperor.wait_state("late", "ready", 30)
    assert emperor.vassal("far")["pid"] == far["pid"]
    assert emperor.vassal("near")["pid"] == near["pid"]
    assert get(far_port)[0] == get(late_port)[0] == 200

    remote.answer_again()
    wait_until(lambda: len(emperor.vassal("far")["workers"]) == 2, 60, "the change is applied")
    assert "event=emperor_hung" not in emperor.log()


def test_touched_files_are_noticed_beside_one_that_does_not_answer(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    with FallingSilent(touch="1") as other:
        remote.files["touch"] = b"1"
        here = emperor.base / "touch"
        here.touch()
        places = {
            "far": f"{remote.path}/touch",
            "further": f"{other.path}/touch",
            "near": str(here),
        }
        # Also where a link has to be followed.
        (emperor.base / "link").symlink_to(remote.path)
        places["linked"] = f"{emperor.base}/link/touch"
        for name, path in places.items():
            emperor.drop(name, touch_reload=[path])
        emperor.start()
        for name in places:
            emperor.wait_state(name, "ready")

        def reloaded(name: str, times: int = 1) -> bool:
            return emperor.vassal(name)["generation"] == 1 + times

        remote.files["touch"] += b"2"
        wait_until(lambda: reloaded("far") and reloaded("linked"), 20, "a reload from afar")

        brain = emperor.brain_pid
        remote.fall_silent()
        remote.files["touch"] += b"3"
        other.files["touch"] += b"2"
        wait_until(lambda: reloaded("further"), 20, "a reload from elsewhere")
        os.utime(here, (1, 1))
        wait_until(lambda: reloaded("near"), 20, "a reload from here")
        emperor.drop("near", touch_reload=[f"{remote.path}/touch"])
        emperor.wait_new_brain(emperor.kill_brain(), 30)
        emperor.drop("more")
        emperor.wait_state("more", "ready", 30)
        assert brain != emperor.brain_pid

        remote.answer_again()
        wait_until(lambda: says_nothing_is_wrong(emperor), 60, "all is well")
        remote.files["touch"] += b"4"
        serial = emperor.vassal("far")["generation"]
        wait_until(lambda: emperor.vassal("far")["generation"] > serial, 20, "a reload from afar")
        assert "event=emperor_hung" not in emperor.log()


def says_nothing_is_wrong(emperor: Emperor) -> bool:
    status = emperor.status()
    return not status["emperor"]["errors"] and not any(v.get("problems") for v in status["vassals"])


def test_vassal_file_behind_a_link_is_read_when_it_answers(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    port = emperor.drop("far")
    file = emperor.vassals / "far.toml"
    remote.files["far.toml"] = file.read_bytes()
    file.unlink()
    file.symlink_to(remote.path / "far.toml")
    emperor.start()
    emperor.wait_state("far", "ready")
    remote.fall_silent()
    brain = emperor.brain_pid
    remote.files["far.toml"] += b"workers = 2\n"
    emperor.drop("near")
    emperor.wait_state("near", "ready")
    emperor.wait_new_brain(emperor.kill_brain(), 30)
    emperor.drop("more")
    emperor.wait_state("more", "ready", 30)
    assert get(port)[0] == 200
    assert any("does not answer" in line for line in emperor.status()["emperor"]["errors"])
    remote.answer_again()
    wait_until(lambda: len(emperor.vassal("far")["workers"]) == 2, 30, "the change is applied")
    remote.files["far.toml"] = remote.files["far.toml"].replace(b"workers = 2", b"workers = 3")
    wait_until(lambda: len(emperor.vassal("far")["workers"]) == 3, 30, "the next one too")
    assert not emperor.status()["emperor"]["errors"]
    assert brain != emperor.brain_pid


def test_socket_whose_folder_does_not_answer_is_not_bound_and_holds_nobody_up(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    port = emperor.drop("near")
    remote.fall_silent()
    emperor.drop("far", listen=[f"http+unix://{remote.path}/far.sock"])
    emperor.start()
    emperor.wait_state("near", "ready")
    wait_until(lambda: says_silent(emperor, "far"), 20, "it says why")
    # As others are made, and by the umask that they are to have.
    local = emperor.base / "late.sock"
    emperor.drop("late", listen=[f"http+unix://{local}"])
    emperor.wait_state("late", "ready")
    assert stat.S_IMODE(local.stat().st_mode) == 0o660
    assert get(port)[0] == 200
    assert "event=emperor_hung" not in emperor.log()


def test_what_a_uwsgi_file_includes_is_waited_for_and_not_taken_for_nothing(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    port = free_port()
    lines = ("[uwsgi]", f"http-socket = 127.0.0.1:{port}", f"chdir = {emperor.apps}")
    remote.files["common.ini"] = "\n".join((*lines, "module = hello:application")).encode()
    remote.fall_silent()
    (emperor.vassals / "far.ini").write_text(f"[uwsgi]\nini = {remote.path}/common.ini\n")
    emperor.drop("near")
    emperor.start()
    emperor.wait_state("near", "ready")
    wait_until(lambda: says_silent(emperor, "far"), 20, "it says why")
    remote.answer_again()
    emperor.wait_state("far", "ready", 30)
    assert get(port)[0] == 200
    assert "event=emperor_hung" not in emperor.log()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGHUP])
def test_brain_whose_look_cannot_even_be_killed_is_replaced(
    emperor: Emperor, signum: signal.Signals
) -> None:
    need_root()
    emperor.app("hello")
    port = emperor.drop("near")
    with HangingFilesystem() as dead:
        emperor.drop("far", python=f"{dead.path}/venv")
        emperor.start()
        near = emperor.wait_state("near", "ready", 30)
        wait_until(lambda: says_silent(emperor, "far"), 20, "it says why")
        old = emperor.brain_pid
        os.kill(old if signum == signal.SIGKILL else emperor.pid, signum)
        # Who goes by itself is looked at, and has much more time if it is alive.
        patience_s = LEAVE_S - 3 if signum == signal.SIGHUP else 60
        wait_until(lambda: "event=emperor_not_reaped" in emperor.log(), patience_s, "its end")
        emperor.wait_new_brain(old, 90)
        late_port = emperor.drop("late")
        emperor.wait_state("late", "ready", 30)
        assert emperor.vassal("near")["pid"] == near["pid"]
        assert get(port)[0] == get(late_port)[0] == 200
        assert emperor.stop(60) == 0

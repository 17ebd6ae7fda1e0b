"""Files that are touched while no brain lives: the next one notices."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.emperor import Emperor
from tests.support.fuse import FallingSilent
from tests.support.ports import free_port
from tests.support.wait import wait_until

KEPT = "/memfd:emperor:touched"


def kept(emperor: Emperor) -> dict[str, list[int]]:
    """Return what the spawner holds for the next brain of how files looked, by digests."""
    for fd in Path(f"/proc/{emperor.pid}/fd").iterdir():
        try:
            if os.readlink(fd).startswith(KEPT):
                return dict(json.loads(fd.read_bytes()))
        except OSError:
            continue  # it was closed
    return {}


@contextmanager
def without_a_brain(emperor: Emperor) -> Iterator[None]:
    """Let a brain that notices nothing any more be followed by another."""
    brain = emperor.kill_brain(signal.SIGSTOP)
    yield
    os.kill(brain, signal.SIGKILL)
    emperor.wait_new_brain(brain)


def reloaded(emperor: Emperor, name: str, times: int) -> None:
    wait_until(lambda: emperor.vassal(name)["generation"] == 1 + times, 20, f"reload of {name}")
    emperor.wait_state(name, "ready")


def test_touches_that_no_brain_has_seen_are_acted_on_once(emperor: Emperor) -> None:
    emperor.app("hello")
    touched, released, same = (emperor.base / name for name in ("touched", "current", "same"))
    for name in ("r0", "r1"):
        (emperor.base / name).mkdir()
    for path in (touched, same):
        path.touch()
    released.symlink_to("r0")
    for name, path in (("touched", touched), ("released", released), ("same", same)):
        emperor.drop(name, touch_reload=[str(path)])
    ini = emperor.vassals / "ini.ini"
    ini.write_text(
        f"[uwsgi]\nhttp-socket = 127.0.0.1:{free_port()}\nchdir = {emperor.apps}\n"
        "module = hello:application\n"
    )
    emperor.start()
    names = ("touched", "released", "same", "ini")
    for name in names:
        emperor.wait_state(name, "ready")
    wait_until(lambda: len(kept(emperor)) == 4, what="what is known is kept")
    before = kept(emperor)

    with without_a_brain(emperor):
        os.utime(touched, (1, 1))
        os.utime(ini, (1, 1))
        (emperor.base / "next").symlink_to("r1")
        (emperor.base / "next").rename(released)
    for name in ("touched", "released", "ini"):
        reloaded(emperor, name, 1)
    assert emperor.log().count("event=touched") == 2  # the other one is a vassal's own file
    wait_until(lambda: sum(kept(emperor)[key] != at for key, at in before.items()) == 3)

    with without_a_brain(emperor):
        pass
    os.utime(same, (1, 1))  # what was to be done before has been done when this is
    reloaded(emperor, "same", 1)
    for name in names:
        reloaded(emperor, name, 1)


def test_touch_of_a_file_that_cannot_be_used_at_first_is_not_forgotten(emperor: Emperor) -> None:
    emperor.app("hello")
    ini = emperor.vassals / "ini.ini"
    ini.write_text(
        f"[uwsgi]\nhttp-socket = 127.0.0.1:{free_port()}\nchdir = {emperor.apps}\n"
        "module = hello:application\n"
    )
    emperor.start()
    emperor.wait_state("ini", "ready")
    wait_until(lambda: len(kept(emperor)) == 1, what="what is known is kept")
    with without_a_brain(emperor):
        os.utime(ini, (1, 1))
        emperor.apps.rename(emperor.base / "away")
    wait_until(lambda: "event=file_refused" in emperor.log(), what="the folder is missed")
    (emperor.base / "away").rename(emperor.apps)
    reloaded(emperor, "ini", 1)


def test_touch_that_was_acted_on_before_the_brain_made_way_is_not_acted_on_again(
    emperor: Emperor,
) -> None:
    emperor.app("hello")
    first, second = (emperor.base / name for name in ("first", "second"))
    for path in (first, second):
        path.touch()
        emperor.drop(path.name, touch_reload=[str(path)])
    emperor.start()
    for name in ("first", "second"):
        emperor.wait_state(name, "ready")
    wait_until(lambda: len(kept(emperor)) == 2, what="what is known is kept")
    old = emperor.brain_pid
    os.utime(first, (1, 1))
    reloaded(emperor, "first", 1)
    os.kill(emperor.pid, signal.SIGHUP)
    emperor.wait_new_brain(old)
    os.utime(second, (1, 1))  # what was to be done before has been done when this is
    reloaded(emperor, "second", 1)
    assert emperor.vassal("first")["generation"] == 2


def test_file_that_lies_far_away_is_compared_when_it_is_seen(
    emperor: Emperor, remote: FallingSilent
) -> None:
    emperor.app("hello")
    remote.files["touch"] = b"1"
    emperor.drop("far", touch_reload=[f"{remote.path}/touch"])
    emperor.start()
    emperor.wait_state("far", "ready")
    wait_until(lambda: len(kept(emperor)) == 1, what="what is known is kept")
    with without_a_brain(emperor):
        remote.files["touch"] += b"2"
    reloaded(emperor, "far", 1)

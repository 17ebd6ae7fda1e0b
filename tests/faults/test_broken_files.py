"""What is written over a running vassal's file costs its site nothing, whatever it is."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.emperor import Emperor, asked_all_the_time, get
from tests.support.exchange import exchange
from tests.support.wait import wait_until


def put(path: Path, data: bytes) -> None:
    new = path.parent.parent / "new"
    new.write_bytes(data)
    new.rename(path)


def fifo(path: Path) -> None:
    new = path.parent.parent / "new"
    os.mkfifo(new)
    new.rename(path)


def sparse(path: Path) -> None:
    new = path.parent.parent / "new"
    with new.open("wb") as file:
        file.truncate(2**30)
    new.rename(path)


def folder(path: Path) -> None:
    new = path.parent.parent / "new"
    new.mkdir()
    exchange(path, new)
    new.unlink()


BROKEN: dict[str, Callable[[Path], None]] = {
    "syntax": lambda path: put(path, b"app = [\n"),
    "nul": lambda path: put(path, path.read_bytes() + b"\0"),
    "not utf-8": lambda path: put(path, b"\xff\xfe" + path.read_bytes()),
    "half": lambda path: put(path, path.read_bytes()[:40]),
    "empty": lambda path: put(path, b""),
    "fifo": fifo,
    "sparse": sparse,
    "folder": folder,
}


@pytest.mark.parametrize("how", BROKEN)
def test_file_that_cannot_be_used_is_told_and_what_runs_serves_on(
    emperor: Emperor, how: str
) -> None:
    emperor.app("hello")
    port = emperor.drop("blog")
    emperor.start()
    before = emperor.wait_state("blog", "ready")
    path = emperor.vassals / "blog.toml"
    good = path.read_bytes()
    with asked_all_the_time(port) as answers:
        BROKEN[how](path)
        failure = wait_until(lambda: emperor.vassal("blog")["last_failure"], what="it is told")
        assert emperor.status()["vassals"][0]["state"] == "ready"
    assert {status for status, _ in answers} == {200}
    assert failure["kind"] == "config"
    assert "blog.toml" in failure["message"]
    after = emperor.vassal("blog")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    mended = emperor.base / "mended"
    mended.write_bytes(good + b"workers = 2\n")
    exchange(path, mended)  # no folder is replaced by a file else
    wait_until(lambda: emperor.vassal("blog")["generation"] == 2, what="the mended file")
    assert get(port)[0] == 200


@pytest.mark.parametrize("watch", ["auto", "poll"])
def test_file_that_is_written_in_two_halves_is_read_when_it_is_whole(
    emperor: Emperor, watch: str
) -> None:
    emperor.app("hello")
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text(f'watch = "{watch}"\npoll_interval = 1\n')
    port = emperor.drop("blog")
    emperor.start()
    emperor.wait_state("blog", "ready")
    path = emperor.vassals / "blog.toml"
    text = path.read_text() + "workers = 2\nharakiri = 40\n"
    # The first half is wrong: a string is open.
    half = text.index("listen") + 14
    with path.open("w") as file:
        file.write(text[:half])
        file.flush()
        time.sleep(0.3)
        file.write(text[half:])
    wait_until(lambda: len(emperor.vassal("blog")["workers"]) == 2, 30, "the whole file")
    status = emperor.wait_state("blog", "ready")
    assert status["generation"] == 2
    assert "event=reload_failed" not in emperor.log()
    if watch == "auto":  # a look every second may fall between the halves, and says so
        assert status["last_failure"] is None
        assert "event=file_refused" not in emperor.log()
    assert get(port)[0] == 200


def test_file_whose_name_is_none_for_a_vassal_is_told_of_when_it_is_dropped(
    emperor: Emperor,
) -> None:
    emperor.start()
    for name in ("my shop.toml", "ünï.toml", "n" * 64 + ".toml", ".hidden.toml", "x.toml~"):
        put(emperor.vassals / name, b'app = "hello:application"\n')
    wait_until(lambda: emperor.log().count("event=file_not_used") == 3, what="all are told of")
    assert emperor.log().count("write a name like blog.toml") == 3
    errors = emperor.status()["emperor"]["errors"]
    assert len(errors) == 3
    assert f"{emperor.vassals}/my shop.toml: is not used: write a name like blog.toml" in errors[0]
    (emperor.vassals / "my shop.toml").rename(emperor.vassals / "shop.toml")
    emperor.wait_state("shop", "parked")  # without `listen`
    wait_until(lambda: len(emperor.status()["emperor"]["errors"]) == 2, what="it is not told of")
    assert emperor.log().count("event=file_not_used") == 3


def test_folder_that_comes_later_needs_no_other_word(emperor: Emperor) -> None:
    emperor.app("hello")
    late = emperor.base / "late"
    port = emperor.drop("blog", directory=str(late))
    emperor.start()
    emperor.wait_state("blog", "parked")
    assert "does not exist" in emperor.vassal("blog")["last_failure"]["message"]
    emperor.apps.rename(late)
    emperor.wait_state("blog", "ready", timeout=20)
    assert get(port)[0] == 200
    assert emperor.log().count("event=file_refused") == 1

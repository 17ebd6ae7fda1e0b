"""The watcher with real inotify."""

import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from emperor.watch import tracker as tracker_module
from emperor.watch.events import Changed, Degraded, FileChanged, Rescan
from emperor.watch.inotify import Inotify
from tests.support.watching import watching

OVERFLOW = 0x00004000


@pytest.fixture
def vassals(tmp_path):
    directory = tmp_path / "vassals"
    directory.mkdir()
    return directory


def changed(directory, *names):
    return {Changed(str(directory), name) for name in names}


def test_every_directory_is_rescanned_at_the_start(vassals):
    async def scenario():
        async with watching(vassals) as seen:
            await seen.until(Rescan(str(vassals)))

    asyncio.run(scenario())


def test_dropped_file_is_reported_within_milliseconds(vassals):
    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            delays = []
            for number in range(10):
                begun = time.monotonic()
                (vassals / f"v{number}.toml").write_text("app = 1")
                await seen.until(Changed(str(vassals), f"v{number}.toml"))
                delays.append(time.monotonic() - begun)
            assert sorted(delays)[5] < 0.05

    asyncio.run(scenario())


def test_atomic_rename_is_reported_once_and_its_temporary_file_never(vassals):
    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            (vassals / ".blog.toml.tmp").write_text("x")
            os.rename(vassals / ".blog.toml.tmp", vassals / "blog.toml")
            await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_file_being_written_is_reported_when_it_is_closed(vassals):
    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            with (vassals / "blog.toml").open("w") as file:
                file.write("app = ")
                file.flush()
                assert await seen.settled(0.2) == []
                file.write("'x:y'")
            await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_vim_makes_one_report_for_the_final_file(vassals):
    (vassals / "blog.toml").write_text("old")

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            (vassals / ".blog.toml.swp").write_text("swap")
            (vassals / "4913").write_text("")
            (vassals / "4913").unlink()
            (vassals / "blog.toml").rename(vassals / "blog.toml~")
            (vassals / "blog.toml").write_text("new")
            (vassals / "blog.toml").chmod(0o644)
            (vassals / "blog.toml~").unlink()
            (vassals / ".blog.toml.swp").unlink()
            await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_nano_and_emacs_make_one_report_each(vassals):
    (vassals / "blog.toml").write_text("old")

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            (vassals / ".blog.toml.swp").write_text("lock of nano")
            with (vassals / "blog.toml").open("r+") as file:
                file.truncate()
                file.write("new")
            (vassals / ".blog.toml.swp").unlink()
            await seen.only(Changed(str(vassals), "blog.toml"))

            (vassals / ".#blog.toml").symlink_to("user@host.1:2")
            (vassals / "#blog.toml#").write_text("autosave")
            (vassals / "blog.toml").write_text("newer")
            (vassals / "#blog.toml#").unlink()
            (vassals / ".#blog.toml").unlink()
            await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_removal_rename_touch_and_change_of_mode_are_reported(vassals):
    for name in ("a", "b", "c", "d"):
        (vassals / f"{name}.toml").write_text("x")

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            (vassals / "a.toml").unlink()
            (vassals / "b.toml").rename(vassals / "e.toml")
            os.utime(vassals / "c.toml")
            (vassals / "d.toml").chmod(0o600)
            names = (f"{name}.toml" for name in "abcde")
            await seen.only(*changed(vassals, *names))

    asyncio.run(scenario())


def test_hard_link_and_nameless_file_are_reported(vassals, tmp_path):
    (tmp_path / "outside").write_text("x")

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            os.link(tmp_path / "outside", vassals / "hard.toml")
            await seen.only(Changed(str(vassals), "hard.toml"))

            folder = os.open(vassals, os.O_RDONLY)
            fd = os.open(vassals, os.O_TMPFILE | os.O_WRONLY)
            os.write(fd, b"x")
            # Only with a folder does Python make it linkat(AT_SYMLINK_FOLLOW).
            os.link(f"/proc/self/fd/{fd}", vassals / "named.toml", src_dir_fd=folder)
            os.close(fd)
            os.close(folder)
            await seen.until(Changed(str(vassals), "named.toml"))

    asyncio.run(scenario())


def test_fifo_is_reported_and_blocks_nobody(vassals):
    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            os.mkfifo(vassals / "fifo.toml")
            (vassals / "blog.toml").write_text("x")
            await seen.only(*changed(vassals, "fifo.toml", "blog.toml"))

    asyncio.run(scenario())


def test_change_of_a_symlinks_target_is_a_change_of_the_vassal(vassals, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "blog.toml").write_text("one")
    (vassals / "blog.toml").symlink_to(store / "blog.toml")
    blog = Changed(str(vassals), "blog.toml")

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            (store / "blog.toml").write_text("two")
            await seen.only(blog)

            (store / "other.toml").write_text("three")
            os.symlink(store / "other.toml", vassals / ".new")
            os.rename(vassals / ".new", vassals / "blog.toml")
            await seen.only(blog)

            (store / "blog.toml").write_text("no longer meant")
            assert await seen.settled(0.1) == []

            (store / "other.toml").write_text("four")
            await seen.only(blog)

            (vassals / "blog.toml").unlink()
            (vassals / "blog.toml").write_text("plain")
            await seen.only(blog)
            assert seen.watched_directories() == {str(vassals), str(tmp_path)}

    asyncio.run(scenario())


def test_swap_of_a_link_in_the_middle_changes_every_vassal_behind_it(vassals):
    for version in ("..1", "..2"):
        (vassals / version).mkdir()
        for name in ("a.toml", "b.toml"):
            (vassals / version / name).write_text(version)
    (vassals / "..data").symlink_to("..1")
    for name in ("a.toml", "b.toml"):
        (vassals / name).symlink_to(f"..data/{name}")

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            (vassals / "..tmp").symlink_to("..2")
            os.rename(vassals / "..tmp", vassals / "..data")
            await seen.only(*changed(vassals, "a.toml", "b.toml"))

            (vassals / "..2" / "a.toml").write_text("in the new place")
            await seen.only(Changed(str(vassals), "a.toml"))

    asyncio.run(scenario())


def test_dangling_symlink_comes_to_life(vassals, tmp_path):
    (vassals / "blog.toml").symlink_to(tmp_path / "later" / "deep" / "blog.toml")

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            (tmp_path / "later" / "deep").mkdir(parents=True)
            (tmp_path / "later" / "deep" / "blog.toml").write_text("x")
            await seen.until(Changed(str(vassals), "blog.toml"))
            await seen.settled()
            (tmp_path / "later" / "deep" / "blog.toml").write_text("y")
            await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_directory_that_is_removed_and_made_again_is_watched_again(vassals):
    async def scenario():
        async with watching(vassals) as seen:
            for _ in range(3):
                await seen.settled()
                shutil.rmtree(vassals)
                await seen.until(Rescan(str(vassals)))
                await seen.settled()
                vassals.mkdir()
                await seen.until(Rescan(str(vassals)))
                await seen.settled()
                (vassals / "blog.toml").write_text("x")
                await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_removed_directory_that_somebody_still_sits_in_is_watched_again(vassals):
    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            held = os.open(vassals, os.O_RDONLY)
            vassals.rmdir()
            vassals.mkdir()
            await seen.until(Rescan(str(vassals)))
            os.close(held)
            await seen.settled()
            (vassals / "blog.toml").write_text("x")
            await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_directory_moved_away_and_replaced_is_rescanned(vassals, tmp_path):
    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            vassals.rename(tmp_path / "old")
            vassals.mkdir()
            await seen.until(Rescan(str(vassals)))
            await seen.settled()
            (tmp_path / "old" / "gone.toml").write_text("x")
            (vassals / "blog.toml").write_text("x")
            await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_missing_directory_is_found_when_it_is_made_with_its_parents(tmp_path):
    vassals = tmp_path / "a" / "b" / "vassals"

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            vassals.mkdir(parents=True)
            await seen.until(Rescan(str(vassals)))
            await seen.settled()
            (vassals / "blog.toml").write_text("x")
            await seen.only(Changed(str(vassals), "blog.toml"))
            assert seen.watched_directories() == {str(vassals), str(vassals.parent)}

    asyncio.run(scenario())


def test_directory_behind_a_symlink_follows_the_swap(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "vassals").symlink_to("one")
    vassals = tmp_path / "vassals"

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            (tmp_path / "one" / "a.toml").write_text("x")
            await seen.only(Changed(str(vassals), "a.toml"))

            (tmp_path / "new").symlink_to("two")
            os.rename(tmp_path / "new", vassals)
            await seen.until(Rescan(str(vassals)))
            await seen.settled()
            (tmp_path / "two" / "b.toml").write_text("x")
            (tmp_path / "one" / "c.toml").write_text("x")
            await seen.only(Changed(str(vassals), "b.toml"))

    asyncio.run(scenario())


def test_renamed_ancestor_is_noticed_by_the_regular_check(tmp_path):
    vassals = tmp_path / "a" / "b" / "vassals"
    vassals.mkdir(parents=True)

    async def scenario():
        async with watching(vassals, check_every_s=0.05) as seen:
            await seen.settled()
            assert await seen.settled(0.15) == []
            (tmp_path / "a").rename(tmp_path / "away")
            await seen.until(Rescan(str(vassals)))
            await seen.settled()
            vassals.mkdir(parents=True)
            await seen.until(Rescan(str(vassals)))
            await seen.settled()
            (vassals / "blog.toml").write_text("x")
            await seen.until(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_file_in_the_place_of_the_directory_is_not_reported_again_and_again(tmp_path):
    vassals = tmp_path / "vassals"
    vassals.write_text("no directory")

    async def scenario():
        async with watching(vassals, check_every_s=0.02) as seen:
            await seen.settled()
            assert await seen.settled(0.2) == []
            vassals.unlink()
            vassals.mkdir()
            await seen.until(Rescan(str(vassals)))

    asyncio.run(scenario())


def test_queue_overflow_rescans_everything(vassals, tmp_path):
    (tmp_path / "reload").write_text("")

    async def scenario():
        async with watching(vassals) as seen:
            seen.watcher.add_file(str(tmp_path / "reload"))
            await seen.settled()
            seen.watcher.tracker.inotify.deliver(-1, OVERFLOW, "")
            wanted = {Rescan(str(vassals)), FileChanged(str(tmp_path / "reload"))}
            await seen.only(*wanted)
            (vassals / "blog.toml").write_text("x")
            await seen.only(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_real_queue_overflow_loses_no_directory(vassals):
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            for _ in range(queue // 2 + 10):  # never yields: nobody reads the queue meanwhile
                os.close(os.open(vassals / "a.txt", os.O_CREAT | os.O_WRONLY))
                os.unlink(vassals / "a.txt")
            (vassals / "blog.toml").write_text("x")
            await seen.until(Rescan(str(vassals)))

    asyncio.run(scenario())


def test_five_hundred_files_at_once_are_all_reported(vassals):
    names = [f"v{number}.toml" for number in range(500)]

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()
            for name in names:
                (vassals / name).write_text("x")
            await seen.only(*changed(vassals, *names))

    asyncio.run(scenario())


def test_touched_file_is_reported_and_its_neighbours_are_not(vassals, tmp_path):
    srv = tmp_path / "srv"
    srv.mkdir()
    path = str(srv / "reload")

    async def scenario():
        async with watching(vassals) as seen:
            seen.watcher.set_files([path])
            await seen.settled()
            (srv / "reload").touch()
            (srv / "other").touch()
            await seen.only(FileChanged(path))
            os.utime(srv / "reload")
            await seen.only(FileChanged(path))

            seen.watcher.set_files([])
            (srv / "reload").touch()
            assert await seen.settled(0.1) == []
            assert seen.watched_directories() == {str(vassals), str(tmp_path)}

    asyncio.run(scenario())


def test_file_that_was_asked_for_before_the_start_is_watched(vassals, tmp_path):
    path = str(tmp_path / "reload")

    async def scenario():
        async with watching(vassals, files=[path]) as seen:
            await seen.settled()
            (tmp_path / "reload").touch()
            await seen.only(FileChanged(path))

    asyncio.run(scenario())


def test_no_more_watches_means_polling_and_a_word_about_it(vassals, tmp_path, monkeypatch):
    class Small(Inotify):
        def __init__(self, *callbacks):
            super().__init__(*callbacks, watches_max=0)

    monkeypatch.setattr(tracker_module, "Inotify", Small)
    path = str(tmp_path / "reload")

    async def scenario():
        async with watching(vassals, files=[path], poll_interval_s=0.05) as seen:
            events = await seen.settled(0.2)
            degraded = {event.path: event.reason for event in events if type(event) is Degraded}
            assert set(degraded) == {str(vassals), path}
            assert "polling instead" in degraded[path]
            (vassals / "blog.toml").write_text("x")
            await seen.until(Changed(str(vassals), "blog.toml"))
            (tmp_path / "reload").touch()
            await seen.until(FileChanged(path))

    asyncio.run(scenario())


def test_no_inotify_instance_means_polling_and_a_word_about_it(vassals, monkeypatch):
    def refused(*callbacks):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(tracker_module, "Inotify", refused)

    async def scenario():
        async with watching(vassals, poll_interval_s=0.05) as seen:
            await seen.until(Degraded("inotify", "polling instead: Too many open files"))
            (vassals / "blog.toml").write_text("x")
            await seen.until(Changed(str(vassals), "blog.toml"))

    asyncio.run(scenario())


def test_closed_watcher_leaves_no_descriptor(vassals):
    before = len(os.listdir("/proc/self/fd"))

    async def scenario():
        async with watching(vassals) as seen:
            await seen.settled()

    for _ in range(3):
        asyncio.run(scenario())

    assert len(os.listdir("/proc/self/fd")) == before

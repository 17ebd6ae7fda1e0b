"""Links on a real file system."""

import os
import socket
import threading

import pytest

from emperor.hosts import Claim, HostLinks, RemoveLink, SetLink, plan_hosts


@pytest.fixture
def links(tmp_path):
    opened = HostLinks(str(tmp_path / "hosts"))
    yield opened
    opened.close()


def test_links_are_set_read_replaced_and_removed(links, tmp_path):
    assert (
        links.apply([SetLink("a.example", "/run/a.sock"), SetLink("b.example", "/run/b.sock")])
        == []
    )
    assert links.read() == {"a.example": "/run/a.sock", "b.example": "/run/b.sock"}

    assert links.apply([SetLink("a.example", "/run/c.sock"), RemoveLink("b.example")]) == []

    assert links.read() == {"a.example": "/run/c.sock"}
    assert os.listdir(tmp_path / "hosts") == ["a.example.sock"]


def test_removing_a_link_twice_is_no_problem(links):
    assert links.apply([RemoveLink("a.example"), RemoveLink("a.example")]) == []


def test_two_thousand_flips_never_leave_a_moment_without_the_link(links, tmp_path):
    listeners = []
    for name in ("one", "two"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / name))
        listener.listen(64)
        listeners.append(listener)
    link = str(tmp_path / "hosts" / "x.example.sock")
    links.apply([SetLink("x.example", str(tmp_path / "one"))])
    done = threading.Event()
    looks, misses, targets = 0, [], set()

    def look():
        nonlocal looks
        while not done.is_set():
            try:
                targets.add(os.readlink(link))
                os.stat(link)
            except OSError as error:
                misses.append(error)
            looks += 1

    reader = threading.Thread(target=look)
    reader.start()
    for flip in range(2000):
        assert links.apply([SetLink("x.example", str(tmp_path / ("two", "one")[flip % 2]))]) == []
    done.set()
    reader.join()
    for listener in listeners:
        listener.close()

    assert misses == []
    assert looks > 100
    assert len(targets) == 2


def test_links_are_never_followed(links, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "hosts" / "x.example.sock").symlink_to(victim)

    links.apply([SetLink("x.example", "/run/x.sock")])
    links.apply([RemoveLink("x.example")])

    assert victim.read_text() == "precious"


def test_directory_that_is_a_symlink_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "hosts").symlink_to("elsewhere")

    with pytest.raises(OSError):
        HostLinks(str(tmp_path / "hosts"))


def test_replaced_directory_path_does_not_redirect_our_changes(links, tmp_path):
    (tmp_path / "hosts").rename(tmp_path / "ours")
    (tmp_path / "hosts").symlink_to("/nonexistent")

    assert links.apply([SetLink("x.example", "/run/x.sock")]) == []

    assert os.readlink(tmp_path / "ours" / "x.example.sock") == "/run/x.sock"


def test_remains_of_a_killed_emperor_are_cleared_and_its_links_kept(tmp_path):
    directory = tmp_path / "hosts"
    directory.mkdir()
    (directory / ".new-77-0").symlink_to("/run/x.sock")
    (directory / "x.example.sock").symlink_to("/run/x.sock")
    (directory / "note.sock").write_text("no link")

    links = HostLinks(str(directory))
    try:
        assert links.read() == {"x.example": "/run/x.sock"}
        assert sorted(os.listdir(directory)) == ["note.sock", "x.example.sock"]
    finally:
        links.close()


def test_one_action_that_fails_does_not_stop_the_others(links, tmp_path):
    (tmp_path / "hosts" / "a.example.sock").mkdir()

    problems = links.apply([SetLink("a.example", "/x"), SetLink("b.example", "/y")])

    assert problems == ["hosts: a.example: Is a directory"]
    assert links.read() == {"b.example": "/y"}
    assert len(os.listdir(tmp_path / "hosts")) == 2


def test_plan_and_links_meet(links):
    claims = [Claim("a.example", "a", "/run/a.sock"), Claim("b.example", "b", "/run/b.sock")]
    made = plan_hosts(claims, links.read(), {})
    links.apply(made.actions)

    again = plan_hosts(claims[:1], links.read(), made.holders)
    links.apply(again.actions)

    assert links.read() == {"a.example": "/run/a.sock"}

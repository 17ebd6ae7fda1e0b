"""Names in systemd's store of descriptors, and what is found there at the start."""

import os
import socket

import pytest

from emperor.spawner.fdstore import FdStore, inherited, name_of

KEYS = ("unix:/run/emperor/blog.sock", "tcp:127.0.0.1:8000", "tcp:::1:80", "unix:/srv/\udcff/ü")


@pytest.mark.parametrize("key", KEYS)
def test_name_holds_no_colon_and_is_one_of_systemds(key: str) -> None:
    name = name_of(key)
    assert name
    assert ":" not in name
    assert name.isascii()
    assert name.isprintable()


def test_key_that_is_too_long_for_a_name_is_not_kept() -> None:
    assert name_of("unix:/" + "x" * 300) is None


def environ(names: list[str], pid: int, count: int | None = None) -> dict[str, str]:
    found = len(names) if count is None else count
    return {
        "LISTEN_PID": str(pid),
        "LISTEN_FDS": str(found),
        "LISTEN_FDNAMES": ":".join(names),
    }


def test_what_systemd_kept_comes_back_under_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(os, "set_inheritable", lambda fd, on: asked.append((fd, on)))
    names = [name_of(key) or "" for key in KEYS]
    assert inherited(environ(names, 7), 7) == (dict(zip(KEYS, range(3, 7), strict=True)), ())
    assert asked == [(fd, False) for fd in range(3, 7)]


def test_descriptors_of_others_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "set_inheritable", lambda fd, on: None)
    own = name_of("tcp:x:1") or ""
    found = inherited(environ(["connection", own, "a b", "", own], 7), 7)
    assert found.held == {"tcp:x:1": 4}
    assert found.foreign == (("connection", 3), ("a b", 5), ("", 6), (own, 7))
    assert inherited(environ([own], 8), 7) == ({}, ())
    assert inherited({"LISTEN_PID": "7", "LISTEN_FDS": "many"}, 7) == ({}, ())
    assert inherited({}, 7) == ({}, ())


def test_store_is_told_what_to_keep_and_what_to_close(tmp_path_factory) -> None:
    path = str(tmp_path_factory.mktemp("n") / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, socket.socket() as kept:
        systemd.bind(path)
        systemd.settimeout(5)
        store = FdStore(path)
        store.put("tcp:x:1", kept.fileno())
        message, fds, _, _ = socket.recv_fds(systemd, 4096, 4)
        assert message.decode() == f"FDSTORE=1\nFDPOLL=0\nFDNAME={name_of('tcp:x:1')}"
        assert os.path.sameopenfile(fds[0], kept.fileno())
        os.close(fds[0])
        store.remove("tcp:x:1")
        assert systemd.recv(4096).decode() == f"FDSTOREREMOVE=1\nFDNAME={name_of('tcp:x:1')}"
        store.close()


def test_without_systemd_nothing_happens() -> None:
    store = FdStore(None)
    store.put("tcp:x:1", 0)
    store.remove("tcp:x:1")
    store.close()
    gone = FdStore("/nonexistent/notify")
    gone.put("tcp:x:1", 0)
    gone.close()

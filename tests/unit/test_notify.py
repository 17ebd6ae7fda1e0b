import socket

import pytest

from emperor import notify


def test_ready_carries_a_status():
    assert notify.ready("3 vassals ready") == "READY=1\nSTATUS=3 vassals ready"
    assert notify.ready() == "READY=1"


def test_status_cannot_smuggle_in_another_assignment():
    assert notify.status("a\nMAINPID=1") == "STATUS=a?MAINPID=1"
    assert notify.status("naïve") == "STATUS=na?ve"
    assert len(notify.status("x" * 10_000)) < 300


def test_reload_is_told_with_its_time():
    assert notify.reloading(12.5) == "RELOADING=1\nMONOTONIC_USEC=12500000"


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_is_fed_twice_as_often_as_asked(environ, interval_s):
    assert notify.watchdog_interval_s(environ, pid=7) == interval_s


def test_states_reach_the_notification_socket(tmp_path, monkeypatch):
    path = tmp_path / "n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        notifier = notify.Notifier()
        assert notifier.is_heard
        notifier.send(notify.ready("at work"))
        assert systemd.recv(1024) == b"READY=1\nSTATUS=at work"
        for _ in range(1000):  # nobody reads: nothing may block
            notifier.send(notify.WATCHDOG)
        notifier.close()


@pytest.mark.parametrize("value", [None, "", "/nowhere/socket"])
def test_without_systemd_nothing_is_sent_and_nothing_raised(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", value)
    notifier = notify.Notifier()
    assert not notifier.is_heard
    notifier.send(notify.STOPPING)
    notifier.close()

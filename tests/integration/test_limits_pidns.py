"""PID namespaces around a real fork, and children known by pidfd."""

import os
import signal
import time

import pytest

from limits import pidfd, pidns
from tests.support.forked import run_forked
from tests.support.need import need, need_root
from tests.support.wait import wait_until


@pytest.fixture
def with_pid_namespaces():
    need_root()
    need(run_forked(pidns.can_fork_in_new_pid_namespace), "cannot create PID namespaces")


def namespaces():
    return [os.readlink("/proc/self/ns/pid"), os.readlink("/proc/self/ns/pid_for_children")]


def open_fds():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.usefixtures("with_pid_namespaces")
def test_child_is_pid_one_of_a_new_namespace_and_the_callers_own():
    def caller():
        seen = run_forked(
            lambda: [os.getpid(), os.getppid(), namespaces()[0]],
            fork=pidns.fork_in_new_pid_namespace,
        )
        return [seen, namespaces()]

    (pid, parent, inside), outside = run_forked(caller)

    assert (pid, parent) == (1, 0)
    assert inside not in outside
    assert outside[0] == outside[1]


@pytest.mark.usefixtures("with_pid_namespaces")
def test_the_callers_next_child_is_in_the_callers_namespace_again():
    def caller():
        before = namespaces()
        run_forked(os.getpid, fork=pidns.fork_in_new_pid_namespace)
        return [before, run_forked(namespaces), run_forked(os.getppid), os.getpid()]

    before, after, seen_parent, caller_pid = run_forked(caller)

    assert before == after
    assert seen_parent == caller_pid


@pytest.mark.usefixtures("with_pid_namespaces")
def test_two_hundred_namespaces_leave_no_descriptor_and_no_zombie():
    def caller():
        before = open_fds()
        for _ in range(200):
            pid = pidns.fork_in_new_pid_namespace()
            if pid == 0:
                os._exit(7 if os.getpid() == 1 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        return [before, open_fds(), pidfd.peek_exited()]

    before, after, left = run_forked(caller)

    assert before == after
    assert left is None


@pytest.mark.usefixtures("with_pid_namespaces")
def test_child_holds_no_descriptor_of_the_callers_namespace():
    def inside():
        links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        return [os.readlink(link) for link in links if os.path.lexists(link)]

    names = run_forked(lambda: run_forked(inside, fork=pidns.fork_in_new_pid_namespace))

    assert not [name for name in names if name.startswith("pid:")]


@pytest.mark.usefixtures("with_pid_namespaces")
@pytest.mark.parametrize("fork", [pidns.fork, pidns.fork_in_new_pid_namespace])
def test_failed_fork_leaves_the_caller_as_it_was(fork, monkeypatch):
    def refused():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    def caller():
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1})
        before = [namespaces(), open_fds()]
        with monkeypatch.context() as patched:
            patched.setattr(os, "fork", refused)
            with pytest.raises(BlockingIOError):
                fork()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return [before, [namespaces(), open_fds()], run_forked(namespaces), list(map(int, mask))]

    before, after, of_next_child, mask = run_forked(caller)

    assert before == after
    assert of_next_child == before[0]
    assert mask == [signal.SIGUSR1]


@pytest.mark.usefixtures("with_pid_namespaces")
@pytest.mark.parametrize("fork", [pidns.fork, pidns.fork_in_new_pid_namespace])
def test_signals_are_blocked_in_the_child_and_restored_in_the_caller(fork):
    def caller():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        inside = run_forked(lambda: sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), fork=fork)
        return [signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, inside]

    restored, inside = run_forked(caller)

    assert restored is True
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP} <= set(inside)


def test_term_right_after_the_fork_waits_for_the_childs_own_handler():
    def caller():
        for _ in range(100):
            pid = pidns.fork()
            if pid == 0:
                signal.signal(signal.SIGTERM, lambda number, frame: os._exit(5))
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                time.sleep(10)
                os._exit(1)
            os.kill(pid, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
        return True

    assert run_forked(caller) is True


def test_pidfd_kills_and_reaps_and_tolerates_the_dead():
    def caller():
        pid = pidns.fork()
        if pid == 0:
            signal.pause()
        fd = pidfd.pidfd_open(pid)
        running = pidfd.reap_by_pidfd(fd)
        sent = pidfd.send_signal(fd, signal.SIGKILL)
        peeked = wait_until(pidfd.peek_exited)
        again = pidfd.peek_exited()
        reaped = pidfd.reap_by_pidfd(fd)
        late = pidfd.send_signal(fd, signal.SIGKILL)
        return [running, sent, peeked == again == reaped, list(reaped), pid, late, pidfd.reap(pid)]

    running, sent, same, reaped, pid, late, gone = run_forked(caller)

    assert running is None
    assert sent is True
    assert same is True
    assert reaped == [pid, None, signal.SIGKILL]
    assert late is False
    assert gone is None


def test_exit_status_is_told_apart_from_a_signal():
    def caller():
        pid = pidns.fork()
        if pid == 0:
            os._exit(9)
        return [list(wait_until(lambda: pidfd.reap(pid))), pid]

    reaped, pid = run_forked(caller)

    assert reaped == [pid, 9, None]


def test_descriptor_of_a_child_can_be_fetched():
    def caller():
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(reader, 1)
            os._exit(0)
        fd = pidfd.pidfd_open(pid)
        copy = pidfd.pidfd_getfd(fd, writer)
        os.write(copy, b"x")
        os.waitpid(pid, 0)
        return [os.get_inheritable(copy), copy != writer]

    assert run_forked(caller) == [False, True]

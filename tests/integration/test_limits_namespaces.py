"""Namespaces that real children are in, each beside a control run without them."""

import ctypes
import os
import signal
import socket
from pathlib import Path

import pytest

from limits import syscalls
from limits.confinement import Confinement
from limits.directives import Sandbox
from limits.facts import probe
from limits.plan import plan
from tests.support.born import (
    GROUP,
    NEIGHBOUR_UID,
    OPEN,
    UID,
    attempt,
    confinement,
    only,
    run_confined,
)
from tests.support.forked import run_forked
from tests.support.need import need

NEWUTS = 0x04000000
IPC_CREAT, IPC_RMID = 0o1000, 0
libc = ctypes.CDLL(None, use_errno=True)


pytestmark = pytest.mark.usefixtures("confinable")


def control(function, keep=()):
    return run_confined(function, confinement(OPEN), keep)


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def test_no_network_reaches_out():
    def connect():
        with socket.socket() as client:
            client.settimeout(0.2)
            # Nobody answers there (RFC 5737), and here there is not even a way.
            return attempt(lambda: client.connect(("198.51.100.1", 9)))

    assert run_confined(connect, confinement(Sandbox(network="none"))) == "ENETUNREACH"
    assert control(connect) != "ENETUNREACH"


def test_loopback_works_without_network():
    def talk():
        seen = []
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with (
                socket.create_server((address, 0), family=family) as server,
                socket.create_connection(server.getsockname()[:2]) as client,
            ):
                server.accept()[0].sendall(b"hello")
                seen.append(client.recv(9).decode())
        return seen

    assert run_confined(talk, confinement(Sandbox(network="none"))) == ["hello", "hello"]


def test_hosts_loopback_is_another_one():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def connect():
            return attempt(lambda: socket.create_connection(address, 2).close())

        assert run_confined(connect, confinement(Sandbox(network="none"))) == "ECONNREFUSED"
        assert control(connect) == "done"


def test_interfaces_of_the_host_are_not_in_sys():
    def look():
        return os.listdir("/sys/class/net")

    need(len(os.listdir("/sys/class/net")) > 1, "needs an interface beside lo")

    inside = run_confined(look, confinement(Sandbox(network="none")))

    # Some drivers add interfaces to every namespace; those of the host are more.
    assert "lo" in inside
    assert set(control(look)) > set(inside)


def test_listener_that_was_opened_outside_still_accepts():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            server.settimeout(20)
            connection, _ = server.accept()
            connection.sendall(b"from inside")
            connection.close()
            return True

        client = socket.create_connection(server.getsockname())
        made = confinement(Sandbox(network="none"))
        assert run_confined(serve, made, keep=(server.fileno(),)) is True
        client.settimeout(20)
        assert client.recv(99) == b"from inside"
        client.close()


def test_unix_sockets_cross_by_path_but_not_by_abstract_name(place):
    path = str(place.blog / "database.sock")
    name = f"\0emperor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as by_path, socket.socket(socket.AF_UNIX) as abstract:
        by_path.bind(path)
        os.chmod(path, 0o666)
        abstract.bind(name)
        by_path.listen()
        abstract.listen()

        def connect():
            results = []
            for address in (path, name):
                with socket.socket(socket.AF_UNIX) as client:
                    results.append(attempt(lambda client=client, a=address: client.connect(a)))
            return results

        made = confinement(Sandbox(network="none"), [(place.blog, True)])

        assert run_confined(connect, made) == ["done", "ECONNREFUSED"]
        assert control(connect) == ["done", "done"]


def test_shared_memory_of_others_is_not_there():
    key = 0x656D7000 + os.getpid() % 4096
    memory = checked(libc.shmget(key, 4096, IPC_CREAT | 0o666))
    try:

        def find():
            return attempt(lambda: checked(libc.shmget(key, 0, 0)))

        assert run_confined(find, confinement(only(private_ipc=True))) == "ENOENT"
        assert control(find) == "done"
    finally:
        libc.shmctl(memory, IPC_RMID, None)


def test_message_queues_of_others_are_not_there():
    name = f"/emperor-test-{os.getpid()}".encode()
    queue = libc.mq_open(name, os.O_CREAT | os.O_RDWR, 0o666, None)
    need(queue >= 0, "needs POSIX message queues")
    try:

        def find():
            return attempt(lambda: checked(libc.mq_open(name, os.O_WRONLY)))

        os.fchmod(queue, 0o666)
        assert run_confined(find, confinement(Sandbox())) == "ENOENT"
        assert control(find) == "done"
    finally:
        os.close(queue)
        libc.mq_unlink(name)


def test_own_message_queues_are_listed_in_dev():
    def use():
        checked(libc.mq_open(b"/mine", os.O_CREAT | os.O_RDWR, 0o600, None))
        return os.listdir("/dev/mqueue")

    made = confinement(only(private_ipc=True, private_devices=True))

    assert run_confined(use, made) == ["mine"]


def test_host_name_is_the_hosts_and_changing_it_changes_nothing_outside():
    def rename():
        before = socket.gethostname()
        socket.sethostname("emperor-test")
        return [before, socket.gethostname()]

    before = socket.gethostname()

    made = confinement(only(protect_hostname=True), as_root=True)
    assert run_confined(rename, made) == [before, "emperor-test"]
    assert socket.gethostname() == before

    def control_run():
        # In a namespace of its own, that stands for the host.
        syscalls.unshare(NEWUTS)
        run_confined(rename, Confinement())
        return socket.gethostname()

    assert run_forked(control_run) == "emperor-test"


def test_cgroup_namespace_has_the_own_cgroup_as_its_root():
    def look():
        return [os.readlink("/proc/self/ns/cgroup"), Path("/proc/self/cgroup").read_text()]

    namespace, cgroups = run_confined(look, confinement(only(protect_control_groups=True)))

    assert namespace != os.readlink("/proc/self/ns/cgroup")
    assert {line.split(":", 2)[2] for line in cgroups.splitlines()} == {"/"}


def test_user_namespace_maps_root_and_the_vassals_ids_and_nobody_else():
    def look():
        numbers = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        groups = [line.split()[0] for line in Path("/proc/self/gid_map").read_text().splitlines()]
        status = Path("/proc/self/status").read_text()
        return [
            numbers,
            groups,
            os.getresuid(),
            sorted(os.getgroups()),
            os.stat("/proc/self").st_uid,
            "NoNewPrivs:\t1" in status,
            "CapEff:\t0000000000000000" in status,
            "CapBnd:\t0000000000000000" in status,
        ]

    made = confinement(Sandbox(private_users=True))
    own = [[str(number), str(number), "1"] for number in (0, UID)]

    assert run_confined(look, made) == [
        own,
        ["0", str(UID), str(GROUP)],
        [UID, UID, UID],
        [GROUP],
        UID,
        True,
        True,
        True,
    ]


def test_root_of_a_user_namespace_is_not_root_outside(place):
    secret = place.shop / "private"
    secret.write_text("x")
    secret.chmod(0o600)
    os.chown(secret, NEIGHBOUR_UID, NEIGHBOUR_UID)

    def use():
        return [
            os.geteuid(),
            attempt(secret.read_text),
            attempt(lambda: os.kill(host_pid, 0)),
            attempt(lambda: socket.sethostname(socket.gethostname())),
            attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)),
            attempt(lambda: os.chroot("/")),
        ]

    host_pid = os.fork()
    if host_pid == 0:
        os.setresuid(NEIGHBOUR_UID, NEIGHBOUR_UID, NEIGHBOUR_UID)
        signal.pause()
    try:
        ids = {"uid": 0, "gid": 0, "groups": (0,)}
        inside = run_confined(use, Confinement(namespaces=("user",), **ids))
        outside = run_confined(use, Confinement(**ids))
    finally:
        os.kill(host_pid, signal.SIGKILL)
        os.waitpid(host_pid, 0)

    # Chroot is a matter of the own namespace, and the others are of the host.
    assert inside == [0, "EACCES", "EPERM", "EPERM", "EACCES", "done"]
    assert outside == [0, "done", "done", "done", "done", "done"]


def test_user_namespace_leaves_no_child_and_no_descriptor():
    made = Confinement(uid=UID, gid=UID, groups=(), namespaces=("user",))

    def caller():
        before = len(os.listdir("/proc/self/fd"))
        for step in plan(made, probe()).steps:
            step.execute()
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return len(os.listdir("/proc/self/fd")) - before

    assert run_forked(caller) == 0

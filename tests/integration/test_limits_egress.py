"""Sockets of processes in a cgroup, filtered by BPF programs of ours; each with a control."""

import contextlib
import ctypes
import errno
import os
import socket
from pathlib import Path

import pytest

from limits.cgroups.join import JoinCgroup
from limits.egress import EVERYTHING, Hook, programs
from limits.egress_hooks import attach_egress, detach_egress, egress_hooks, keep_listeners
from tests.support.cgroups import APP, tree_over
from tests.support.forked import run_forked

ALLOWED = "127.0.0.1/32"


@pytest.fixture
def tree(tmp_path):
    with tree_over(tmp_path) as tree:
        tree.create(APP)
        yield tree


@pytest.fixture
def workload(tree):
    return f"{tree.root}/{APP}/workload"


def inside(tree, function):
    """Return what the function returns in a child that joined the workload."""
    master, fd = tree.open_procs(APP)

    def run():
        JoinCgroup(fd).execute()
        return function()

    try:
        return run_forked(run)
    finally:
        os.close(master)
        os.close(fd)


def outcome(call, *arguments):
    """Return "ok" or the name of the error."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"


@contextlib.contextmanager
def listener(family=socket.AF_INET, address="127.0.0.1"):
    with socket.socket(family) as one:
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind((address, 0))
        one.listen()
        yield one.getsockname()[1]


def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.connect(address)


def open_and_close(kind, protocol):
    socket.socket(socket.AF_INET, kind, protocol).close()


def send(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", address)


CALLS = {
    "tcp": lambda port: connect(socket.AF_INET, ("127.0.0.1", port)),
    "tcp to 0.0.0.0": lambda port: connect(socket.AF_INET, ("0.0.0.0", port)),
    "tcp mapped": lambda port: connect(socket.AF_INET6, ("::ffff:127.0.0.1", port)),
    "tcp6": lambda port: connect(socket.AF_INET6, ("::1", port)),
    "tcp6 to ::": lambda port: connect(socket.AF_INET6, ("::", port)),
    "udp connect": lambda port: connect(socket.AF_INET, ("127.0.0.1", port), socket.SOCK_DGRAM),
    "udp": lambda port: send(socket.AF_INET, ("127.0.0.1", port)),
    "udp to 0.0.0.0": lambda port: send(socket.AF_INET, ("0.0.0.0", port)),
    "udp mapped": lambda port: send(socket.AF_INET6, ("::ffff:127.0.0.1", port)),
    "udp6": lambda port: send(socket.AF_INET6, ("::1", port)),
    "udp6 to ::": lambda port: send(socket.AF_INET6, ("::", port)),
}


def all_calls(tree):
    # Bound to "::" it takes both families, and both for loopback.
    with listener(socket.AF_INET6, "::") as port:
        return inside(tree, lambda: {name: outcome(call, port) for name, call in CALLS.items()})


def test_control_run_without_programs_lets_every_call_pass(tree):
    assert set(all_calls(tree).values()) == {"ok"}


def test_programs_without_lists_let_every_call_pass(tree, workload):
    attach_egress(workload, programs((), ()))

    assert egress_hooks(workload) == set(Hook)
    assert set(all_calls(tree).values()) == {"ok"}


def test_denying_everything_denies_every_call_with_eperm(tree, workload):
    attach_egress(workload, programs((), EVERYTHING))

    assert set(all_calls(tree).values()) == {"EPERM"}


def test_allowed_ipv4_network_is_reached_by_ipv4_and_mapped_addresses_only(tree, workload):
    attach_egress(workload, programs((ALLOWED,), EVERYTHING))

    found = all_calls(tree)

    denied = {name for name, result in found.items() if result == "EPERM"}
    assert denied == {"tcp6", "tcp6 to ::", "udp6", "udp6 to ::"}
    assert {result for name, result in found.items() if name not in denied} == {"ok"}


def test_denied_loopback_is_not_reached_by_the_unspecified_address(tree, workload):
    attach_egress(workload, programs((), ("127.0.0.0/8", "::1/128")))

    assert set(all_calls(tree).values()) == {"EPERM"}


def test_processes_outside_are_not_filtered(tree, workload):
    attach_egress(workload, programs((), EVERYTHING))

    with listener() as port:
        assert outcome(CALLS["tcp"], port) == "ok"


def test_programs_outlive_the_process_that_attached_them(tree, workload):
    run_forked(lambda: attach_egress(workload, programs((), EVERYTHING)))

    assert set(all_calls(tree).values()) == {"EPERM"}


def test_new_lists_replace_the_old_ones_after_a_change_of_brains(tree, workload):
    run_forked(lambda: attach_egress(workload, programs((), EVERYTHING)))
    run_forked(lambda: attach_egress(workload, programs((), ())))

    assert set(all_calls(tree).values()) == {"ok"}


def test_detached_programs_filter_no_more(tree, workload):
    attach_egress(workload, programs((), EVERYTHING))
    detach_egress(workload)

    assert egress_hooks(workload) == set()
    assert set(all_calls(tree).values()) == {"ok"}


def test_protocols_that_connect_hooks_do_not_see_cannot_be_opened(tree, workload):
    ping, multipath = (socket.SOCK_DGRAM, socket.IPPROTO_ICMP), (socket.SOCK_STREAM, 262)

    def opened():
        return [
            outcome(open_and_close, *kind)
            for kind in (ping, multipath, (socket.SOCK_STREAM, socket.IPPROTO_TCP))
        ]

    without = inside(tree, opened)
    attach_egress(workload, programs((), ()))
    filtered = inside(tree, opened)

    assert "EPERM" not in without[1:]
    # What the kernel lacks it refuses in its own words.
    assert filtered[1] == ("EPERM" if without[1] == "ok" else without[1])
    assert filtered[0] != "ok"
    assert filtered[2] == "ok"


def test_connections_that_come_in_are_answered(tree, workload):
    attach_egress(workload, programs((), EVERYTHING))

    def serve():
        with socket.create_server(("127.0.0.1", 0)) as server:
            os.write(writer, str(server.getsockname()[1]).encode())
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"hello")
        return "served"

    reader, writer = os.pipe()
    client = os.fork()
    if client == 0:
        port = int(os.read(reader, 16))
        with socket.create_connection(("127.0.0.1", port)) as one:
            os._exit(0 if one.recv(16) == b"hello" else 1)
    try:
        assert inside(tree, serve) == "served"
        assert os.waitstatus_to_exitcode(os.waitpid(client, 0)[1]) == 0
    finally:
        os.close(reader)
        os.close(writer)


def test_longest_lists_are_accepted_by_the_kernel(tree, workload):
    many4 = [f"10.{i // 256}.{i % 256}.0/25" for i in range(1000)]
    many6 = [f"2001:db8:{i:x}:1::/65" for i in range(1000)]

    attach_egress(workload, programs(many4 + many6, EVERYTHING))

    assert all_calls(tree)["tcp"] == "EPERM"


def disconnect(one):
    """Call connect() with AF_UNSPEC: the socket can connect anew."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.connect(one.fileno(), bytes(16), 16) == 0, os.strerror(ctypes.get_errno())


def misuse_of_inherited_sockets(tree):
    """Return how a tenant fares who connects by what a listener accepted, and by the listener."""

    def supervise():
        Path(tree.root, "supervisor", "cgroup.procs").write_text("0")
        fds = tree.open_procs(APP)
        with (
            listener() as target,
            socket.create_server(("127.0.0.1", 0)) as inherited,
            socket.create_connection(inherited.getsockname()),
        ):
            return run_forked(lambda: misuse(fds[1], target, inherited))

    def misuse(fd, target, inherited):
        JoinCgroup(fd).execute()
        accepted, _ = inherited.accept()
        disconnect(accepted)
        inherited.shutdown(socket.SHUT_RDWR)
        addresses = ("127.0.0.1", target)
        results = [outcome(one.connect, addresses) for one in (accepted, inherited)]
        accepted.close()
        return results

    return run_forked(supervise)


def test_control_run_inherited_sockets_escape_the_workloads_filter(tree, workload):
    attach_egress(workload, programs((), EVERYTHING))

    assert misuse_of_inherited_sockets(tree) == ["ok", "ok"]


def test_inherited_sockets_do_not_escape_where_listeners_are_kept(tree, workload):
    attach_egress(workload, programs((), EVERYTHING))
    keep_listeners(f"{tree.root}/supervisor")

    # And the supervisor itself still connects, or this would fail earlier.
    assert misuse_of_inherited_sockets(tree) == ["EPERM", "EPERM"]

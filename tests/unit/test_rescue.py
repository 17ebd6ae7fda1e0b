"""What the clients of a worker that is killed are told; the worker is this process."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from vassal.master.rescue import answer_lost, answer_timeout, hold
from vassal.runtime import scoreboard

HTTP = scoreboard.PROTOCOLS.index("http")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client, and its connection as the worker has it."""
    client, connection = socket.socketpair()
    client.settimeout(5)
    with client, connection:
        yield client, connection


@pytest.fixture
def pidfd() -> Iterator[int]:
    fd = os.pidfd_open(os.getpid())
    yield fd
    os.close(fd)


class Slot:
    """One slot, in which a request runs."""

    def __init__(self, client_fd: int, protocol: int = HTTP) -> None:
        self.memory = memoryview(bytearray(scoreboard.size_for(1)))
        scoreboard.claim_slot(self.memory, 0, 1)
        self.writer = scoreboard.SlotWriter(self.memory, 0, 0, 0)
        self.client_fd, self.protocol = client_fd, protocol
        self.begin()

    def begin(self) -> None:
        self.writer.begin(0, b"GET", b"/report", self.client_fd, self.protocol)

    def read(self) -> scoreboard.SlotReading:
        return scoreboard.read_slot(self.memory, 0)


def everything(client: socket.socket) -> bytes:
    data = b""
    while more := client.recv(4096):
        data += more
    return data


def test_lost_request_is_answered_503_and_nothing_can_follow(
    pair: tuple[socket.socket, socket.socket], pidfd: int
) -> None:
    client, connection = pair
    slot = Slot(connection.fileno())
    held = hold(pidfd, slot.read())
    assert answer_lost(held, slot.read()) is True
    answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    with pytest.raises(OSError):
        connection.send(b"more")
    assert held.client is not None
    assert held.client.fileno() == -1


def test_request_that_was_being_answered_is_lost_without_another_word(
    pair: tuple[socket.socket, socket.socket], pidfd: int
) -> None:
    client, connection = pair
    slot = Slot(connection.fileno())
    held = hold(pidfd, slot.read())
    slot.writer.responding()
    assert answer_lost(held, slot.read()) is False
    connection.close()
    assert everything(client) == b""


@pytest.mark.parametrize("next_one", [False, True])
def test_request_that_was_over_before_the_end_is_not_lost(
    pair: tuple[socket.socket, socket.socket], pidfd: int, next_one: bool
) -> None:
    client, connection = pair
    slot = Slot(connection.fileno())
    held = hold(pidfd, slot.read())
    slot.writer.end(1, 10, failed=False)
    if next_one:
        slot.begin()
    assert answer_lost(held, slot.read()) is None
    connection.close()
    assert everything(client) == b""


def test_slot_that_lies_costs_nothing(tmp_path: os.PathLike[str], pidfd: int) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for client_fd, protocol in ((fd, HTTP), (9999, HTTP), (-1, HTTP), (fd, 2**32 - 1)):
        slot = Slot(client_fd, protocol)
        held = hold(pidfd, slot.read())
        assert held.client is None
        assert answer_lost(held, slot.read()) is False
        assert not answer_timeout(pidfd, slot.read())
    os.close(fd)


def test_last_copy_of_a_socket_does_not_wait_at_its_close(pidfd: int) -> None:
    """What a tenant says of its socket's close would hold up its master."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        connection, _ = server.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
        slot = Slot(connection.fileno())
        held = hold(pidfd, slot.read())
        assert held.client is not None
        copy = held.client.dup()
        assert answer_lost(held, slot.read()) is True
        lingers = copy.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", lingers)[0] == 0
        for each in (copy, connection, client):
            each.close()

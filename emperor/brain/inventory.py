"""Reads what outlived the emperor before, and keeps what the next one must know.

The spawner holds descriptors under a key. Besides listeners there are memory files of
ours, which live as long as the spawner and leave nothing on any disk.
"""

import os
import socket
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from vassal import packets
from vassal.encoding import decode_from_spawner, encode
from vassal.messages import (
    FromSpawner,
    HeldListener,
    HeldMaster,
    HoldListener,
    InventoryComplete,
    Message,
)

T = TypeVar("T")

LOCK = "emperor:lock"
SETTINGS = "emperor:settings"
STOPPED = "emperor:stopped"
NAMES = "emperor:names"
HOMES = "emperor:homes"
ATTEMPTS = "emperor:attempts"
TOUCHED = "emperor:touched"


class Inventory(NamedTuple):
    """`ours` maps a key above to its descriptor; `rest` is for the fleet, in order."""

    starts: int
    spawner_version: str
    ours: dict[str, int]
    rest: list[tuple[FromSpawner, list[int]]]

    @property
    def has_masters(self) -> bool:
        """Whether anything runs that an earlier emperor has started."""
        return any(isinstance(message, HeldMaster) for message, _ in self.rest)

    def kept(self, key: str, kind: type[T]) -> T | None:
        """Return what an earlier emperor kept under a key; None = nothing."""
        fd = self.ours.get(key)
        if fd is None:
            return None
        return msgspec.json.decode(os.pread(fd, os.fstat(fd).st_size, 0), type=kind)


def receive_inventory(channel: socket.socket) -> Inventory:
    """Read messages until the inventory is complete; waits. The caller owns all descriptors."""
    channel.setblocking(True)
    ours: dict[str, int] = {}
    rest: list[tuple[FromSpawner, list[int]]] = []
    while True:
        packet = _receive_waiting(channel)
        message = decode_from_spawner(packet.data)
        if isinstance(message, InventoryComplete):
            channel.setblocking(False)
            return Inventory(message.starts, message.version, ours, rest)
        if isinstance(message, HeldListener) and message.key.startswith("emperor:"):
            ours[message.key] = packet.fds[0]
        else:
            rest.append((message, packet.fds))


def _receive_waiting(channel: socket.socket) -> packets.Packet:
    import select

    while True:
        select.select([channel], [], [])
        try:
            return packets.receive(channel)
        except BlockingIOError:
            continue


class Keeper:
    """Gives the spawner small values to keep for the next emperor."""

    def __init__(self, channel: socket.socket) -> None:
        self._send: Callable[[Message, list[int]], None] = lambda message, fds: packets.send(
            channel, encode(message), fds
        )

    def send_by(self, send: Callable[[Message, list[int]], None]) -> None:
        """From now on use this, behind what is queued for the spawner already."""
        self._send = send

    def keep_fd(self, key: str, fd: int) -> None:
        """Let the spawner hold a copy of `fd` under `key`."""
        self._send(HoldListener(key=key), [fd])

    def keep(self, key: str, value: object) -> None:
        """Let the spawner hold `value`, as JSON in a memory file, under `key`."""
        fd = os.memfd_create(key, os.MFD_CLOEXEC)
        try:
            os.write(fd, msgspec.json.encode(value))
            self._send(HoldListener(key=key), [fd])
        finally:
            os.close(fd)

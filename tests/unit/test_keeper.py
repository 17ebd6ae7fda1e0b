"""What a brain has the spawner keep for the next one."""

import asyncio
import os
import socket

from emperor.brain.inventory import Keeper
from emperor.brain.links import Link
from vassal import packets
from vassal.encoding import decode_from_emperor, decode_from_spawner, encode
from vassal.messages import HoldListener, Pong


def _received(channel: socket.socket) -> list[tuple[str, bytes]]:
    """Return the keys, and what was kept, of all that has arrived."""
    found = []
    while True:
        try:
            packet = packets.receive(channel)
        except BlockingIOError:
            return found
        message = decode_from_emperor(packet.data)
        if isinstance(message, HoldListener):
            found.append((message.key, os.pread(packet.fds[0], 100, 0)))
        packets.close_all(packet.fds)


def test_what_is_kept_waits_behind_what_a_busy_spawner_has_not_read() -> None:
    async def run() -> list[tuple[str, bytes]]:
        ours, theirs = packets.pair()
        link = Link(ours, decode_from_spawner, lambda *_: None, print, lambda: None)
        keeper = Keeper(ours)
        keeper.keep("first", 1)
        keeper.send_by(link.send)
        while True:  # until nothing more fits
            try:
                packets.send(ours, encode(Pong()))
            except BlockingIOError:
                break
        keeper.keep("second", 2)
        keeper.keep("third", 3)
        found = []
        while len(found) < 3:
            found += _received(theirs)
            await asyncio.sleep(0.001)
        link.close()
        theirs.close()
        return found

    before = len(os.listdir("/proc/self/fd"))
    assert asyncio.run(run()) == [("first", b"1"), ("second", b"2"), ("third", b"3")]
    assert len(os.listdir("/proc/self/fd")) == before

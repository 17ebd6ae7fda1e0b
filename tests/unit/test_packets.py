"""What one process said before it ended is read by the other."""

import os

import pytest

from vassal import packets


def test_last_words_of_a_peer_that_left_packets_unread_are_received():
    ours, theirs = packets.pair()
    read_end, write_end = os.pipe()
    packets.send(ours, b"not read")
    packets.send(theirs, b"first")
    packets.send(theirs, b"last", [write_end])
    theirs.close()
    os.close(write_end)
    with ours:
        assert packets.receive(ours).data == b"first"
        last = packets.receive(ours)
        assert last.data == b"last"
        packets.close_all(last.fds)
        assert os.read(read_end, 1) == b"", "the descriptor came too: nobody else had it"
        with pytest.raises(packets.PeerGone):
            packets.receive(ours)
    os.close(read_end)


def test_peer_that_ended_with_everything_read_is_gone():
    ours, theirs = packets.pair()
    theirs.close()
    with ours, pytest.raises(packets.PeerGone):
        packets.receive(ours)

"""The vocabulary between processes: what is sent arrives, what is not of it is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vassal import messages
from vassal.encoding import (
    MESSAGE_BYTES_MAX,
    MessageError,
    decode_from_emperor,
    decode_from_master,
    decode_from_spawner,
    decode_to_master,
    encode,
)
from vassal.failure import Failure
from vassal.generation import Generation
from vassal.messages import Describe, Description, GenerationFailed, SpawnMaster, StartGeneration

GENERATION = Generation(
    vassal="blog", number=3, fingerprint="f:0", app="a:b", directory="/", python="/usr/bin/python3"
)


def test_message_survives_the_wire() -> None:
    order = StartGeneration(generation=GENERATION)
    assert decode_to_master(encode(order)) == order


def test_spawner_does_not_read_the_confinement() -> None:
    order = SpawnMaster(
        token="t",
        vassal="blog",
        memo="{}",
        pid_namespace=True,
        confinement=msgspec.Raw(b'{"anything":[1]}'),
    )
    received = decode_from_emperor(encode(order))
    assert isinstance(received, SpawnMaster)
    assert bytes(received.confinement) == b'{"anything":[1]}'


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert decode_to_master(b'{"type":"describe","colour":"blue"}') == Describe()


@pytest.mark.parametrize(
    "packet",
    [b"", b"{}", b"[]", b"\xff", b'{"type":"nonsense"}', b'{"type":"stop"}', b"[" * 100_000],
)
def test_anything_else_is_refused_with_one_exception(packet: bytes) -> None:
    for decode in (decode_from_emperor, decode_from_spawner, decode_to_master, decode_from_master):
        with pytest.raises(MessageError):
            decode(packet)


def test_packet_that_is_too_large_is_refused_on_both_sides() -> None:
    failure = Failure(kind="load", message="x" * MESSAGE_BYTES_MAX)
    with pytest.raises(MessageError):
        encode(GenerationFailed(number=1, fingerprint="f", failure=failure, serving=False))
    with pytest.raises(MessageError):
        decode_from_master(b" " * (MESSAGE_BYTES_MAX + 1))


def test_a_master_cannot_speak_as_the_spawner() -> None:
    exited = messages.MasterExited(token="t", vassal="blog", pid=1, signal=9)
    with pytest.raises(MessageError):
        decode_from_master(encode(exited))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_message_error(packet: bytes) -> None:
    try:
        found = decode_from_master(packet)
    except MessageError:
        return
    assert isinstance(found, msgspec.Struct)


def test_description_of_many_workers_fits_a_packet() -> None:
    row = messages.WorkerDescription(
        slot=1,
        worker=1,
        generation=1,
        ns_pid=1,
        state="busy",
        requests=1,
        exceptions=1,
        harakiris=1,
        bytes_sent=1,
        running_s=1.0,
        age_s=1.0,
        method="GET",
        uri="/" * 200,
    )
    found = Description(
        state="running",
        generation=1,
        newest=1,
        fingerprint="f",
        serving=True,
        age_s=1.0,
        workers=(row,) * 256,
        output="x" * 8000,
    )
    assert len(encode(found)) <= MESSAGE_BYTES_MAX

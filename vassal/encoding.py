"""Puts messages into packets, and takes them out again. Pure.

One message per SEQPACKET packet, in JSON. Receivers ignore fields they do not know, so that two
versions can talk.
"""

from typing import TypeVar

import msgspec

from vassal.messages import FromEmperor, FromMaster, FromSpawner, Message, ToMaster

M = TypeVar("M")

MESSAGE_BYTES_MAX = 128 * 1024


class MessageError(ValueError):
    """The bytes are not a message of this vocabulary."""


_encoder = msgspec.json.Encoder()
_from_emperor: msgspec.json.Decoder[FromEmperor] = msgspec.json.Decoder(FromEmperor)
_from_spawner: msgspec.json.Decoder[FromSpawner] = msgspec.json.Decoder(FromSpawner)
_to_master: msgspec.json.Decoder[ToMaster] = msgspec.json.Decoder(ToMaster)
_from_master: msgspec.json.Decoder[FromMaster] = msgspec.json.Decoder(FromMaster)


def encode(message: Message) -> bytes:
    """Return the packet for `message`; raise MessageError when it is too large to send."""
    packet = _encoder.encode(message)
    if len(packet) > MESSAGE_BYTES_MAX:
        raise MessageError(f"{type(message).__name__} of {len(packet)} bytes is too large")
    return packet


def decode_from_emperor(packet: bytes) -> FromEmperor:
    """Decode what the spawner received; raise MessageError."""
    return _decode(_from_emperor, packet)


def decode_from_spawner(packet: bytes) -> FromSpawner:
    """Decode what the emperor received from the spawner; raise MessageError."""
    return _decode(_from_spawner, packet)


def decode_to_master(packet: bytes) -> ToMaster:
    """Decode what a master received; raise MessageError."""
    return _decode(_to_master, packet)


def decode_from_master(packet: bytes) -> FromMaster:
    """Decode what the emperor received from a master, hostile; raise MessageError."""
    return _decode(_from_master, packet)


def _decode(decoder: msgspec.json.Decoder[M], packet: bytes) -> M:
    if len(packet) > MESSAGE_BYTES_MAX:
        raise MessageError(f"packet of {len(packet)} bytes is too large")
    try:
        return decoder.decode(packet)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error

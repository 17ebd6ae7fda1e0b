"""Assembles the BPF programs that decide where a vassal's sockets may connect. Pure.

systemd's semantics of IPAddressAllow= and IPAddressDeny=: what is allowed is allowed, else
what is denied is denied, else it is allowed. An IPv4-mapped IPv6 address is the IPv4
address and nothing else: "::/0" does not mean it. The unspecified address is loopback, to
which the kernel would connect; the programs write that into the call.

The kernel asks them at connect() and at every datagram with an address of its own. Sockets
of which it would not ask (SCTP, MPTCP, ping, raw) are refused when they are made.
"""

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

NETWORKS_MAX = 1000
"""Of one family in one list, after merging. Jumps of the programs reach 32767 instructions."""

EVERYTHING = ("0.0.0.0/0", "::/0")
"""What egress-filter denies when no deny list was written."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Hook(Enum):
    """Where a program is asked: (BPF_PROG_TYPE_*, BPF_CGROUP_*) of linux/bpf.h."""

    SOCKET = (9, 2)
    CONNECT4 = (18, 10)
    CONNECT6 = (18, 11)
    SENDMSG4 = (18, 14)
    SENDMSG6 = (18, 15)

    @property
    def program_type(self) -> int:
        return self.value[0]

    @property
    def attach_type(self) -> int:
        return self.value[1]


@dataclass(frozen=True)
class EgressProgram:
    """Little-endian instructions for one hook."""

    hook: Hook
    code: bytes


# Opcodes (Documentation/bpf/standardization/instruction-set.rst), all on 32 bits: the
# 64-bit forms would extend the sign of an address.
_MOV_REG = 0xBC
_MOV_IMM = 0xB4
_AND_IMM = 0x54
_OR_REG = 0x4C
_TO_BE = 0xDC
_LOAD_W = 0x61
_STORE_W = 0x63
_JNE_IMM = 0x56
_EXIT = 0x95
# And these on 64 bits, for the number of a cgroup.
_LOAD_64 = 0x18
_JEQ_REG_64 = 0x1D
_CALL = 0x85

_GET_CURRENT_CGROUP_ID = 80  # enum bpf_func_id; for these hooks since Linux 5.7

_VERDICT, _CONTEXT, _SCRATCH = 0, 1, 6
_WORDS = (2, 3, 4, 5)  # of the address, in the host's order; an IPv4 address is the last

# Offsets in struct bpf_sock_addr and struct bpf_sock.
_USER_IP4 = 4
_USER_IP6 = (8, 12, 16, 20)
_SOCK_PROTOCOL = 12

_LOOPBACK4 = int(ipaddress.IPv4Address("127.0.0.1"))
_LOOPBACK6 = 1
_MAPPED_WORD = 0xFFFF
_IPPROTO_TCP, _IPPROTO_UDP = 6, 17


def programs(allow: Iterable[str], deny: Iterable[str]) -> tuple[EgressProgram, ...]:
    """Return the programs of all hooks; raise ValueError for what is no network, or too many."""
    allow, deny = tuple(allow), tuple(deny)
    for4, for6 = program(allow, deny, 4), program(allow, deny, 6)
    return (
        EgressProgram(Hook.SOCKET, socket_program()),
        EgressProgram(Hook.CONNECT4, for4),
        EgressProgram(Hook.CONNECT6, for6),
        EgressProgram(Hook.SENDMSG4, for4),
        EgressProgram(Hook.SENDMSG6, for6),
    )


def program(allow: Iterable[str], deny: Iterable[str], family: int) -> bytes:
    """Return the program for sockets of IPv4 (4) or IPv6 (6): 1 lets the call pass, 0 is EPERM."""
    allow4, allow6 = split(allow)
    deny4, deny6 = split(deny)
    if family == 4:
        return _load(_WORDS[3], _USER_IP4) + _loopback4(_USER_IP4) + _verdicts(allow4, deny4)
    loads = b"".join(_load(word, at) for word, at in zip(_WORDS, _USER_IP6, strict=True))
    mapped = _loopback4(_USER_IP6[3]) + _verdicts(allow4, deny4)
    return loads + _if_mapped(mapped) + _loopback6() + _verdicts(allow6, deny6)


def socket_program() -> bytes:
    """Return the program for new sockets of both families: TCP and UDP only."""
    return (
        _instruction(_LOAD_W, _SCRATCH, _CONTEXT, _SOCK_PROTOCOL)
        + _if_equal(_SCRATCH, _IPPROTO_TCP, _return(True))
        + _if_equal(_SCRATCH, _IPPROTO_UDP, _return(True))
        + _return(False)
    )


def keeper_programs(cgroup_id: int) -> tuple[EgressProgram, ...]:
    """Return programs for the cgroup in which listeners are made: only its own may connect by them.

    A socket is judged by the cgroup that it was made in, and so is every connection that a
    listener accepted. A tenant would undo one (by a connect to AF_UNSPEC, or a shutdown)
    and connect it to where it likes. `cgroup_id` is the inode of the cgroup's directory.
    """
    code = (
        _instruction(_CALL, immediate=_GET_CURRENT_CGROUP_ID)
        + _instruction(_LOAD_64, _SCRATCH, immediate=cgroup_id)
        + _instruction(0, immediate=cgroup_id >> 32)
        + _instruction(_JEQ_REG_64, _VERDICT, _SCRATCH, len(_return(False)) // 8)
        + _return(False)
        + _return(True)
    )
    hooks = (Hook.CONNECT4, Hook.CONNECT6, Hook.SENDMSG4, Hook.SENDMSG6)
    return tuple(EgressProgram(hook, code) for hook in hooks)


def split(
    texts: Iterable[str],
) -> tuple[list[ipaddress.IPv4Network], list[ipaddress.IPv6Network]]:
    """Return the networks by family, merged; raise ValueError.

    "10.1.2.3/8" counts as 10.0.0.0/8. A network of mapped addresses is an IPv4 network.
    """
    found4: list[ipaddress.IPv4Network] = []
    found6: list[ipaddress.IPv6Network] = []
    for text in texts:
        network = ipaddress.ip_network(text, strict=False)
        if isinstance(network, ipaddress.IPv4Network):
            found4.append(network)
        elif (mapped := network.network_address.ipv4_mapped) is None or network.prefixlen < 96:
            found6.append(network)
        else:
            found4.append(ipaddress.IPv4Network((mapped, network.prefixlen - 96)))
    merged4 = list(ipaddress.collapse_addresses(found4))
    merged6 = list(ipaddress.collapse_addresses(found6))
    if max(len(merged4), len(merged6)) > NETWORKS_MAX:
        raise ValueError(f"more than {NETWORKS_MAX} networks; merge them into larger ones")
    return merged4, merged6


def is_allowed(address: str, allow: Iterable[str], deny: Iterable[str]) -> bool:
    """Return what the programs say about an address: for status, and for tests of them."""
    where = ipaddress.ip_address(address)
    if isinstance(where, ipaddress.IPv6Address):
        where = where.ipv4_mapped or where
    if where.is_unspecified:
        where = ipaddress.ip_address("127.0.0.1" if where.version == 4 else "::1")
    for networks, verdict in ((allow, True), (deny, False)):
        both: list[Network] = [network for family in split(networks) for network in family]
        if any(where in network for network in both):
            return verdict
    return True


def _verdicts(allow: Iterable[Network], deny: Iterable[Network]) -> bytes:
    """Return code that compares the address with every network and ends with a verdict."""
    code = b""
    for networks, verdict in ((allow, True), (deny, False)):
        for network in networks:
            if not network.prefixlen:
                # All is said: the kernel refuses code that cannot be reached.
                return code + _return(verdict)
            code += _if_in(network, _return(verdict))
    return code + _return(True)


def _if_in(network: Network, then: bytes) -> bytes:
    """Return code that does `then` for an address in the network."""
    width = network.max_prefixlen // 32
    pieces = struct.unpack(f">{width}I", network.network_address.packed)
    masks = struct.unpack(f">{width}I", network.netmask.packed)
    code = then
    for word, piece, mask in reversed(
        list(zip(_WORDS[4 - width :], pieces, masks, strict=True)),
    ):
        if not mask:
            continue
        tested = _instruction(_MOV_REG, _SCRATCH, word) + _instruction(
            _AND_IMM, _SCRATCH, immediate=mask
        )
        code = tested + _if_equal(_SCRATCH, piece, code)
    return code


def _if_mapped(then: bytes) -> bytes:
    """Return code that does `then`, which must end, for ::ffff:a.b.c.d."""
    code = then
    for word, value in reversed(list(zip(_WORDS[:3], (0, 0, _MAPPED_WORD), strict=True))):
        code = _if_equal(word, value, code)
    return code


def _loopback4(at: int) -> bytes:
    address = _WORDS[3]
    return _if_equal(address, 0, _replace(address, _LOOPBACK4, at))


def _loopback6() -> bytes:
    merged = _instruction(_MOV_REG, _SCRATCH, _WORDS[0]) + b"".join(
        _instruction(_OR_REG, _SCRATCH, word) for word in _WORDS[1:]
    )
    replaced = _replace(_WORDS[3], _LOOPBACK6, _USER_IP6[3])
    return merged + _if_equal(_SCRATCH, 0, replaced)


def _replace(word: int, value: int, at: int) -> bytes:
    """Return code that puts the value into the register, and into the call."""
    return (
        _instruction(_MOV_IMM, word, immediate=value)
        + _instruction(_MOV_REG, _SCRATCH, word)
        + _instruction(_TO_BE, _SCRATCH, immediate=32)
        + _instruction(_STORE_W, _CONTEXT, _SCRATCH, at)
    )


def _load(word: int, at: int) -> bytes:
    loaded = _instruction(_LOAD_W, word, _CONTEXT, at)
    return loaded + _instruction(_TO_BE, word, immediate=32)


def _return(verdict: bool) -> bytes:
    return _instruction(_MOV_IMM, _VERDICT, immediate=int(verdict)) + _instruction(_EXIT)


def _if_equal(register: int, value: int, then: bytes) -> bytes:
    return _instruction(_JNE_IMM, register, offset=len(then) // 8, immediate=value) + then


def _instruction(
    opcode: int, target: int = 0, source: int = 0, offset: int = 0, immediate: int = 0
) -> bytes:
    return struct.pack("<BBhI", opcode, target | source << 4, offset, immediate & 0xFFFFFFFF)

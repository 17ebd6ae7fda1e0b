"""An interpreter for the few BPF instructions that `limits.egress` emits, and their contexts."""

import ipaddress
import struct

MASK = 0xFFFFFFFF


def run(code, context, cgroup_id=0):
    """Return r0 at exit; `context` is a bytearray that the program reads and writes."""
    registers = [0] * 11
    instructions = list(struct.iter_unpack("<BBhI", code))
    at = 0
    while True:
        opcode, both, offset, immediate = instructions[at]
        target, source = both & 15, both >> 4
        at += 1
        if opcode == 0x95:
            return registers[0]
        if opcode == 0xBC:
            registers[target] = registers[source]
        elif opcode == 0xB4:
            registers[target] = immediate
        elif opcode == 0x54:
            registers[target] &= immediate
        elif opcode == 0x4C:
            registers[target] |= registers[source]
        elif opcode == 0xDC:
            assert immediate == 32
            registers[target] = int.from_bytes(registers[target].to_bytes(4, "little"), "big")
        elif opcode == 0x61:
            assert source == 1
            (registers[target],) = struct.unpack_from("<I", context, offset)
        elif opcode == 0x63:
            assert target == 1
            struct.pack_into("<I", context, offset, registers[source] & MASK)
        elif opcode == 0x18:
            registers[target] = immediate | instructions[at][3] << 32
            at += 1
        elif opcode == 0x85:
            assert immediate == 80
            registers[0] = cgroup_id
        elif opcode == 0x1D:
            at += offset if registers[target] == registers[source] else 0
        elif opcode == 0x56:
            assert offset >= 0
            at += offset if registers[target] != immediate else 0
        else:
            raise AssertionError(f"opcode {opcode:#x}")


def unreachable(code):
    """Return the numbers of instructions that no way leads to: the kernel would refuse them."""
    instructions = list(struct.iter_unpack("<BBhI", code))
    seen, ways = set(), [0]
    while ways:
        at = ways.pop()
        while at not in seen:
            seen.add(at)
            opcode, _, offset, _ = instructions[at]
            if opcode == 0x95:
                break
            at += 1
            if opcode == 0x56:
                ways.append(at + offset)
    return sorted(set(range(len(instructions))) - seen)


def call_to(address):
    """Return a struct bpf_sock_addr for a call to the address."""
    address = ipaddress.ip_address(address)
    context = bytearray(72)
    at = 4 if address.version == 4 else 8
    context[at : at + len(address.packed)] = address.packed
    return context


def address_in(context, version):
    """Return the address that the call goes to after the program."""
    packed = bytes(context[4:8] if version == 4 else context[8:24])
    return str(ipaddress.ip_address(packed))


def socket_of(protocol):
    """Return a struct bpf_sock for a new socket."""
    return bytearray(struct.pack("<IIII", 0, 2, 1, protocol) + bytes(64))

"""Loads BPF programs and attaches them to cgroups: thin wrappers of bpf(2).

A program that is attached stays with the cgroup, whoever attached it and whether that
still lives. Numbers are of linux/bpf.h.
"""

import ctypes
import os
import struct

from limits import syscalls

_PROG_LOAD = 5
_PROG_ATTACH = 8
_PROG_DETACH = 9
_PROG_GET_FD_BY_ID = 13
_OBJ_GET_INFO_BY_FD = 15
_PROG_QUERY = 16

_F_ALLOW_MULTI = 1 << 1
_F_REPLACE = 1 << 2

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "armv7l": 386}

_INSTRUCTION = 8
_INFO_SIZE = 80  # of struct bpf_prog_info, up to and with its name
_ATTACHED_MAX = 64  # the kernel's bound of programs at one hook of one cgroup


def load(program_type: int, attach_type: int, code: bytes, name: str) -> int:
    """Return a descriptor of the program, loaded and verified by the kernel; raise OSError."""
    licence = ctypes.create_string_buffer(b"GPL")
    instructions = ctypes.create_string_buffer(code, len(code))
    attributes = struct.pack(
        "=IIQQIIQII16sII",
        program_type,
        len(code) // _INSTRUCTION,
        ctypes.addressof(instructions),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
        0,
        name.encode("ascii")[:15],
        0,
        attach_type,
    )
    return _bpf(_PROG_LOAD, attributes)


def attach(cgroup: int, program: int, attach_type: int, replaced: int | None = None) -> None:
    """Attach beside what others attached, or at once in place of the program `replaced`."""
    flags = _F_ALLOW_MULTI | (0 if replaced is None else _F_REPLACE)
    attributes = struct.pack("=IIIII", cgroup, program, attach_type, flags, replaced or 0)
    _bpf(_PROG_ATTACH, attributes)


def detach(cgroup: int, program: int, attach_type: int) -> None:
    """Take one program away."""
    _bpf(_PROG_DETACH, struct.pack("=IIII", cgroup, program, attach_type, 0))


def attached(cgroup: int, attach_type: int) -> list[int]:
    """Return the ids of the programs that are attached to the cgroup itself."""
    ids = (ctypes.c_uint32 * _ATTACHED_MAX)()
    attributes = ctypes.create_string_buffer(
        struct.pack("=IIIIQII", cgroup, attach_type, 0, 0, ctypes.addressof(ids), len(ids), 0)
    )
    _bpf_buffer(_PROG_QUERY, attributes, len(attributes) - 1)
    (count,) = struct.unpack_from("=I", attributes.raw, 24)
    return list(ids[:count])


def open_by_id(number: int) -> int:
    """Return a descriptor of a loaded program."""
    return _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))


def name_of(program: int) -> str:
    """Return the name that the program was loaded with."""
    info = ctypes.create_string_buffer(_INFO_SIZE)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, _INFO_SIZE, ctypes.addressof(info)))
    return info.raw[64:80].split(b"\0", 1)[0].decode("ascii", "replace")


def _bpf(command: int, attributes: bytes) -> int:
    return _bpf_buffer(command, ctypes.create_string_buffer(attributes), len(attributes))


def _bpf_buffer(command: int, attributes: ctypes.Array[ctypes.c_char], size: int) -> int:
    machine = os.uname().machine
    if machine not in _NUMBERS:
        raise OSError(38, f"bpf(2) has no known number on {machine}")
    return syscalls.call(_NUMBERS[machine], command, ctypes.addressof(attributes), size)

"""Runs a seccomp program as the kernel would, after checking it as the kernel would."""

import struct
from collections.abc import Sequence

_INSTRUCTION = struct.Struct("=HBBI")
_DATA_BYTES = 64  # struct seccomp_data

_LOAD, _AND, _JUMP, _RETURN = 0x20, 0x54, 0x05, 0x06
_JUMPS = {
    0x15: lambda a, k: a == k,
    0x25: lambda a, k: a > k,
    0x35: lambda a, k: a >= k,
    0x45: lambda a, k: a & k != 0,
}


class Machine:
    """A checked program. `executed` counts the instructions of the last run."""

    def __init__(self, program: bytes) -> None:
        assert len(program) % _INSTRUCTION.size == 0
        self._code = list(_INSTRUCTION.iter_unpack(program))
        assert 0 < len(self._code) <= 4096
        self.executed = 0
        self._check()

    def run(self, arch: int, number: int, arguments: Sequence[int] = ()) -> int:
        """Return the action for a call; arguments that are not given are zero."""
        filled = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        data = struct.pack("=iIQ6Q", _signed(number), arch, 0xDEAD, *filled)
        accumulator, position, self.executed = 0, 0, 0
        while True:
            code, yes, no, k = self._code[position]
            self.executed += 1
            position += 1
            if code == _LOAD:
                (accumulator,) = struct.unpack_from("=I", data, k)
            elif code == _AND:
                accumulator &= k
            elif code == _JUMP:
                position += k
            elif code == _RETURN:
                return k
            else:
                position += yes if _JUMPS[code](accumulator, k) else no

    def _check(self) -> None:
        """Check what bpf_check_classic and seccomp_check_filter do."""
        for position, (code, yes, no, k) in enumerate(self._code):
            rest = len(self._code) - position - 1
            assert code in (_LOAD, _AND, _JUMP, _RETURN, *_JUMPS), hex(code)
            if code == _LOAD:
                assert k % 4 == 0
                assert k < _DATA_BYTES
            elif code == _JUMP:
                assert k < rest
            elif code in _JUMPS:
                assert yes < rest
                assert no < rest
        assert self._code[-1][0] == _RETURN


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number

"""Writes classic BPF for seccomp: a program as a graph of instructions that share their ends.

Instructions are made from the last to the first, because a jump only goes forward: what is
jumped to exists already. Equal instructions are made once. Pure.
"""

import struct

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
JUMP = 0x05  # BPF_JMP | BPF_JA
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_GREATER_EQUAL = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

NUMBER_OFFSET = 0
ARCH_OFFSET = 4
ARGUMENTS_OFFSET = 16

INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter
INSTRUCTIONS_MAX = 4096  # BPF_MAXINSNS

# A conditional jump has eight bits for its distance; a few are kept for what is put between.
_NEAR = 250

Node = int
"""An instruction, counted from the end of the program."""


def argument_offset(argument: int) -> int:
    """Return where the low half of an argument lies, on the little-endian machines we know.

    The kernel's own parameters, as far as rules look at them, are no wider.
    """
    return ARGUMENTS_OFFSET + 8 * argument


class Program:
    """A program in the making. The node made last is where it begins."""

    def __init__(self) -> None:
        self._reversed: list[tuple[int, int, Node, Node]] = []
        self._known: dict[tuple[int, int, Node, Node], Node] = {}

    def give(self, action: int) -> Node:
        """Return the node that ends with `action`."""
        return self._made((RETURN, action, -1, -1))

    def do(self, code: int, value: int, then: Node) -> Node:
        """Return the node of a plain instruction that goes on with `then`."""
        known = self._known.get((code, value, then, then))
        if known is not None:
            return known
        if then != len(self._reversed) - 1:
            self._bring_near(then)
        # `then`, a copy of it or a jump to it is the instruction made last.
        return self._made((code, value, then, then))

    def branch(self, code: int, value: int, yes: Node, no: Node) -> Node:
        """Return the node that goes on with `yes` or with `no`."""
        if yes == no:
            return yes
        near_yes = self._near(yes)
        near_no = self._near(no)
        return self._made((code, value, near_yes, near_no))

    def encode(self) -> bytes:
        """Return the program as the kernel takes it."""
        count = len(self._reversed)
        if count > INSTRUCTIONS_MAX:
            raise ValueError(
                f"the filter has {count} instructions; {INSTRUCTIONS_MAX} is the limit"
            )
        encoded = []
        for node in range(count - 1, -1, -1):
            code, value, yes, no = self._reversed[node]
            if code == JUMP:
                encoded.append(INSTRUCTION.pack(code, 0, 0, node - yes - 1))
            elif code in (JUMP_EQUAL, JUMP_GREATER_EQUAL):
                encoded.append(INSTRUCTION.pack(code, node - yes - 1, node - no - 1, value))
            else:
                encoded.append(INSTRUCTION.pack(code, 0, 0, value))
        return b"".join(encoded)

    def _near(self, node: Node) -> Node:
        if len(self._reversed) - node - 1 <= _NEAR:
            return node
        return self._bring_near(node)

    def _bring_near(self, node: Node) -> Node:
        """Copy an end, or make a jump to anything else, as the instruction made last."""
        if self._reversed[node][0] == RETURN:
            return self._made(self._reversed[node], again=True)
        return self._made((JUMP, 0, node, node), again=True)

    def _made(self, key: tuple[int, int, Node, Node], again: bool = False) -> Node:
        if key in self._known and not again:
            return self._known[key]
        self._reversed.append(key)
        node = len(self._reversed) - 1
        self._known[key] = node
        return node

"""Compiles a Sandbox into a seccomp program for one machine. Pure.

The number is looked up by bisection of its ranges. A call that is allowed whatever its
arguments is recognised by its number alone, so that the kernel (since 5.11) remembers the
verdict and does not run the program for it at all.
"""

from limits.directives import Sandbox
from limits.seccomp import bpf
from limits.seccomp.filters import allowed_names, members
from limits.seccomp.numbers import AUDIT_ARCHES, NUMBERS
from limits.seccomp.rules import ALLOW, ENOSYS, EPERM, KILL_PROCESS, Rule, Rules, Test, rules_of

X32_BIT = 0x40000000
SKIPPED = 0xFFFFFFFF

_EVERYTHING: Rules = (Rule((), ALLOW),)
_DENIED: Rules = (Rule((), EPERM),)
_UNKNOWN: Rules = (Rule((), ENOSYS),)


def compile_filter(sandbox: Sandbox, machine: str) -> bytes | None:
    """Return the program, an array of struct sock_filter; `machine` is uname's word.

    None = the sandbox denies no call. Raises ValueError for names that do not exist and for
    machines whose numbers are not known here.
    """
    if machine not in NUMBERS:
        raise ValueError(f"system calls of {machine[:40]} are not known; {', '.join(NUMBERS)} are")
    by_number = verdicts(sandbox, machine)
    if set(by_number.values()) == {_EVERYTHING}:
        return None
    program = bpf.Program()
    start = _tree(program, _ranges(by_number, beyond=_beyond(sandbox)))
    if machine == "x86_64":
        kill = program.give(KILL_PROCESS)
        # A tracer that keeps a call from being made gives it the number -1.
        foreign = program.branch(bpf.JUMP_EQUAL, SKIPPED, program.give(ENOSYS), kill)
        start = program.branch(bpf.JUMP_GREATER_EQUAL, X32_BIT, foreign, start)
    start = program.do(bpf.LOAD, bpf.NUMBER_OFFSET, start)
    start = program.branch(bpf.JUMP_EQUAL, AUDIT_ARCHES[machine], start, program.give(KILL_PROCESS))
    program.do(bpf.LOAD, bpf.ARCH_OFFSET, start)
    return program.encode()


def verdicts(sandbox: Sandbox, machine: str) -> dict[int, Rules]:
    """Return what is decided for each call of the machine's table."""
    allowed = _allowed(sandbox)
    rules = rules_of(sandbox)
    decided: dict[int, Rules] = {}
    for name, number in NUMBERS[machine].items():
        if name in allowed:
            decided[number] = rules.get(name, _EVERYTHING)
        else:
            # The C library tries clone3 first, and falls back for ENOSYS only.
            decided[number] = _UNKNOWN if name == "clone3" else _DENIED
    return decided


def _allowed(sandbox: Sandbox) -> frozenset[str]:
    names = allowed_names(sandbox.system_call_filter or ("@known",))
    denied: set[str] = set()
    if sandbox.protect_clock:
        denied |= members("@clock")
    if sandbox.protect_kernel_modules:
        denied |= members("@module")
    if sandbox.protect_kernel_logs:
        denied.add("syslog")
    if sandbox.protect_hostname:
        denied |= {"sethostname", "setdomainname"}
    if sandbox.private_devices:
        denied |= members("@raw-io")
    return names - denied


def _beyond(sandbox: Sandbox) -> Rules:
    """Return what becomes of numbers that the table does not have."""
    return _UNKNOWN if sandbox.system_call_filter else _EVERYTHING


def _ranges(by_number: dict[int, Rules], beyond: Rules) -> list[tuple[int, Rules]]:
    """Return where each range of numbers with the same verdict begins, in order, from 0."""
    ranges: list[tuple[int, Rules]] = []
    for number in range(max(by_number) + 2):
        verdict = by_number.get(number, beyond)
        if not ranges or ranges[-1][1] != verdict:
            ranges.append((number, verdict))
    return ranges


def _tree(program: bpf.Program, ranges: list[tuple[int, Rules]]) -> bpf.Node:
    if len(ranges) == 1:
        return _verdict(program, ranges[0][1])
    middle = len(ranges) // 2
    upper = _tree(program, ranges[middle:])
    lower = _tree(program, ranges[:middle])
    return program.branch(bpf.JUMP_GREATER_EQUAL, ranges[middle][0], upper, lower)


def _verdict(program: bpf.Program, rules: Rules) -> bpf.Node:
    node = program.give(ALLOW)
    for rule in reversed(rules):
        node = _rule(program, rule, otherwise=node)
    return node


def _rule(program: bpf.Program, rule: Rule, otherwise: bpf.Node) -> bpf.Node:
    node = program.give(rule.action)
    for test in reversed(rule.tests):
        node = _test(program, test, node, otherwise)
    return node


def _test(program: bpf.Program, test: Test, yes: bpf.Node, no: bpf.Node) -> bpf.Node:
    if not test.inside:
        yes, no = no, yes
    node = no
    for value in reversed(test.values):
        node = program.branch(bpf.JUMP_EQUAL, value, yes, node)
    if test.mask != 0xFFFFFFFF:
        node = program.do(bpf.AND, test.mask, node)
    return program.do(bpf.LOAD, bpf.argument_offset(test.argument), node)

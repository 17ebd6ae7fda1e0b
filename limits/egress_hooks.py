"""Attaches egress programs to a cgroup, replaces and removes them. `limits.egress` makes them.

They hold for sockets that are made by processes in the cgroup, also after the emperor's
death. A socket that was made elsewhere and passed in is judged by the programs of its
birthplace: `keep_listeners` takes care of those that the emperor makes.
"""

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from limits import bpf
from limits.egress import EgressProgram, Hook, keeper_programs

# By its name a later brain finds what an earlier one attached. 15 characters at most.
_NAMES = {
    Hook.SOCKET: "emperord_sock",
    Hook.CONNECT4: "emperord_con4",
    Hook.CONNECT6: "emperord_con6",
    Hook.SENDMSG4: "emperord_msg4",
    Hook.SENDMSG6: "emperord_msg6",
}


class EgressUnavailable(Exception):
    """This host cannot filter a cgroup's connections; the text says why, and what to do."""


class EgressFilter:
    """Programs that the kernel has, for any number of cgroups. Owns their descriptors: `close`.

    What is attached stays so after that. Raises EgressUnavailable.
    """

    def __init__(self, programs: Iterable[EgressProgram]) -> None:
        if sys.byteorder != "little":
            raise EgressUnavailable("network filters are made for little-endian machines only")
        self._programs: dict[Hook, int] = {}
        try:
            for one in programs:
                self._programs[one.hook] = _load(one)
        except EgressUnavailable:
            self.close()
            raise

    def attach(self, directory: str) -> None:
        """Attach the programs to the cgroup at `directory`, in place of ours that are there.

        Each hook changes at once, without a moment in which it lets everything pass. Raises
        EgressUnavailable; nobody may be let in then, because some hooks may be missing.
        """
        with _cgroup(directory) as cgroup:
            for hook, program in self._programs.items():
                try:
                    _put(cgroup, program, hook)
                except OSError as error:
                    raise EgressUnavailable(_reason(error)) from error

    def close(self) -> None:
        """Close the descriptors."""
        for program in self._programs.values():
            os.close(program)
        self._programs.clear()


def attach_egress(directory: str, programs: Iterable[EgressProgram]) -> None:
    """Attach programs to one cgroup, as EgressFilter.attach does. Raises EgressUnavailable."""
    with closing(EgressFilter(programs)) as egress:
        egress.attach(directory)


def keep_listeners(supervisor: str) -> None:
    """See to it that tenants connect nowhere by sockets that are made in this cgroup.

    Without it no egress filter holds where a vassal has a TCP listener. To be called before
    the first one is made; raises EgressUnavailable.
    """
    attach_egress(supervisor, keeper_programs(os.stat(supervisor).st_ino))


def detach_egress(directory: str) -> None:
    """Remove all our programs from the cgroup; nothing if there are none."""
    with _cgroup(directory) as cgroup:
        for hook in Hook:
            with _ours(cgroup, hook) as programs:
                for program in programs:
                    bpf.detach(cgroup, program, hook.attach_type)


def egress_hooks(directory: str) -> frozenset[Hook]:
    """Return the hooks of the cgroup that our programs are attached to."""
    found = set()
    with _cgroup(directory) as cgroup:
        for hook in Hook:
            with _ours(cgroup, hook) as programs:
                if programs:
                    found.add(hook)
    return frozenset(found)


@contextmanager
def _cgroup(directory: str) -> Iterator[int]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _load(one: EgressProgram) -> int:
    hook = one.hook
    try:
        return bpf.load(hook.program_type, hook.attach_type, one.code, _NAMES[hook])
    except OSError as error:
        raise EgressUnavailable(_reason(error)) from error


def _put(cgroup: int, program: int, hook: Hook) -> None:
    with _ours(cgroup, hook) as olds:
        if not olds:
            bpf.attach(cgroup, program, hook.attach_type)
            return
        try:
            bpf.attach(cgroup, program, hook.attach_type, replaced=olds[0])
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Before Linux 5.6: for a moment both are asked, and both must agree.
            bpf.attach(cgroup, program, hook.attach_type)
            bpf.detach(cgroup, olds[0], hook.attach_type)
        for old in olds[1:]:
            bpf.detach(cgroup, old, hook.attach_type)


@contextmanager
def _ours(cgroup: int, hook: Hook) -> Iterator[list[int]]:
    """Yield descriptors of our programs at the hook, and close them."""
    found: list[int] = []
    try:
        for number in bpf.attached(cgroup, hook.attach_type):
            program = bpf.open_by_id(number)
            found.append(program)
            if bpf.name_of(program) != _NAMES[hook]:
                os.close(found.pop())
        yield found
    finally:
        for program in found:
            os.close(program)


def _reason(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"filtering by BPF needs root with CAP_BPF and CAP_NET_ADMIN ({name})"
    if error.errno in (errno.ENOSYS, errno.EINVAL):
        return f"this kernel has no BPF programs for cgroups (CONFIG_CGROUP_BPF) ({name})"
    return f"attaching the network filter failed: {error.strerror} ({name})"

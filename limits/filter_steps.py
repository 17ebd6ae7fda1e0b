"""Steps of the system call filter, the keyring, and capabilities that outlive the uid change."""

from dataclasses import dataclass
from typing import ClassVar

from limits import kernel, syscalls
from limits.capabilities import NUMBERS, mask
from limits.steps import SECUREBITS, Step

_SETPCAP = 1 << NUMBERS["CAP_SETPCAP"]


@dataclass(frozen=True)
class InstallFilter(Step):
    """The last step: what follows it must be among the calls that every filter allows."""

    program: bytes
    key: ClassVar[str] = "system_call_filter"

    def describe(self) -> str:
        return f"filter system calls with {len(self.program) // 8} instructions"

    def execute(self) -> None:
        kernel.install_filter(self.program)


@dataclass(frozen=True)
class JoinNewKeyring(Step):
    """The user's own keyring is not linked to it, so a lookup finds none of its keys."""

    key: ClassVar[str] = "keyring_mode"

    def describe(self) -> str:
        return "join a new session keyring"

    def execute(self) -> None:
        kernel.join_new_session_keyring()


@dataclass(frozen=True)
class RaiseAmbient(Step):
    """Leaves these capabilities, over the exec too, and none else. Locks the securebits."""

    names: tuple[str, ...]
    key: ClassVar[str] = "ambient_capabilities"

    def describe(self) -> str:
        return f"keep {', '.join(self.names)} over the exec, drop the rest, lock the securebits"

    def execute(self) -> None:
        wanted = mask(self.names)
        syscalls.set_capabilities(wanted | _SETPCAP, inheritable=wanted)
        for name in self.names:
            syscalls.raise_ambient_capability(NUMBERS[name])
        syscalls.set_securebits(SECUREBITS)
        syscalls.set_capabilities(wanted, inheritable=wanted)

"""The step by which a child moves itself into a cgroup. Loaded by masters: imports nothing else."""

import os
from dataclasses import dataclass
from typing import ClassVar

from limits.steps import Step


@dataclass(frozen=True)
class JoinCgroup(Step):
    """`fd` is a cgroup.procs that the cgroup's owner opened, and is closed afterwards.

    The kernel asks what the opener was allowed, so it works after the uid change too. It
    comes before a cgroup namespace, which would have its root where the child was.
    """

    fd: int
    key: ClassVar[str] = "cgroup"

    def describe(self) -> str:
        return f"join the cgroup of descriptor {self.fd}"

    def execute(self) -> None:
        # Closed whatever happens: whoever holds it could leave and join at will.
        try:
            os.write(self.fd, b"0")
        finally:
            os.close(self.fd)

"""Steps of I/O priority and CPU affinity."""

import os
from dataclasses import dataclass
from typing import ClassVar

from limits import kernel
from limits.confinement import IO_CLASSES
from limits.steps import Step


@dataclass(frozen=True)
class SetIoPriority(Step):
    """`level` 0 is served first, 7 last; "idle" has none."""

    kind: str
    level: int
    key: ClassVar[str] = "io_scheduling_class"

    def describe(self) -> str:
        return f"set the I/O priority to {self.kind} {self.level}"

    def execute(self) -> None:
        kernel.set_io_priority(IO_CLASSES[self.kind], self.level)


@dataclass(frozen=True)
class SetCpuAffinity(Step):
    cpus: tuple[int, ...]
    key: ClassVar[str] = "cpu_affinity"

    def describe(self) -> str:
        return f"run on CPU {', '.join(map(str, self.cpus))} only"

    def execute(self) -> None:
        os.sched_setaffinity(0, self.cpus)

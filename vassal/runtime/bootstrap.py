"""The first thing a tenant's interpreter runs: loads the runtime, then becomes a mold.

Executed by `python -I -c PROGRAM MODE NAME` (see vassal.bundle) from the beginning of the
runtime's memory file, which is descriptor 4. The runtime's modules get a private name
and a finder of their own; nothing is put on `sys.path`, and `__main__` is left empty for
the application.
"""

import marshal
import os
import sys

# importlib.util names the same two, but brings contextlib and more into every mold.
from _frozen_importlib import spec_from_loader
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any

RUNTIME_FD = 4


class RuntimeFinder:
    """Finds and loads the modules of the runtime, and only those, out of descriptor 4."""

    def __init__(self) -> None:
        # pread: every mold of the spawner shares one file offset.
        head = os.pread(RUNTIME_FD, 65536, 0)
        index_at = head.index(b"\0") + 9
        length = int(head[index_at - 8 : index_at])
        self._magic, self._modules, self._h11 = marshal.loads(
            os.pread(RUNTIME_FD, length, index_at)
        )
        self._blobs_at = index_at + length

    def _read(self, at: int, length: int) -> bytes:
        return os.pread(RUNTIME_FD, length, self._blobs_at + at)

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Return the spec of a runtime module, None for every other name."""
        entry = self._modules.get(name)
        if entry is None:
            return None
        return spec_from_loader(name, self, origin="emperord", is_package=entry[0])  # type: ignore[arg-type]

    def create_module(self, spec: object) -> None:
        """Leave the creation to the import system."""

    def exec_module(self, module: "types.ModuleType") -> None:
        """Run the module's code: ours if this interpreter can read it, else its source."""
        name = module.__name__
        _, source_at, source_length, code_at, code_length = self._modules[name]
        if self._magic == MAGIC_NUMBER:
            code = marshal.loads(self._read(code_at, code_length))
        else:
            source = self._read(source_at, source_length)
            code = compile(source, "<emperord>/" + name, "exec", dont_inherit=True)
        exec(code, module.__dict__)

    def h11_sources(self) -> "dict[str, bytes]":
        """Return the sources of h11 by module."""
        return {name: self._read(*place) for name, place in self._h11.items()}

    def forget(self) -> None:
        """Close the descriptor: all that a worker needs is loaded."""
        self._modules = {}
        os.close(RUNTIME_FD)


def boot() -> None:
    """Run the mold; MODE is `mold` or `solo`."""
    sys.meta_path.append(RuntimeFinder())
    mode, name = sys.argv[1:3]
    sys.modules["__main__"] = type(sys)("__main__")
    sys.argv = [""]
    from _emperord import mold  # type: ignore[import-not-found]

    mold.main(mode, name)


if __name__ == "__main__":
    boot()

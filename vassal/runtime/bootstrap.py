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
    """Finds and loads the modules of the runtime, and only those."""

    def __init__(self, bundle: bytes) -> None:
        self._magic, self._modules, self.h11 = marshal.loads(bundle)

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Return the spec of a runtime module, None for every other name."""
        entry = self._modules.get(name)
        if entry is None:
            return None
        return spec_from_loader(name, self, origin="emperord", is_package=entry[0])  # type: ignore[arg-type]

    def create_module(self, spec: object) -> None:
        """Leave the creation to the import system."""

    def forget(self) -> None:
        """Drop every source: all that a worker needs is loaded."""
        self._modules = {}
        self.h11 = {}

    def exec_module(self, module: "types.ModuleType") -> None:
        """Run the module's code: ours if this interpreter can read it, else its source."""
        name = module.__name__
        _, source, code = self._modules[name]
        if self._magic == MAGIC_NUMBER:
            exec(marshal.loads(code), module.__dict__)
        else:
            exec(compile(source, "<emperord>/" + name, "exec", dont_inherit=True), module.__dict__)


def boot() -> None:
    """Run the mold; MODE is `mold` or `solo`."""
    # pread: every mold of the spawner shares one file offset.
    content = os.pread(RUNTIME_FD, os.fstat(RUNTIME_FD).st_size, 0)
    os.close(RUNTIME_FD)
    sys.meta_path.append(RuntimeFinder(content.partition(b"\0")[2]))
    mode, name = sys.argv[1:3]
    sys.modules["__main__"] = type(sys)("__main__")
    sys.argv = [""]
    from _emperord import mold  # type: ignore[import-not-found]

    mold.main(mode, name)


if __name__ == "__main__":
    boot()

"""The first thing a tenant's interpreter runs: loads the runtime, then becomes a mold.

Given to `python -I -c`, with the number of the runtime's memory file as its argument.
The runtime's modules get a private name and a finder of their own; nothing is put on
`sys.path`, and `__main__` is left empty for the application.
"""

import marshal
import sys

# importlib.util names the same two, but brings contextlib and more into every mold.
from _frozen_importlib import spec_from_loader
from _frozen_importlib_external import MAGIC_NUMBER


class RuntimeFinder:
    """Finds and loads the modules of the runtime, and only those."""

    def __init__(self, fd):
        with open(fd, "rb") as file:
            self._magic, self._modules, self.h11 = marshal.loads(file.read())

    def find_spec(self, name, path=None, target=None):
        """Return the spec of a runtime module, None for every other name."""
        entry = self._modules.get(name)
        if entry is None:
            return None
        return spec_from_loader(name, self, origin="emperord", is_package=entry[0])

    def create_module(self, spec):
        """Leave the creation to the import system."""

    def forget(self):
        """Drop every source: all that a worker needs is loaded."""
        self._modules = {}
        self.h11 = {}

    def exec_module(self, module):
        """Run the module's code: ours if this interpreter can read it, else its source."""
        name = module.__spec__.name
        _, source, code = self._modules[name]
        if self._magic == MAGIC_NUMBER:
            exec(marshal.loads(code), module.__dict__)
        else:
            exec(compile(source, "<emperord>/" + name, "exec", dont_inherit=True), module.__dict__)


def boot():
    """Run the mold; argv is [-c, descriptor of the runtime, mode, …]."""
    fd, mode = int(sys.argv[1]), sys.argv[2]
    arguments = sys.argv[3:]
    sys.meta_path.append(RuntimeFinder(fd))
    from _emperord import mold

    sys.modules["__main__"] = type(sys)("__main__")
    sys.argv = [""]
    mold.main(mode, arguments)


if __name__ == "__main__":
    boot()

"""What applications that were written for uWSGI import: `uwsgi` and `uwsgidecorators`.

Loaded only where the vassal's file asks for it: software looks into sys.modules to find out
what it runs under.
"""

from __future__ import annotations

import sys

from .decorators import decorators_for
from .module import UwsgiModule, in_front_of
from .state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import List, Mapping, Tuple

__all__ = ["in_front_of", "install"]


def install(fields: Mapping[str, str], options: List[Tuple[str, str]], memory: mmap) -> UwsgiModule:
    """Put both modules where `import` finds them, and return the first."""
    state = State(fields, options, memory)
    module = UwsgiModule(state)
    sys.modules["uwsgi"] = module
    sys.modules["uwsgidecorators"] = decorators_for(module)
    return module

"""Loads httptools' extension module and h11 under private names.

The tenant may use these packages itself, in other versions: nothing here may be seen as
`httptools` or `h11` in sys.modules, and nothing of the tenant's may be taken for ours.
"""

from __future__ import annotations

import _imp
import sys

# importlib.machinery names the same two, but brings the importlib package into every mold.
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Mapping

Module = type(sys)

_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
# What llhttp takes: RFC 9112, 7.1, without the blanks that it calls bad.
_CHUNK_HEADER = (
    rb"(?P<chunk_size>0*[0-9A-Fa-f]{1,16})"
    rb"(?P<chunk_ext>(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*)\r\n"
)
_LINE_BYTES = bytes(byte for byte in range(256) if byte in b"\t\r\n" or 0x20 <= byte != 0x7F)

HTTPTOOLS = "_emperord_httptools"
H11 = "_emperord_h11"

_ERRORS = """
class HttpParserError(Exception): pass
class HttpParserCallbackError(HttpParserError): pass
class HttpParserInvalidStatusError(HttpParserError): pass
class HttpParserInvalidMethodError(HttpParserError): pass
class HttpParserInvalidURLError(HttpParserError): pass
class HttpParserUpgrade(Exception): pass
"""


def is_loadable(file_name: str) -> bool:
    """Tell whether this interpreter can load an extension module of this file name.

    Asked before loading: a module built for another CPython would crash, not raise.
    """
    return file_name.endswith(_imp.extension_suffixes()[0])


def load_httptools(path: str, file_name: str) -> ModuleType | None:
    """Load httptools/parser/parser.*.so from `path`; None when it was built for others.

    `path` may be /proc/self/fd/N; `file_name` is what the file was called when it was
    installed, because its suffix says which interpreter it was built for. A copy
    (memfd) keeps the tenant's own httptools apart even when it is the same file.
    """
    if not is_loadable(file_name):
        return None
    full_name = HTTPTOOLS + ".parser.parser"
    if full_name in sys.modules:
        return sys.modules[full_name]
    public = {name for name in sys.modules if name.split(".")[0] == "httptools"}
    _stand_in(HTTPTOOLS)
    _stand_in(HTTPTOOLS + ".parser")
    exec(_ERRORS, _stand_in(HTTPTOOLS + ".parser.errors").__dict__)
    no_typing = "typing" not in sys.modules
    if no_typing:
        # It wants Optional for annotations that nobody evaluates; typing costs 0.7 MB.
        _stand_in("typing").__dict__["Optional"] = None
    try:
        loader = ExtensionFileLoader(full_name, path)
        spec = ModuleSpec(full_name, loader, origin=path)
        module = loader.create_module(spec)
        module.__spec__ = spec
        module.__loader__ = loader
        module.__package__ = HTTPTOOLS + ".parser"
        sys.modules[full_name] = module
        loader.exec_module(module)
    except ImportError:
        sys.modules.pop(full_name, None)
        return None
    finally:
        if no_typing:
            del sys.modules["typing"]
        # Cython enters its module under the name that it was compiled with.
        for name in [name for name in sys.modules if name.split(".")[0] == "httptools"]:
            if name not in public:
                del sys.modules[name]
    return module


def _stand_in(name: str) -> ModuleType:
    module = sys.modules[name] = Module(name)
    module.__path__ = []  # a package: relative imports go through it
    return module


class _SourceFinder:
    """Finds the modules of one private package in a mapping of sources."""

    def __init__(self, package: str, sources: Mapping[str, bytes]):
        self._prefix = package + "."
        self._sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.startswith(self._prefix) and name[len(self._prefix) :] in self._sources:
            return ModuleSpec(name, self)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        source = self._sources[module.__name__[len(self._prefix) :]]
        exec(compile(source, "<%s>" % module.__name__, "exec", dont_inherit=True), module.__dict__)


def load_h11(sources: Mapping[str, bytes]) -> ModuleType:
    """Load h11 from {"_connection": source, …} and return a module with what we use of it.

    Its __init__.py is left out, because that one imports itself by its public name.
    """
    if H11 in sys.modules:
        return sys.modules[H11]
    package = _stand_in(H11)
    finder = _SourceFinder(H11, sources)
    sys.meta_path.insert(0, finder)
    try:
        connection = _import(H11 + "._connection")
        readers = _import(H11 + "._readers")
        events = _import(H11 + "._events")
    except BaseException:
        for name in [name for name in sys.modules if name.split(".")[0] == H11]:
            del sys.modules[name]
        raise
    finally:
        sys.meta_path.remove(finder)
    # h11 lets blanks stand behind a chunk size and anything behind a semicolon, and reads
    # trailers with LF for a line end. Two readers of one stream who disagree about where a
    # body ends are how requests are smuggled.
    readers.chunk_header_re = readers.re.compile(_CHUNK_HEADER)
    _read_strict_lines(sys.modules[H11 + "._receivebuffer"].ReceiveBuffer, connection)
    package.Connection = connection.Connection  # type: ignore[attr-defined]
    package.Request = events.Request  # type: ignore[attr-defined]
    package.Data = events.Data  # type: ignore[attr-defined]
    package.EndOfMessage = events.EndOfMessage  # type: ignore[attr-defined]
    package.SERVER = connection.SERVER  # type: ignore[attr-defined]
    package.NEED_DATA = connection.NEED_DATA  # type: ignore[attr-defined]
    package.RemoteProtocolError = connection.RemoteProtocolError  # type: ignore[attr-defined]
    return package


def _read_strict_lines(buffer_class: Any, connection: Any) -> None:
    """Make h11 refuse, in heads and trailers, lines that llhttp refuses."""
    lenient = buffer_class.maybe_extract_lines

    def maybe_extract_lines(self: Any) -> Any:
        before = bytes(self)
        lines = lenient(self)
        if lines is not None:
            raw = before[: len(before) - len(self)]
            ends = raw.count(b"\r\n")
            if (
                raw.count(b"\n") != ends
                or raw.count(b"\r") != ends
                or b"\r\n " in raw
                or b"\r\n\t" in raw
                or raw.translate(None, _LINE_BYTES)
            ):
                raise connection.RemoteProtocolError("illegal line")
        return lines

    buffer_class.maybe_extract_lines = maybe_extract_lines


def _import(name: str) -> Any:
    __import__(name)
    return sys.modules[name]

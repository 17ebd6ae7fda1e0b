"""Packs the runtime into a sealed memory file that a mold loads itself from.

A mold needs no path of ours: it works for tenants who cannot enter our folders, inside
any private root, and after an upgrade replaced the files on disk, a running master's
next mold still gets the runtime that its master speaks with.
"""

import fcntl
import importlib.util
import marshal
import os
from pathlib import Path

PRIVATE_NAME = "_emperord"

RUNTIME = Path(__file__).parent / "runtime"

PROGRAM = 'import os; exec(os.pread(4, 65536, 0).partition(b"\\0")[0])'
"""What a mold's interpreter is given with -c; `ps` shows it, so it is short."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def build() -> int:
    """Return a new sealed, close-on-exec memory file with the runtime and h11 in it.

    Its layout: the source of bootstrap.py, a NUL, eight digits with the length of the
    index, the index, the blobs. The index, in marshal version 2 (every CPython 3 reads
    it): (magic number of the interpreter that compiled, {module: (is_package, offset and
    length of its source, offset and length of its code)}, {h11's module: offset and
    length of its source}). Offsets are from the beginning of the file's last part, so
    that a mold reads only what it needs: what it frees again stays in its heap.
    """
    blobs = _Blobs()
    modules = {
        name: (is_package, *blobs.add(source), *blobs.add(code))
        for name, (is_package, source, code) in _modules(RUNTIME, PRIVATE_NAME)
    }
    h11 = {path.stem: blobs.add(path.read_bytes()) for path in _installed("h11").glob("*.py")}
    index = marshal.dumps((importlib.util.MAGIC_NUMBER, modules, h11), 2)
    bootstrap = (RUNTIME / "bootstrap.py").read_bytes()
    parts = (bootstrap, b"\0", b"%08d" % len(index), index, *blobs.parts)
    return _sealed("emperord-runtime", b"".join(parts))


class _Blobs:
    """Byte strings one after the other."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._size = 0

    def add(self, blob: bytes) -> tuple[int, int]:
        """Append `blob`; return its offset and length."""
        at = self._size
        self.parts.append(blob)
        self._size += len(blob)
        return at, len(blob)


def copy_parser() -> tuple[int, str] | None:
    """Return httptools' extension module in a new sealed memory file, and its file's name.

    None when there is no compiled one. The name tells a mold for which interpreters the
    module was built.
    """
    for path in _installed("httptools").glob("parser/parser.*.so"):
        return _sealed("emperord-parser", path.read_bytes()), path.name
    return None


def _modules(folder: Path, name: str) -> list[tuple[str, tuple[bool, bytes, bytes]]]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join((name, *(parts[:-1] if is_package else parts)))
        source = path.read_bytes()
        code = compile(
            source, f"<emperord>/{path.relative_to(folder)}", "exec", dont_inherit=True, optimize=2
        )
        found.append((module, (is_package, source, marshal.dumps(code))))
    return found


def _sealed(name: str, content: bytes) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd


def _installed(package: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed beside emperord")
    return Path(spec.origin).parent

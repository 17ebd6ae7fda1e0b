"""A file system on which whoever looks at a file sleeps in the kernel.

Once a request was read from /dev/fuse its caller waits uninterruptibly, as with a dead
NFS server: the cheapest real D state there is. Needs root.
"""

import contextlib
import ctypes
import os
import struct
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from tests.support.need import need

FUSE_INIT = 26
MNT_FORCE, MNT_DETACH = 1, 2
_IN_HEADER = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
_OUT_HEADER = struct.Struct("<IiQ")  # length, error, unique
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_libc = ctypes.CDLL(None, use_errno=True)


class HangingFilesystem:
    """Mounted at `path` for the time of a with block; `let_go` wakes all sleepers with an error."""

    def __init__(self) -> None:
        need(Path("/dev/fuse").exists(), "needs /dev/fuse")
        self.path = Path(tempfile.mkdtemp(prefix="hang-"))
        self.path.chmod(0o755)
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "HangingFilesystem":
        options = f"fd={self._fd},rootmode=40755,user_id=0,group_id=0,allow_other"
        if _libc.mount(b"fuse", bytes(self.path), b"fuse", 0, options.encode()):
            problem = os.strerror(ctypes.get_errno())
            os.close(self._fd)
            self.path.rmdir()
            need(False, f"cannot mount fuse: {problem}")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_go()
        _libc.umount2(bytes(self.path), MNT_DETACH)
        self._thread.join(10)
        os.close(self._fd)
        self.path.rmdir()

    def let_go(self) -> None:
        """Abort the connection: every request, also a later one, ends with an error."""
        _libc.umount2(bytes(self.path), MNT_FORCE)

    def _serve(self) -> None:
        """Say hello to the kernel; read every other request, and answer none."""
        with contextlib.suppress(OSError):  # ENODEV: unmounted
            while True:
                request = os.read(self._fd, 256 * 1024)
                _, opcode, unique, *_ = _IN_HEADER.unpack_from(request)
                if opcode == FUSE_INIT:
                    answer = _INIT_OUT.pack(7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0, 0)
                    length = _OUT_HEADER.size + len(answer)
                    os.write(self._fd, _OUT_HEADER.pack(length, 0, unique) + answer)

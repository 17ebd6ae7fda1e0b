"""File systems that do not answer: one on which whoever looks at a file sleeps in the kernel,
and one that falls silent when it is told to.

Once a request was read from /dev/fuse its caller waits uninterruptibly, as with a dead
NFS server: the cheapest real D state there is. Needs root.
"""

import contextlib
import ctypes
import errno
import os
import select
import struct
import tempfile
import threading
import time
import zlib
from pathlib import Path
from types import TracebackType

from tests.support.need import need

FUSE_INIT = 26
_LOOKUP, _GETATTR, _OPEN, _READ, _RELEASE, _FLUSH = 1, 3, 14, 15, 18, 25
_OPENDIR, _READDIR, _RELEASEDIR = 27, 28, 29
_UNANSWERED = {2, 36, 42}  # FORGET, INTERRUPT, BATCH_FORGET
_TURN_S = 0.05
MNT_FORCE, MNT_DETACH = 1, 2
_IN_HEADER = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
_OUT_HEADER = struct.Struct("<IiQ")  # length, error, unique
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_libc = ctypes.CDLL(None, use_errno=True)


class HangingFilesystem:
    """Mounted at `path` for the time of a with block; `let_go` wakes all sleepers with an error."""

    def __init__(self) -> None:
        need(Path("/dev/fuse").exists(), "needs /dev/fuse")
        self.path = _mount_point("hang-")
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "HangingFilesystem":
        _mount(self._fd, self.path)
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
        _remove(self.path)

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


def _mount_point(prefix: str) -> Path:
    """Return a new folder in a folder of its own: whoever opens all that is in /tmp, as Landlock's
    rules may want, does not come to it."""
    path = Path(tempfile.mkdtemp(prefix=prefix)) / "mount"
    path.parent.chmod(0o755)
    path.mkdir()
    return path


def _remove(mount_point: Path) -> None:
    mount_point.rmdir()
    mount_point.parent.rmdir()


def _mount(fd: int, path: Path) -> None:
    """Mount what is served behind `fd`; skip the test, or fail it in CI, if that is refused."""
    options = f"fd={fd},rootmode=40755,user_id=0,group_id=0,allow_other"
    if _libc.mount(b"fuse", bytes(path), b"fuse", 0, options.encode()):
        problem = os.strerror(ctypes.get_errno())
        os.close(fd)
        _remove(path)
        need(False, f"cannot mount fuse: {problem}")


class FallingSilent:
    """A folder with files in it, mounted at `path`, whose server can stop answering.

    Silent, it reads no request any more: whoever asks can be killed, and nothing else ends it.
    """

    def __init__(self, **files: str) -> None:
        need(Path("/dev/fuse").exists(), "needs /dev/fuse")
        self.path = _mount_point("silent-")
        self.files = {name.replace("__", "."): text.encode() for name, text in files.items()}
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self._speaks = threading.Event()
        self._speaks.set()
        self._end = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "FallingSilent":
        _mount(self._fd, self.path)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end = True
        self._speaks.set()
        _libc.umount2(bytes(self.path), MNT_FORCE)
        _libc.umount2(bytes(self.path), MNT_DETACH)
        self._thread.join(10)
        os.close(self._fd)
        _remove(self.path)

    def fall_silent(self) -> None:
        self._speaks.clear()
        time.sleep(2 * _TURN_S)  # a request that it was at is answered

    def answer_again(self) -> None:
        self._speaks.set()

    def _serve(self) -> None:
        while not self._end:
            self._speaks.wait()
            if not select.select([self._fd], [], [], _TURN_S)[0] or not self._speaks.is_set():
                continue
            try:
                request = os.read(self._fd, 256 * 1024)
            except (BlockingIOError, FileNotFoundError):  # the asker was killed
                continue
            except OSError:
                return  # unmounted
            _, opcode, unique, node, *_ = _IN_HEADER.unpack_from(request)
            if opcode in _UNANSWERED:
                continue
            error, answer = self._answer(opcode, node, request[_IN_HEADER.size :])
            header = _OUT_HEADER.pack(_OUT_HEADER.size + len(answer), -error, unique)
            with contextlib.suppress(OSError):  # ENOENT: the asker was killed
                os.write(self._fd, header + answer)

    def _answer(self, opcode: int, node: int, body: bytes) -> tuple[int, bytes]:
        names = sorted(self.files)
        if opcode == FUSE_INIT:
            return 0, _INIT_OUT.pack(7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0, 0)
        if opcode == _LOOKUP:
            name = body.rstrip(b"\0").decode()
            if name not in self.files:
                return errno.ENOENT, b""
            found = names.index(name) + 2
            return 0, struct.pack("<QQQQII", found, 0, 0, 0, 0, 0) + self._attributes(found)
        if opcode == _GETATTR:
            return 0, struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if opcode in (_OPEN, _OPENDIR):
            return 0, struct.pack("<QII", 0, 0, 0)
        if opcode in (_READ, _READDIR):
            _, offset, size = struct.unpack_from("<QQI", body)
            whole = self.files[names[node - 2]] if opcode == _READ else self._entries(names)
            return 0, whole[offset : offset + size]
        if opcode in (_RELEASE, _RELEASEDIR, _FLUSH):
            return 0, b""
        return errno.ENOSYS, b""

    def _attributes(self, node: int) -> bytes:
        mode, size = (0o40755, 0) if node == 1 else (0o100644, len(self._content(node)))
        changed = zlib.crc32(self._content(node)) if node > 1 else 1
        times = (changed, changed, changed, 0, 0, 0)
        return struct.pack(
            "<6Q10I", node, size, 1, *times[:3], *times[3:], mode, 1, 0, 0, 0, 4096, 0
        )

    def _content(self, node: int) -> bytes:
        return self.files[sorted(self.files)[node - 2]]

    def _entries(self, names: list[str]) -> bytes:
        entries = b""
        for node, name in enumerate(names, 2):
            entry = struct.pack("<QQII", node, 0, len(name), 8) + name.encode()
            entry += b"\0" * (-len(entry) % 8)
            # Where the next one begins.
            entries += entry[:8] + struct.pack("<Q", len(entries) + len(entry)) + entry[16:]
        return entries

"""A program that does what web applications do, and prints what of it worked."""

import asyncio
import concurrent.futures
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import multiprocessing
import os
import platform
import pwd
import resource
import selectors
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time
import uuid
import zlib
from multiprocessing import shared_memory
from pathlib import Path


def threads():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda n: n * n, range(50))) == 40425


def subprocesses():
    assert subprocess.check_output(["/bin/echo", "a"]) == b"a\n"
    assert subprocess.check_output("echo b | cat", shell=True) == b"b\n"
    assert os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1] == 0
    subprocess.check_call(["/bin/true"], preexec_fn=os.setsid, cwd="/")


def processes():
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
    queue = multiprocessing.get_context("fork").Queue()
    queue.put("x")
    assert queue.get(timeout=5) == "x"


def memory():
    block = shared_memory.SharedMemory(create=True, size=100)
    block.buf[0] = 7
    block.close()
    block.unlink()
    os.close(os.memfd_create("m"))
    mmap.mmap(-1, 4096).close()


def loops():
    async def serve():
        async def answer(reader, writer):
            writer.write(await reader.read(4))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping")
        assert await reader.read(4) == b"ping"
        writer.close()
        process = await asyncio.create_subprocess_exec("/bin/true")
        assert await process.wait() == 0
        assert await asyncio.to_thread(lambda: 3) == 3
        server.close()

    asyncio.run(serve())


def sockets():
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        socket.socket(family, socket.SOCK_DGRAM).close()
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [0])
    assert socket.recv_fds(theirs, 1, 1)[1]
    ours.close()
    theirs.close()
    # Asks the kernel for its addresses over netlink, and does without when that is denied.
    with contextlib.suppress(socket.gaierror):
        socket.getaddrinfo("localhost", 80)
    for selector in (selectors.EpollSelector, selectors.PollSelector, selectors.SelectSelector):
        selector().close()


def files():
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        path = folder / "a"
        path.write_text("x")
        path.chmod(0o1644)
        os.link(path, folder / "b")
        (folder / "c").symlink_to("a")
        path.rename(folder / "d")
        os.utime(folder / "d")
        shutil.copy2(folder / "d", path)
        shutil.copytree(folder, f"{name}2")
        shutil.rmtree(f"{name}2")
        os.truncate(path, 0)
        os.mkfifo(folder / "f")
        os.statvfs(path)
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.posix_fallocate(file.fileno(), 0, 100)
            os.fsync(file.fileno())
        try:
            os.setxattr(path, "user.a", b"b")
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise


def database():
    with tempfile.TemporaryDirectory(dir=".") as folder:
        base = sqlite3.connect(f"{folder}/base")
        assert base.execute("pragma journal_mode=wal").fetchone() == ("wal",)
        base.execute("create table t (x)")
        base.execute("insert into t values (1)")
        base.commit()
        base.close()


def native():
    libc = ctypes.CDLL(None)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda a, b: 0)
    libc.qsort((ctypes.c_int * 3)(), 3, 4, compare)  # libffi's closures are made executable
    ssl.create_default_context()
    assert len(ssl.RAND_bytes(8)) == 8
    assert zlib.compress(b"x")


def signals():
    got = []
    signal.signal(signal.SIGALRM, lambda *_: got.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    # The handler interrupts the wait, which then goes on.
    deadline = time.monotonic() + 5
    while not got and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(os.getpid(), 0)
    signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 0)
    assert got


def system():
    resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.getrusage(resource.RUSAGE_SELF)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.getloadavg()
    os.nice(1)
    os.umask(0o22)
    os.getrandom(4)
    os.openpty()
    os.getgroups()
    platform.libc_ver()
    pwd.getpwuid(0)
    uuid.uuid4()
    time.sleep(0.001)


CHECKS = (
    threads,
    subprocesses,
    processes,
    memory,
    loops,
    sockets,
    files,
    database,
    native,
    signals,
    system,
)

if __name__ == "__main__":
    worked = []
    for check in CHECKS:
        check()
        worked.append(check.__name__)
    print(json.dumps(worked))

"""The application of a hostile tenant: GET /NAME makes one attempt and tells its outcome.

The outcome is "done", the name of an errno, or what the attempt found out. Runs in the
tenant's interpreter: the standard library only.
"""

import ctypes
import errno
import fcntl
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import threading
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
X86_64 = {
    "ptrace": 101,
    "personality": 135,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "setns": 308,
    "process_vm_readv": 310,
    "bpf": 321,
    "userfaultfd": 323,
    "io_uring_setup": 425,
    "clone3": 435,
}
NEWUSER, NEWNS = 0x10000000, 0x20000
PLACE = Path(os.environ.get("PLACE", "/nonexistent"))


def call(name, *arguments):
    """Make a system call; return "done" or the errno's name."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(X86_64[name]), *words)
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]


def in_child(attempt):
    """Return what `attempt` returns in a process of its own, which it may spoil."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            outcome = attempt()
        except OSError as error:
            outcome = errno.errorcode[error.errno]
        os.write(write, str(outcome).encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as answer:
        outcome = answer.read().decode()
    os.waitpid(pid, 0)
    return outcome


def sleeping_child():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# ── space ────────────────────────────────────────────────────────────────────────────────


def fill_tmp():
    path = Path("/tmp/abuse-big")
    try:
        with path.open("wb") as file:
            for _ in range(24):
                file.write(bytes(1 << 20))
                file.flush()
    finally:
        path.unlink(missing_ok=True)
    return "done"


def burn_inodes():
    folder = Path("/tmp/abuse-many")
    folder.mkdir()
    made = []
    try:
        for number in range(1500):
            made.append(folder / str(number))
            made[-1].touch()
    finally:
        for path in made:
            path.unlink(missing_ok=True)
        folder.rmdir()
    return "done"


def exhaust_descriptors():
    held = []
    try:
        for _ in range(600):
            held.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for fd in held:
            os.close(fd)
    return "done"


# ── other processes ──────────────────────────────────────────────────────────────────────


def trace_a_child():
    pid = sleeping_child()
    try:
        return call("ptrace", 16, pid, 0, 0)
    finally:
        end(pid)


def read_a_childs_memory():
    pid = sleeping_child()
    buffer = ctypes.create_string_buffer(8)
    iovec = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 8)
    try:
        return call("process_vm_readv", pid, ctypes.byref(iovec), 1, ctypes.byref(iovec), 1, 0)
    finally:
        end(pid)


def read_the_masters_memory():
    with open("/proc/1/mem", "rb"):
        return "done"


def read_the_masters_environment():
    with open("/proc/1/environ", "rb") as file:
        file.read()
    return "done"


def kill_the_master():
    os.kill(os.getppid(), signal.SIGKILL)
    return "done"


def see_the_neighbour():
    os.stat(f"/proc/{int((PLACE / 'neighbour.pid').read_text())}")
    return "done"


def descriptors():
    """Return what this worker holds, without numbers."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{name}").split(":[")[0])
        except OSError:
            continue  # the listing's own
    return " ".join(sorted(found))


def find_the_neighbours_secret():
    """Look through all of this process' memory for what only a neighbour was given."""
    # This pattern does not match its own source, which is in the memory too.
    secret = re.compile(rb"hunter2[-]of[-]the[-]neighbour")
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            start, stop = (int(part, 16) for part in span.split("-"))
            if "r" not in mode or stop - start > 1 << 28:
                continue
            try:
                memory.seek(start)
                if secret.search(memory.read(stop - start)):
                    return "found"
            except (OSError, ValueError, OverflowError):
                continue  # the kernel's own pages
    return "absent"


# ── files ────────────────────────────────────────────────────────────────────────────────


def read_shadow():
    Path("/etc/shadow").read_bytes()
    return "done"


def read_the_emperors_files():
    os.listdir(os.environ["EMPERORS"])
    return "done"


def read_a_neighbours_home():
    Path(os.environ["NEIGHBOUR"], "notes").read_bytes()
    return "done"


def write_where_everybody_may():
    Path(os.environ["OPEN"], "from-inside").write_text("x")
    return "done"


def write_a_kernel_setting():
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write("1")
    return "done"


def make_a_device():
    os.mknod("/tmp/abuse-device", stat.S_IFCHR | 0o666, os.makedev(1, 8))
    return "done"


def who_a_suid_program_makes_us():
    return subprocess.run(
        [PLACE / "suid-id", "-u"], check=False, capture_output=True, text=True
    ).stdout.strip()


# ── the kernel ───────────────────────────────────────────────────────────────────────────


def make_a_user_namespace():
    return in_child(lambda: call("unshare", NEWUSER))


def mount_something():
    def attempt():
        outcome = call("unshare", NEWUSER | NEWNS)
        if outcome != "done":
            return outcome
        if libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) != 0:
            return errno.errorcode[ctypes.get_errno()]
        return "done"

    return in_child(attempt)


def enter_a_namespace():
    with open("/proc/self/ns/uts") as namespace:
        return call("setns", namespace.fileno(), 0)


def clone3():
    return call("clone3", 0, 0)


def start_a_thread():
    done = []
    thread = threading.Thread(target=done.append, args=("done",))
    thread.start()
    thread.join()
    return done[0]


def keyctl():
    return call("keyctl", 0, -3, 0)


def bpf():
    return call("bpf", 0, 0, 0)


def io_uring():
    return call("io_uring_setup", 1, ctypes.create_string_buffer(120))


def perf():
    return call("perf_event_open", 0, 0, -1, -1, 0)


def userfaultfd():
    return call("userfaultfd", 1)


def change_the_personality():
    return in_child(lambda: call("personality", 0x0040000))


def push_into_a_terminal():
    def attempt():
        _, theirs = os.openpty()
        os.setsid()
        fcntl.ioctl(theirs, 0x540E, 0)  # TIOCSCTTY: it becomes our terminal
        fcntl.ioctl(theirs, 0x5412, b"x")  # TIOCSTI
        return "done"

    return in_child(attempt)


def become_root():
    os.setuid(0)
    return "done"


def be_nicer_to_oneself():
    os.nice(-5)
    return "done"


def raise_a_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))
    except ValueError:  # Python's word for EPERM here
        return "EPERM"
    return "done"


def escape_the_oom_killer():
    Path("/proc/self/oom_score_adj").write_text("-500")
    return "done"


def core_limit():
    return str(resource.getrlimit(resource.RLIMIT_CORE)[1])


# ── sockets ──────────────────────────────────────────────────────────────────────────────


def open_socket(family, kind, protocol=0):
    def attempt():
        socket.socket(family, kind, protocol).close()
        return "done"

    return attempt


netlink = open_socket(socket.AF_NETLINK, socket.SOCK_RAW)
vsock = open_socket(socket.AF_VSOCK, socket.SOCK_STREAM)
alg = open_socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
packet = open_socket(socket.AF_PACKET, socket.SOCK_RAW)
raw = open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def connect_to(address):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
    return "done"


def abstract_socket():
    return connect_to(os.environ["ABSTRACT"].replace("@", "\0"))


def neighbours_socket():
    return connect_to(os.environ["NEIGHBOURS_SOCKET"])


def control_socket():
    return connect_to(os.environ["CONTROL"])


def application(environ, start_response):
    name = environ["PATH_INFO"].lstrip("/")
    try:
        outcome = globals()[name]() if name else "hello"
    except OSError as error:
        outcome = errno.errorcode.get(error.errno, str(error))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(outcome).encode()]

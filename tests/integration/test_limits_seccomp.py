"""The filter of @hosting on real interpreters: what it denies, and that everything else works.

What is denied is tried without the filter as well: an errno that comes from elsewhere would
prove nothing.
"""

import errno
import os
import signal
import subprocess
import sys

import msgspec
import pytest

from limits.apply import StepFailed, apply
from limits.confinement import Confinement
from limits.directives import DEFAULT_RLIMITS, Sandbox
from limits.facts import probe
from limits.plan import plan
from limits.seccomp.compile import compile_filter
from limits.seccomp.numbers import NUMBERS
from tests.support import smoke
from tests.support.confined import ROOT, run_python
from tests.support.forked import run_forked
from tests.support.interpreters import SUPPORTED, SYSTEM, need_interpreter
from tests.support.need import need, need_root

NOBODY = 65534
MACHINE = os.uname().machine
CALLS = NUMBERS.get(MACHINE, {})


@pytest.fixture(autouse=True)
def _on_a_known_machine():
    need(MACHINE in NUMBERS, f"system call numbers of {MACHINE}")
    need(probe().seccomp, "needs seccomp")


def filtered(**keys):
    sandbox = msgspec.structs.replace(Sandbox(), **keys)
    return Confinement(no_new_privs=True, system_call_filter=compile_filter(sandbox, MACHINE))


FREE = Confinement(no_new_privs=True)

CALL = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return ctypes.get_errno() if result == -1 else 0
"""


def errnos(confinement, calls):
    """Return the errno of each call, 0 = success, as one interpreter sees it."""
    numbered = [[CALLS[name], *arguments] for name, *arguments in calls]
    script = f"{CALL}\nprint(json.dumps([call(*c) for c in {numbered}]))"
    return run_python(script, confinement).json()


DENIED = [
    # (call, errno, whether an ordinary user without the filter gets another errno too)
    (("unshare", 1), errno.EPERM, True),
    (("setns", -1, 0), errno.EPERM, True),
    (("clone3", 0, 0), errno.ENOSYS, True),
    (("keyctl", 0, -3, 0), errno.EPERM, True),
    (("add_key", 0, 0, 0, 0, -3), errno.EPERM, True),
    (("request_key", 0, 0, 0, -3), errno.EPERM, True),
    (("bpf", 0, 0, 0), errno.EPERM, False),
    (("io_uring_setup", 0, 0), errno.EPERM, False),
    (("perf_event_open", 0, 0, 0, 0, 0), errno.EPERM, False),
    (("userfaultfd", 0x80000), errno.EPERM, False),
    (("ptrace", 16, 0), errno.EPERM, True),
    (("process_vm_readv", 0, 0, 0, 0, 0, 1), errno.EPERM, True),
    (("process_vm_writev", 0, 0, 0, 0, 0, 1), errno.EPERM, True),
    (("kcmp", 0, 0, 99, 0, 0), errno.EPERM, True),
    (("pidfd_getfd", -1, 0, 0), errno.EPERM, True),
    (("kexec_load", 0, 0, 0, 0x7FFFFFFF), errno.EPERM, False),
    (("init_module", 0, 0, 0), errno.EPERM, False),
    (("finit_module", -1, 0, 0x7FFFFFFF), errno.EPERM, False),
    (("open_by_handle_at", -1, 0, 0), errno.EPERM, False),
    (("name_to_handle_at", -1, 0, 0, 0, 0), errno.EPERM, True),
    (("mount", 0, 0, 0, 0, 0), errno.EPERM, False),
    (("move_mount", -1, 0, -1, 0, -1), errno.EPERM, False),
    (("open_tree", -1, 0, 0), errno.EPERM, True),
    (("pivot_root", 0, 0), errno.EPERM, False),
    (("chroot", 0), errno.EPERM, True),
    (("swapon", 0, 0xF000000), errno.EPERM, False),
    (("quotactl", 0x7FFFFFFF, 0, 0, 0), errno.EPERM, True),
    (("clock_settime", 99, 0), errno.EPERM, True),
    (("personality", 8), errno.EPERM, True),
    (("ioctl", -1, 0x5412, 0), errno.EPERM, True),
    (("ioctl", -1, 0x541C, 0), errno.EPERM, True),
    (("sched_setscheduler", 0, 1, 0), errno.EPERM, True),
    (("sched_setattr", 0, 0, 0), errno.EPERM, True),
    (("socket", 16, 3, 0), errno.EAFNOSUPPORT, True),  # netlink
    (("socket", 17, 3, 0), errno.EAFNOSUPPORT, True),  # packet
    (("socket", 38, 5, 0), errno.EAFNOSUPPORT, False),  # alg: not in every kernel
    (("socket", 40, 1, 0), errno.EAFNOSUPPORT, False),  # vsock: not in every kernel
    (("fchmodat", -1, 0, 0o4755), errno.EPERM, True),
    (("fchmod", -1, 0o2755), errno.EPERM, True),
    (("openat", -1, 0, 0o101, 0o4755), errno.EPERM, True),
    (("openat2", -1, 0, 0, 0), errno.ENOSYS, True),
]
DEPENDS_ON_THE_KERNEL = {38, 40}


def test_each_dangerous_call_fails_under_the_filter_and_for_the_filter_alone():
    calls = [call for call, _, _ in DENIED]
    found = errnos(filtered(), calls)
    free = dict(zip(calls, errnos(FREE, calls), strict=True))

    for (call, expected, _), number in zip(DENIED, found, strict=True):
        assert number == expected, (call, errno.errorcode.get(number))
    for call, expected, for_users in DENIED:
        if call[0] == "socket" and call[1] in DEPENDS_ON_THE_KERNEL:
            continue
        if os.geteuid() == 0 or for_users:
            # Packet sockets are root's anyway, but with another errno.
            assert free[call] != expected, (call, errno.errorcode.get(free[call]))


def test_vsock_is_denied_where_the_kernel_has_it():
    free = errnos(FREE, [("socket", 40, 1, 0)])[0]
    need(free == 0, "needs AF_VSOCK")

    assert errnos(filtered(), [("socket", 40, 1, 0)]) == [errno.EAFNOSUPPORT]


@pytest.mark.parametrize("way", ["unshare", "clone"])
def test_user_namespace_cannot_be_made(way):
    script = f"""{CALL}
if {way!r} == "unshare":
    print(json.dumps(call({CALLS["unshare"]}, 0x10000000)))
else:
    number = call({CALLS["clone"]}, 0x10000000 | 17, 0, 0, 0, 0)
    if number == 0 and libc.getppid() != {os.getpid()}:
        os._exit(0)
    print(json.dumps(number))
"""
    free = run_python(script, FREE).json()

    need(free == 0, "needs user namespaces")
    assert run_python(script, filtered()).json() == errno.EPERM


def test_namespaces_that_are_left_free_can_be_made():
    script = f"{CALL}\nprint(json.dumps(call({CALLS['unshare']}, 0x10000000)))"
    need(run_python(script, FREE).json() == 0, "needs user namespaces")
    left = filtered(restrict_namespaces=("user",), system_call_filter=("@hosting", "unshare"))

    assert run_python(script, left).json() == 0
    other = script.replace("0x10000000", "0x50000000")
    assert run_python(other, left).json() == errno.EPERM


def test_x32_call_kills():
    need(MACHINE == "x86_64", "needs x86_64")
    script = f"{CALL}\nprint(json.dumps(call(0x40000000 + 39)))"

    assert run_python(script, filtered()).signal == signal.SIGSYS
    assert run_python(script, FREE).signal == 0


def test_32_bit_call_kills():
    need(MACHINE == "x86_64", "needs x86_64")
    # mov eax, 20 (getpid of i386); int 0x80; ret
    script = """
import ctypes, mmap, json, os
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(bytes.fromhex("b814000000cd80c3"))
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
print(json.dumps(ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid()))
"""
    free = run_python(script, FREE)
    need(free.signal == 0, "needs a kernel with 32-bit calls")

    assert free.json() is True
    assert run_python(script, filtered()).signal == signal.SIGSYS


def test_setuid_bit_cannot_be_set_in_any_way(tmp_path):
    script = f"""
import json, os
os.chdir({str(tmp_path)!r})
open("file", "w").close()
def attempt(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return 0
print(json.dumps([
    attempt(os.chmod, "file", 0o4755),
    attempt(os.chmod, "file", 0o2755),
    attempt(os.fchmod, os.open("file", os.O_RDONLY), 0o4755),
    attempt(os.open, "new", os.O_CREAT | os.O_WRONLY, 0o4755),
    attempt(os.mknod, "node", 0o104755),
]))
"""
    assert run_python(script, filtered()).json() == [errno.EPERM] * 5
    (tmp_path / "file").unlink()
    assert run_python(script, FREE).json() == [0] * 5


def test_writable_memory_cannot_be_executed_when_that_is_asked():
    script = """
import json, mmap
try:
    mmap.mmap(-1, 4096, prot=7)
except PermissionError as error:
    print(json.dumps(error.errno))
else:
    print(0)
"""
    assert run_python(script, filtered(memory_deny_write_execute=True)).json() == errno.EPERM
    assert run_python(script, filtered()).json() == 0


def test_realtime_scheduling_is_denied_to_root_too():
    need_root()
    script = """
import json, os
try:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
except PermissionError as error:
    print(json.dumps(error.errno))
else:
    print(0)
"""
    free = run_python(script, FREE).json()
    need(free == 0, "needs a machine where root may schedule in real time")

    assert run_python(script, filtered()).json() == errno.EPERM


def test_memory_can_be_locked_up_to_the_limit_only():
    need_root()
    script = f"{CALL}\nprint(json.dumps(libc.mlockall(3) and ctypes.get_errno()))"
    limited = msgspec.structs.replace(filtered(), rlimits=DEFAULT_RLIMITS)

    assert run_python(script, limited, uid=NOBODY, path="/usr/bin/python3").json() == errno.ENOMEM
    assert run_python(script, filtered(), path="/usr/bin/python3").json() == 0


def test_abort_leaves_no_core(tmp_path):
    script = "import os; os.abort()"
    limited = msgspec.structs.replace(filtered(), rlimits=DEFAULT_RLIMITS)

    ended = run_python(script, limited, cwd=str(tmp_path))

    assert ended.signal == signal.SIGABRT
    assert not ended.dumped
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", ["", SYSTEM, SUPPORTED[-1]])  # "": our own
def test_programs_do_everything_they_do_without_a_filter(tmp_path, version):
    python = need_interpreter(version) if version else sys.executable
    program = str(ROOT / "tests" / "support" / "smoke.py")
    code = f"import os, sys; os.execv(sys.executable, [sys.executable, {program!r}])"

    done = run_python(code, filtered(), cwd=str(tmp_path), path=python).json()

    assert len(done) == len(smoke.CHECKS)


def test_programs_work_where_memory_is_never_both_but_for_closures(tmp_path):
    script = "import json, ssl, sqlite3, threading, asyncio, subprocess; print(json.dumps(1))"

    assert run_python(script, filtered(memory_deny_write_execute=True)).json() == 1


def test_package_is_installed_into_a_virtualenv_under_the_filter(tmp_path):
    source = tmp_path / "source"
    (source / "little").mkdir(parents=True)
    (source / "little" / "__init__.py").write_text("answer = 42\n")
    wheel = tmp_path / "little-1-py3-none-any.whl"
    make_wheel(wheel)
    venv = tmp_path / "venv"
    code = f"""
import json, os, subprocess, sys
def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
run(sys.executable, "-m", "venv", {str(venv)!r})
python = {str(venv / "bin" / "python")!r}
run(python, "-m", "pip", "install", "--no-index", "--disable-pip-version-check", "--no-cache-dir",
    {str(wheel)!r})
print(run(python, "-c", "import little; print(little.answer)"))
"""
    assert run_python(code, filtered(), cwd=str(tmp_path)).json() == 42


def make_wheel(path):
    import zipfile

    files = {
        "little.py": "answer = 42\n",
        "little-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: little\nVersion: 1\n",
        "little-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "little-1.dist-info/RECORD"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(record, "".join(f"{name},,\n" for name in [*files, record]))


def test_what_comes_between_the_filter_and_the_exec_is_allowed_by_the_shortest_list():
    shortest = filtered(system_call_filter=("@default",))

    def child():
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            apply(plan(shortest, probe()).steps)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            try:
                os.execve("/nonexistent", ["x"], {})
            except OSError as error:
                os.write(writer, str(error.errno).encode())
            os._exit(9)
        os.close(writer)
        status = os.waitpid(pid, 0)[1]
        return [int(os.read(reader, 9)), os.waitstatus_to_exitcode(status)]

    assert run_forked(child) == [errno.ENOENT, 9]


def test_filter_without_no_new_privs_is_reported_to_whoever_lacks_the_capability():
    need_root()
    bare = msgspec.structs.replace(filtered(), no_new_privs=False)

    def child(uid):
        os.setresuid(uid, uid, uid)
        made = plan(bare, probe())
        apply(made.steps)
        return [item.key for item in made.unsupported]

    assert run_forked(lambda: child(NOBODY)) == ["system_call_filter"]
    assert run_forked(lambda: child(0)) == []


def test_program_that_is_none_is_refused_by_the_kernel_and_named():
    def child():
        try:
            rubbish = Confinement(no_new_privs=True, system_call_filter=b"\xff" * 16)
            apply(plan(rubbish, probe()).steps)
        except StepFailed as failed:
            return str(failed)

    assert run_forked(child).startswith("filter system calls with 2 instructions: Invalid arg")


def test_filter_holds_for_what_a_filtered_process_starts():
    code = f"""{CALL}
import subprocess, sys
script = "import socket; socket.socket(16, 3)"
print(json.dumps(subprocess.run([sys.executable, "-c", script], capture_output=True).returncode))
"""
    assert run_python(code, FREE).json() == 0
    assert run_python(code, filtered()).json() == 1
    assert subprocess.run([sys.executable, "-c", "pass"], check=False).returncode == 0

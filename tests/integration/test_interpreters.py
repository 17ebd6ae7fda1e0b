"""An application runs in the interpreter of its choice, and sees nothing of ours there."""

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.emperor import Emperor, get
from tests.support.interpreters import SUPPORTED, SYSTEM, need_interpreter
from tests.support.need import need_tenant_venv
from tests.support.wait import wait_until

APPS = Path(__file__).parent.parent / "support" / "apps"
OURS = ("emperor", "vassal", "limits", "h11", "httptools", "msgspec", "prctl")
GIVEN = '[env]\nGIVEN = "yes"\n'


def ask(
    port: int, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Return (status, body) of a GET, or of a POST when there is a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST" if body else "GET", path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def as_root(emperor: Emperor) -> dict[str, str]:
    """Let vassals run as root where this is root: pyenv's interpreters are in its home."""
    if os.geteuid() != 0:
        return {}
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("[policy]\nallow_root = true\n")
    return {"user": "root"}


def install(emperor: Emperor, name: str) -> None:
    emperor.app(name, (APPS / f"{name}.py").read_text())


EVERYDAY = """
import multiprocessing, time

def square(number):
    return number * number

def application(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        environ["emperor.set_harakiri"](1)
        time.sleep(60)
    for _ in range(5):
        with multiprocessing.Pool(2) as pool:
            squares = pool.map(square, [1, 2, 3])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(squares).encode()]
"""


@pytest.mark.parametrize("version", [SYSTEM, *SUPPORTED])
def test_every_interpreter_serves_and_sees_nothing_of_ours(emperor: Emperor, version: str) -> None:
    binary = need_interpreter(version)
    venv = str(emperor.base / "venv")
    subprocess.run([binary, "-m", "venv", "--without-pip", venv], check=True)
    install(emperor, "introspect")
    user = as_root(emperor)
    pythons = {"binary": binary, "venv": f"{venv}/bin/python"}
    ports = {
        name: emperor.drop(name, app="introspect:application", python=python, text=GIVEN, **user)
        for name, python in pythons.items()
    }
    emperor.start()
    for name, python in pythons.items():
        emperor.wait_state(name, "ready", 30)
        code = "import sys; print(*sys.version_info[:3], sys.prefix)"
        told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
        *numbers, prefix = told.stdout.split()
        assert version in (SYSTEM, ".".join(numbers[:2]))
        seen = check_view(ports[name], emperor)
        assert seen["version"] == [int(number) for number in numbers]
        assert seen["prefix"] == prefix
        assert os.path.realpath(seen["executable"]) == os.path.realpath(python)
        own_version = list(sys.version_info[:2]) == seen["version"][:2]
        parsers = {name for name in seen["modules"] if name.startswith("_emperord_h")}
        # Our compiled parser fits one version of CPython; everywhere else it is h11.
        assert ("_emperord_httptools" in parsers) is own_version
        assert ("_emperord_h11" in parsers) is not own_version


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("version", [SYSTEM, *SUPPORTED])
def test_every_interpreter_begins_processes_and_says_where_it_hangs(
    emperor: Emperor, version: str, threads: int
) -> None:
    python = need_interpreter(version)
    emperor.app("everyday", EVERYDAY)
    keys = {"threads": threads, "harakiri": 30, **as_root(emperor)}
    port = emperor.drop("blog", app="everyday:application", python=python, **keys)
    emperor.start()
    emperor.wait_state("blog", "ready", 30)
    assert get(port) == (200, b"[1, 4, 9]")
    assert get(port, "/hang")[0] == 504
    wait_until(lambda: 'everyday.py", line 10 in application' in emperor.vassal_log("blog"), 5)
    assert get(port) == (200, b"[1, 4, 9]")


def check_view(port: int, emperor: Emperor) -> dict[str, Any]:
    """Return what the application sees, after checking that nothing of ours is in it."""
    status, body = ask(port, "/?a=b", b"x" * 100_000)
    assert status == 200, body
    seen: dict[str, Any] = json.loads(body)
    assert seen["body"] == "x" * 100_000
    public = {name for name in seen["modules"] if name.partition(".")[0] in OURS}
    assert not public
    assert seen["ours"]
    assert all(name.partition(".")[0].startswith("_emperord") for name in seen["ours"])
    repository = str(Path(__file__).parent.parent.parent)
    assert not [path for path in seen["path"] if path.startswith(repository + "/.venv/")]
    assert not [path for path in seen["path"] if path in (repository, "", ".")]
    assert seen["path"][0] == str(emperor.apps)
    assert seen["cwd"] == str(emperor.apps)
    assert [name for name in seen["main"] if not name.startswith("__")] == []
    assert seen["argv"] == [""]
    assert seen["environ"]["GIVEN"] == "yes"
    assert not [name for name in seen["environ"] if name.startswith(("PYTEST", "NOTIFY"))]
    return seen


def test_application_gets_only_the_descriptors_it_needs(emperor: Emperor) -> None:
    install(emperor, "introspect")
    port = emperor.drop("blog", app="introspect:application", text=GIVEN)
    emperor.start()
    emperor.wait_state("blog", "ready")
    kinds = sorted(
        target.partition("[")[0].partition(" ")[0]
        for target in check_view(port, emperor)["fds"].values()
    )
    assert kinds == [
        "",  # the folder that it lists, closed by the time it asks
        "/dev/null",
        "/memfd:emperord-scoreboard",
        "anon_inode:",  # its epoll
        "pipe:",  # standard output,
        "pipe:",  # standard error,
        "pipe:",  # the stack dump's,
        "pipe:",  # and both ends of its own wake-up pipe
        "pipe:",
        "socket:",  # the listener,
        "socket:",  # the master's,
        "socket:",  # and the client's
    ]


def test_virtualenv_is_used_with_its_packages_and_its_environment(emperor: Emperor) -> None:
    venv = need_tenant_venv()
    install(emperor, "introspect")
    port = emperor.drop("blog", app="introspect:application", python=str(venv), text=GIVEN)
    emperor.start()
    emperor.wait_state("blog", "ready")
    seen = check_view(port, emperor)
    assert seen["prefix"] == str(venv)
    assert seen["environ"]["VIRTUAL_ENV"] == str(venv)
    assert seen["environ"]["PATH"].startswith(f"{venv}/bin:")
    assert any(path.startswith(str(venv / "lib")) for path in seen["path"])


@pytest.mark.parametrize(
    ("module", "name"),
    [("flask_app", "app"), ("django_app", "application"), ("falcon_app", "application")],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_frameworks_run_unchanged(emperor: Emperor, module: str, name: str, threads: int) -> None:
    venv = need_tenant_venv()
    install(emperor, module)
    port = emperor.drop("blog", app=f"{module}:{name}", python=str(venv), threads=threads)
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port, "/hello/w%C3%B6rld") == (200, "hello wörld".encode())
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, body = ask(port, "/form", b"a=1&b=two%20words", form)
    assert (status, json.loads(body)) == (200, {"a": "1", "b": "two words"})
    assert get(port, "/stream") == (200, b"0\n1\n2\n")
    assert get(port, "/nothing")[0] == 404
    assert get(port, "/fail")[0] == 500
    wait_until(lambda: "on purpose" in emperor.vassal_log("blog"), what="the traceback is logged")
    assert get(port, "/hello/again")[0] == 200


def test_application_that_needs_the_package_limits_gets_it_and_not_ours(emperor: Emperor) -> None:
    venv = need_tenant_venv()
    install(emperor, "limited_app")
    port = emperor.drop("blog", app="limited_app:app", python=str(venv))
    emperor.start()
    emperor.wait_state("blog", "ready")
    status, body = get(port, "/twice")
    assert status == 200
    assert body.startswith(b"limits ")
    assert [get(port, "/twice")[0] for _ in range(2)] == [200, 429]


def test_application_may_have_its_own_h11_and_httptools(emperor: Emperor) -> None:
    for name in ("h11", "httptools", "vassal", "emperor"):
        emperor.app(name, "WHOSE = 'the tenant'\n")
    emperor.app(
        "own",
        "import h11, httptools, vassal, emperor\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    modules = (h11, httptools, vassal, emperor)\n"
        "    return [' '.join(module.WHOSE for module in modules).encode()]\n",
    )
    port = emperor.drop("blog", app="own:application")
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port) == (200, b" ".join([b"the tenant"] * 4))


@pytest.mark.parametrize(
    ("python", "problem"),
    [
        ("/nowhere/python", "does not exist"),
        ("/etc/passwd", "may not"),
    ],
)
def test_interpreter_that_cannot_be_used_is_a_clear_error(
    emperor: Emperor, python: str, problem: str
) -> None:
    emperor.app("hello")
    emperor.drop("blog", python=python)
    emperor.start()
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    assert python in failure["message"]
    assert problem in failure["message"]
    assert "/blog.toml:4: python: " in failure["message"]


@pytest.mark.parametrize(("python", "status"), [("/bin/false", 1), ("/bin/true", 0)])
def test_program_that_is_no_interpreter_is_a_clear_error(
    emperor: Emperor, python: str, status: int
) -> None:
    emperor.app("hello")
    emperor.drop("blog", python=python)
    emperor.start()
    failure = emperor.wait_state("blog", "parked")["last_failure"]
    assert failure["kind"] == "exec"
    assert failure["exit_status"] == status
    assert failure["message"].startswith(f"{python} is no Python interpreter, or none that works: ")


def test_application_that_ends_its_interpreter_is_not_taken_for_that(emperor: Emperor) -> None:
    emperor.app("ends", "import os\nos._exit(3)\n")
    emperor.drop("blog", app="ends:application")
    emperor.start()
    failure = emperor.wait_state("blog", "backoff")["last_failure"]
    assert failure["message"] == "the application ended its interpreter while it was loaded"
    assert failure["exit_status"] == 3

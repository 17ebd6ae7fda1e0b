"""What we read from files in uWSGI's dialect is what uWSGI reads from them."""

import os
import subprocess
from pathlib import Path

import pytest

from emperor.uwsgi.read import Loaded, load
from emperor.uwsgi.real_host import RealHost, facts_of
from emperor.uwsgi.table import KNOWN
from tests.support.uwsgi import uwsgi_program
from tests.support.uwsgi_corpus import CASES, Case

LOADERS = {".ini": "ini", ".yaml": "yaml", ".xml": "xml", ".json": "json", ".js": "json"}


def theirs(file: str, cwd: Path, environ: dict[str, str]) -> str:
    """Return what uWSGI itself says that it has read."""
    loader = LOADERS[Path(file).suffix]
    done = subprocess.run(
        [uwsgi_program(), "--show-config", "--no-server", f"--{loader}", file],
        cwd=cwd,
        env=environ,
        capture_output=True,
        timeout=20,
        check=False,
    )
    text = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
    _, began, rest = text.partition("[uwsgi]\n")
    assert began, text
    asked = f"show-config = true\nno-server = true\n{loader} = {file}\n"
    options = rest.partition(";end of configuration")[0]
    assert options.startswith(asked)
    return options.removeprefix(asked)


def ours(file: str, cwd: Path, environ: dict[str, str]) -> Loaded:
    facts = facts_of(str(cwd), os.getuid(), os.getgid(), environ)
    return load(file, RealHost(), facts, KNOWN)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_options_in_the_same_order(case: Case, tmp_path: Path) -> None:
    for name, text in case.files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    file = next(iter(case.files))
    environ = {"PATH": os.environ["PATH"], "HOME": "/root", **case.environ}
    found = ours(file, tmp_path, environ)
    options = "".join(f"{option.name} = {option.value}\n" for option in found.everything)
    assert options == theirs(file, tmp_path, environ)


def test_the_corpus_is_large_enough() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 150

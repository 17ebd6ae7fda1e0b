"""Options that the emperor puts around its vassals' files: who wins, here and with uWSGI."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.emperor import Emperor, get
from tests.support.ports import free_port
from tests.support.uwsgi import real_uwsgi
from tests.support.uwsgi_emperor import emperor_uwsgi
from tests.support.wait import wait_until

TELLS = """
import json, os
import uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    told = {
        "env": os.environ.get("WHO"), "workers": uwsgi.numproc,
        "opt": [repr(uwsgi.opt.get(name)) for name in ("who", "mark", "workers")],
        "derived": os.environ.get("DERIVED"),
        "folder": os.path.basename(os.getcwd()),
    }
    return [json.dumps(told).encode()]
"""
OWN = "the file"
EACH = (
    "vassals-inherit",
    "vassals-inherit-before",
    "vassals-include",
    "vassals-include-before",
    "vassal-set",
)
SOURCES = [
    EACH,
    (*EACH, OWN),
    *itertools.combinations((*EACH, OWN), 2),
    ("vassals-set", "vassal-set"),
    ("vassals-include", "vassals-include"),
    ("vassals-inherit", "vassals-inherit"),
]


def lines(number: int, name: str) -> str:
    """Return what sets all the keys; each source another value."""
    return f"who = {name}\nenv = WHO={name}\nworkers = {number}\nset-placeholder = mark={name}\n"


def told(port: int) -> Any:
    with contextlib.suppress(OSError):
        status, body = get(port)
        return json.loads(body) if status == 200 else None
    return None


@pytest.mark.parametrize("options", SOURCES, ids="+".join)
def test_the_same_source_wins(emperor: Emperor, tmp_path: Path, options: tuple[str, ...]) -> None:
    emperor.app("tells", TELLS)
    words = []
    for number, option in enumerate((each for each in options if each != OWN), 2):
        if option.endswith("-set"):
            words += [f"--{option}", f"who=set{number}", f"--{option}", f"env=WHO=set{number}"]
            words += [f"--{option}", f"workers={number}"]
            continue
        file = emperor.base / f"{option}-{number}.ini"
        file.write_text(f"[uwsgi]\n{lines(number, f'{option}-{number}')}")
        words += [f"--{option}", str(file)]
    ports = free_port(), free_port()
    theirs = tmp_path / "vassals"
    theirs.mkdir()
    for folder, port in zip((emperor.vassals, theirs), ports, strict=True):
        (folder / "blog.ini").write_text(
            f"[uwsgi]\nchdir = {emperor.apps}\nmodule = tells\nmaster = true\n"
            f"http-socket = 127.0.0.1:{port}\n"
            + (lines(1, "own") if OWN in options else "")
            + "env = DERIVED=%(who) %(mark)\n"
        )
    with (
        emperor_uwsgi(emperor, "--emperor", str(emperor.vassals), *words),
        real_uwsgi(tmp_path, "--emperor", str(theirs), *words),
    ):
        emperor.wait_state("blog", "ready")
        uwsgis = wait_until(lambda: told(ports[1]), 20.0, "uWSGI's vassal answers")
        mine = wait_until(lambda: told(ports[0]), what="ours answers")
    assert mine == uwsgis
    assert mine["opt"][0] != "None"

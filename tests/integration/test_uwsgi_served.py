"""What is served by the files of the corpus is what the real uWSGI serves by them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.uwsgi import uwsgi_program
from tests.support.uwsgi_corpus import CASES
from tests.support.uwsgi_served import REQUESTS, Served, make_venv, served_by
from tests.support.uwsgi_single import OURS, REAL

TOGETHER = 8
GROUPS = [CASES[at : at + TOGETHER] for at in range(0, len(CASES), TOGETHER)]

NOT_UTF8 = {"magic-accent"}
"""An option of theirs that is not text is not in uwsgi.opt here."""


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """Yield a folder that everybody may enter, with a virtualenv in it."""
    with tempfile.TemporaryDirectory(prefix="srvd-") as name:
        Path(name).chmod(0o755)
        make_venv(Path(name))
        yield Path(name)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group[0].name}-and-after")
def test_same_answers(base: Path, group: list[Any]) -> None:
    uwsgi_program()
    sites = []
    for case in group:
        folder = base / case.name
        folder.mkdir()
        sites.append(Served(case, folder, free_port(), base / "venv"))
    real = served_by(REAL, sites)
    ours = served_by(OURS, sites)
    for site in sites:
        name = site.case.name
        if name in NOT_UTF8:
            _leave_out(real[name], "x")
        assert ours[name] == real[name], f"{name}\n{site.log()}"


def _leave_out(answers: list[Any] | str, option: str) -> None:
    for answer in answers:
        said = answer[-1]
        if isinstance(said, dict):
            del said["opt"][option]


def test_most_of_the_corpus_is_served_and_asked_much(base: Path) -> None:
    assert len(NOT_UTF8) < len(CASES) // 50
    assert len(REQUESTS) >= 20

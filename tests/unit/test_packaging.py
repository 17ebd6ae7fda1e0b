"""The man pages and the completion say what the code says."""

import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emperor.config.emperor_file import EMPEROR_KEYS
from emperor.config.emperor_tables import CUSTOMER_KEYS, OWNER_KEYS
from emperor.config.keys import VASSAL_KEYS, is_directive
from tests.support.need import need_program

PACKAGING = Path(__file__).parents[2] / "packaging"
PAGES = ("emperor.1", "emperor.toml.5", "emperor-vassal.5")


@pytest.fixture(scope="module")
def page() -> Callable[[str], str]:
    made: Callable[[str], str] = runpy.run_path(str(PACKAGING / "man" / "pages.py"))["page"]
    return made


@pytest.fixture(scope="module")
def completion() -> dict[str, Any]:
    return runpy.run_path(str(PACKAGING / "completion" / "bash.py"))


@pytest.mark.parametrize("name", PAGES)
def test_man_page_is_correct_roff(page: Callable[[str], str], name: str, tmp_path: Path) -> None:
    groff = need_program("groff")
    file = tmp_path / name
    file.write_text(page(name), encoding="utf-8")
    found = subprocess.run(
        [groff, "-man", "-Tutf8", "-Kutf8", "-wall", "-z", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")


def shown(roff: str) -> list[str]:
    """Return the bold beginnings of entries, as they are read."""
    lines = roff.splitlines()
    entries = [lines[index + 1] for index, line in enumerate(lines[:-1]) if line == ".TP"]
    return [entry.split(r"\fR")[0].replace(r"\fB", "").replace(r"\-", "-") for entry in entries]


def test_every_key_of_a_vassal_file_is_in_its_man_page(page: Callable[[str], str]) -> None:
    assert sorted(shown(page("emperor-vassal.5"))) == sorted(
        name.partition(".")[2] or name for name in VASSAL_KEYS
    )


def test_every_key_of_the_emperors_file_is_in_its_man_page(page: Callable[[str], str]) -> None:
    owners = [name for name in OWNER_KEYS if not is_directive(name)]
    assert shown(page("emperor.toml.5")) == [*EMPEROR_KEYS, *owners]


def test_every_key_of_a_budget_is_in_the_man_page(page: Callable[[str], str]) -> None:
    text = page("emperor.toml.5")
    for name in CUSTOMER_KEYS:
        assert rf"\fB{name.removeprefix('limits.')}\fR" in text


def test_every_command_is_in_the_man_page(
    page: Callable[[str], str], completion: dict[str, Any]
) -> None:
    assert {f"emperor {name}" for name in completion["commands"]()} <= set(shown(page("emperor.1")))


def complete(script: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of `words`."""
    bash = need_program("bash")
    code = (
        f'. "{script}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        ' _emperor emperor "${@: -1}" "${@: -2:1}"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        [bash, "-euc", code, "bash", *words], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def script(completion: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "emperor"
    path.write_text(completion["script"](), encoding="utf-8")
    return path


def test_completion_offers_the_commands(script: Path, completion: dict[str, Any]) -> None:
    assert complete(script, "emperor", "re") == ["reload", "restart", "reopen"]
    assert set(complete(script, "emperor", "")) == {*completion["commands"](), "--help"}


def test_completion_offers_every_option_of_every_command(
    script: Path, completion: dict[str, Any]
) -> None:
    for name, parser in completion["commands"]().items():
        options = {word for action in parser._actions for word in action.option_strings}
        assert set(complete(script, "emperor", name, "-")) == options, name


def test_completion_offers_files_where_a_path_is_wanted(script: Path, tmp_path: Path) -> None:
    (tmp_path / "blog.toml").touch()
    begun = f"{tmp_path}/bl"
    found = [f"{tmp_path}/blog.toml"]
    assert complete(script, "emperor", "check", begun) == found
    assert complete(script, "emperor", "run", "--config", begun) == found
    assert complete(script, "emperor", "serve", "--workers", begun) == []


def test_completion_offers_the_vassals_of_the_running_emperor(script: Path, tmp_path: Path) -> None:
    emperor = tmp_path / "bin" / "emperor"
    emperor.parent.mkdir()
    emperor.write_text('#!/bin/sh\ncat <<END\n{"vassals": [{\n  "name": "blog",\n}]}\nEND\n')
    emperor.chmod(0o755)
    text = script.read_text().replace("emperor status", f"{emperor} status")
    script.write_text(text)
    assert complete(script, "emperor", "reload", "") == ["blog"]


def test_scripts_of_the_package_are_correct_shell() -> None:
    shell = shutil.which("dash") or need_program("sh")
    for name in ("build.sh", "postinst", "prerm", "postrm"):
        subprocess.run([shell, "-n", PACKAGING / "deb" / name], check=True)

"""What is said of a file that cannot be used."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emperor.brain.history import Version
from emperor.brain.patience import Silence
from emperor.brain.version_reader import Refusal, VersionReader
from emperor.config.problems import ConfigError, Problem
from emperor.config.settings import EmperorSettings

NATIVE = 'app = "hello:application"\nlisten = ["http://127.0.0.1:8000"]\n'


class Reader(VersionReader):
    """`make` stands for what makes a spec of the settings; `said` is what was logged. While it
    `is_silent` nothing on the host answers."""

    def __init__(self, make: Callable[["Reader"], None]) -> None:
        self.said: list[tuple[str, str | None]] = []
        self.is_silent = False
        specs: Any = SimpleNamespace(make=self._make, forget=lambda name: None)
        patience: Any = SimpleNamespace(look_now=self._look_now, mounts_below=lambda path: ())
        settings = EmperorSettings()
        super().__init__(settings, specs, patience, self._say)
        self._made = make

    async def _make(self, *_: object) -> None:
        self._made(self)

    def _look_now(self, paths: object, uid: int, call: Callable[[], object]) -> object:
        if self.is_silent:
            raise Silence(())
        return call()

    def _say(self, level: str, event: str, vassal: str | None, _: object) -> None:
        self.said.append((event, vassal))

    def refusal(self, path: str = "/v/blog.toml", text: str = NATIVE) -> Refusal:
        version = Version(text=text, owner_uid=os.geteuid(), gid=0, digest="d", path=path)
        found = asyncio.run(self.read("blog", path, version))
        assert isinstance(found, Refusal)
        return found


def test_fault_in_reading_a_file_is_logged_once() -> None:
    def fault(_: Reader) -> None:
        raise KeyError(faults[0])

    faults = ["one"]
    reader = Reader(fault)
    for _ in range(3):  # its owner may touch it as often as they like
        assert (
            "blog.toml: KeyError('one'); this is a fault of emperord" in reader.refusal().lines[0]
        )
    assert reader.said == [("fault", "blog")]
    faults[0] = "another"
    reader.refusal()
    assert reader.said == [("fault", "blog")] * 2
    reader.forget("blog")  # its file is gone: the next one is another
    reader.refusal()
    assert reader.said == [("fault", "blog")] * 3


@pytest.mark.parametrize("is_silent", [True, False])
def test_problem_is_told_without_its_line_where_an_include_does_not_answer_any_more(
    tmp_path: Path, is_silent: bool
) -> None:
    def refuse(reader: Reader) -> None:
        reader.is_silent = is_silent  # the text was read before
        raise ConfigError(
            [Problem(file=path, line=1, key="user", problem="is nobody", remedy="create it")]
        )

    more, path = tmp_path / "more.ini", f"{tmp_path}/blog.ini"
    more.write_text("[uwsgi]\nprocesses = 2\n")
    text = f"[uwsgi]\ninclude = {more}\nhttp-socket = 127.0.0.1:8000\nmodule = hello\nuid = www\n"
    refusal = Reader(refuse).refusal(path, text)
    line = 1 if is_silent else 5
    assert refusal.lines == (f"{path}:{line}: user: is nobody; create it",)
    assert (refusal.may_pass, refusal.is_silence) == (True, False)

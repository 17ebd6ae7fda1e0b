"""The keys of commands around the application."""

import pytest

from emperor.config.command_keys import COMMANDS_BYTES_MAX, commands
from emperor.config.problems import ConfigError, Invalid
from emperor.config.settings import EmperorSettings, VassalSettings
from emperor.config.vassal_file import load_vassal

BASE = 'app = "blog:app"\nlisten = "http://:80"\n'


def load(text: str) -> VassalSettings | ConfigError:
    return load_vassal("blog", BASE + text, "blog.toml", "/srv", EmperorSettings())


def test_one_command_or_several() -> None:
    assert commands("make it") == ("make it",)
    assert commands(["-a b", "c | d"]) == ("-a b", "c | d")


def test_they_are_in_the_settings() -> None:
    settings = load('exec_start_pre = "a"\nexec_start_post = ["b", "c"]\nexec_stop_post = ["-d"]')
    assert isinstance(settings, VassalSettings)
    assert settings.exec_start_pre == ("a",)
    assert settings.exec_start_post == ("b", "c")
    assert settings.exec_stop_post == ("-d",)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty"),
        ("-", "is no command"),
        ("- ", "is no command"),
        (["a", 3], "3 is not a command"),
        ("a\rb", "control character"),
        ("+/usr/bin/id", 'begins with "+", which only systemd knows'),
        ("-@/usr/bin/id", 'begins with "@", which only systemd knows'),
        ("!!/usr/bin/id", 'begins with "!!", which only systemd knows'),
        (["x" * 4000] * 5, f"more than {COMMANDS_BYTES_MAX}"),
    ],
)
def test_what_is_no_command_is_said(value: object, problem: str) -> None:
    with pytest.raises(Invalid) as found:
        commands(value)
    assert problem in found.value.faults[0].problem


@pytest.mark.parametrize(
    "line", ["! test -e a", ": > log", "[ -e a ] || b", "-/bin/a", "if a\nthen\tb; fi"]
)
def test_what_the_shell_knows_is_left_to_it(line: str) -> None:
    assert commands(line) == (line,)

"""Reading uWSGI's dialect: what its own comparison cannot show, and that nothing breaks it."""

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.uwsgi.collected import OPTIONS_MAX
from emperor.uwsgi.expand import TooMuchError, computed, expand
from emperor.uwsgi.host import Facts, Kind
from emperor.uwsgi.read import FILES_MAX, Loaded, load
from emperor.uwsgi.table import KNOWN

FACTS = Facts(cwd="/etc/uwsgi", hostname="host", environ={"SITE": "blog"})
SUFFIXES = ("ini", "yaml", "json", "xml")


class Files:
    """A machine of nothing but these files."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def read(self, path: str) -> bytes | None:
        return self._files.get(path)

    def kind(self, path: str) -> Kind:
        return Kind.FILE if path in self._files else Kind.NOTHING

    def real_path(self, path: str) -> tuple[str, int]:
        return path, 7

    def glob(self, pattern: str) -> list[str]:
        return sorted(fnmatch.filter(self._files, pattern)) or [pattern]


def read(text: str | bytes, suffix: str = "ini", **others: str) -> Loaded:
    data = text if isinstance(text, bytes) else text.encode()
    files = {f"/etc/uwsgi/{name}.ini": content.encode() for name, content in others.items()}
    return load(f"a.{suffix}", Files({f"/etc/uwsgi/a.{suffix}": data, **files}), FACTS, KNOWN)


def pairs(loaded: Loaded) -> list[tuple[str, str]]:
    return [(option.name, option.value) for option in loaded.options]


def problems(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def test_every_option_knows_its_file_and_line() -> None:
    loaded = read("[uwsgi]\nmaster = 1\ninclude = b.ini\n", b="[uwsgi]\n\nthreads = 2\n")
    assert [(one.name, one.file, one.line) for one in loaded.options] == [
        ("master", "/etc/uwsgi/a.ini", 2),
        ("include", "/etc/uwsgi/a.ini", 3),
        ("threads", "/etc/uwsgi/b.ini", 3),
    ]
    assert loaded.files == ("/etc/uwsgi/a.ini", "/etc/uwsgi/b.ini")


def test_json_repeats_what_is_in_lists_and_writes_truth_as_numbers() -> None:
    text = '{"uwsgi": {"env": ["A=1", "B=2"], "master": true, "vacuum": null, "workers": 4}}'
    assert pairs(read(text, "json")) == [
        ("env", "A=1"),
        ("env", "B=2"),
        ("master", "1"),
        ("vacuum", "0"),
        ("workers", "4"),
    ]


def test_yaml_may_have_lists_and_a_key_twice() -> None:
    text = "other: 1\nuwsgi:\n  env:\n    - A=1\n    - B=2\n  env: C=3\n"
    assert pairs(read(text, "yaml")) == [("env", "A=1"), ("env", "B=2"), ("env", "C=3")]


def test_placeholders_are_no_options_and_unknown_names_are_said() -> None:
    loaded = read("[uwsgi]\nbase = /srv\nchdir = %(base)\nset-ph = x=1\nvaccum = 1\n")
    assert [option.name for option in loaded.options] == ["chdir", "set-ph", "vaccum"]


@pytest.mark.parametrize("empty", ["", "# to be filled\n", "[uwsgi]\n; threads = 2\n"])
@pytest.mark.parametrize("option", ["ini", "include", "inherit"])
def test_an_empty_file_may_be_included(option: str, empty: str) -> None:
    found = read(f"[uwsgi]\n{option} = local.ini\nthreads = 4\n", local=empty)
    assert problems(found) == []
    assert ("threads", "4") in pairs(found)
    assert problems(read(empty)) != []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[other]\nx = 1\n", 'a.ini:1: syntax: there is no section "uwsgi"; begin the options'),
        ("[uwsgi]\ninclude = gone.ini\n", "a.ini:2: include: /etc/uwsgi/gone.ini cannot be read"),
        ("[uwsgi]\ninclude = a.ini\n", "a.ini:2: include: too many files include one another"),
        ("[uwsgi]\ninclude = notes.txt\n", 'a.ini:2: include: "notes.txt" has no suffix'),
        ("[uwsgi]\nx = @(gone)\n", "gone:1: file: is named in @(…) and cannot be read"),
        ("[uwsgi]\nstrict = 1\nnothing = 1\n", "a.ini:3: nothing: is no option of uWSGI"),
        ("[uwsgi]\nset = x\n", "a.ini:2: set: has no =; write set = NAME=VALUE"),
        ("[uwsgi]\nset-ph = master=1\n", 'a.ini:2: set-ph: "master" is an option'),
        ("[uwsgi]\nblacklist = uid gid\nuid = 0\n", "a.ini:3: uid: is forbidden by a blacklist"),
        ("[uwsgi]\nexit = 1\n", "a.ini:2: exit: ends the vassal here"),
        ("[uwsgi]\na = x%(a)y\n", "a.ini:2: a: %(…) does not come to an end"),
        ("[uwsgi]\nfor-times = 999999999\nx = 1\n", "a.ini:3: x: there are too many options"),
    ],
)
def test_what_is_wrong_has_its_place_and_a_way_out(text: str, problem: str) -> None:
    [found] = problems(read(text))
    assert found.startswith(f"/etc/uwsgi/{problem}")
    assert "; " in found


@pytest.mark.parametrize("option", ["ini = :gone", "ini = b.ini", "include = b.ini"])
def test_section_that_is_not_there_is_told_and_nothing_is_read_of_it(option: str) -> None:
    found = read(f"[uwsgi]\n{option}\nthreads = 4\n", b="[other]\nx = 1\n")
    assert problems(found) == []
    assert ("threads", "4") in pairs(found)
    ((place, text),) = found.doubts.items()
    assert found.options[place].line == 2
    assert text.startswith('there is no section "')
    assert text.endswith(".ini: nothing is read of it")


@pytest.mark.parametrize("what", ["exec://hostname", "http://127.0.0.1/x", "sym://x"])
def test_what_is_no_file_is_not_asked_for_a_value(what: str) -> None:
    [found] = problems(read(f"[uwsgi]\nx = @({what})\n"))
    assert found == (
        f'/etc/uwsgi/a.ini:2: x: "{what}" is no file: nothing is run or fetched to read a file;'
        " write what it would give"
    )


@pytest.mark.parametrize(
    ("suffix", "text", "problem"),
    [
        ("json", '{"uwsgi": {"a": 1,}}', "no JSON"),
        ("json", "[" * 100_000, "nested too deep"),
        ("json", '{"uwsgi": [1]}', "uwsgi is no object"),
        ("yaml", "uwsgi:\n  a: {b: {c: 1}}\n", "a has a mapping below it"),
        ("yaml", "uwsgi: [1]\n", "uwsgi is no mapping"),
        ("yaml", "&a [*a", "no YAML"),
        ("xml", "<uwsgi><a></uwsgi>", "no XML: mismatched tag"),
        ("xml", '<!DOCTYPE x [<!ENTITY a "b">]><uwsgi><a>&a;</a></uwsgi>', "a document type"),
        ("xml", "<a>" * 100, "nested too deep"),
    ],
)
def test_text_that_is_not_of_its_dialect_is_refused(suffix: str, text: str, problem: str) -> None:
    [found] = problems(read(text, suffix))
    assert f"syntax: {problem}" in found


def test_files_and_options_have_bounds() -> None:
    many = {f"f{number}": "[uwsgi]\nx = 1\n" for number in range(FILES_MAX + 1)}
    text = "[uwsgi]\n" + "".join(f"include = {name}.ini\n" for name in many)
    assert "too many files" in problems(read(text, **many))[0]
    assert "too many options" in problems(read("[uwsgi]\n" + "x = 1\n" * (OPTIONS_MAX + 1)))[0]


def test_value_that_doubles_itself_ends() -> None:
    lines = [f"v{number} = %(v{number - 1})%(v{number - 1})" for number in range(1, 40)]
    loaded = read("[uwsgi]\nv0 = ab\n" + "\n".join(lines) + "\n")
    assert "does not come to an end" in problems(loaded)[0]


@given(st.binary(max_size=400), st.sampled_from(SUFFIXES))
def test_no_bytes_break_it(data: bytes, suffix: str) -> None:
    read(data, suffix)


WORDS = st.sampled_from(
    ["uwsgi", "[uwsgi]", "\n", " ", "=", "%", "%(", "(", ")", "$(SITE)", "@(/etc/uwsgi/b.ini)", "a"]
    + ["b", "for", "if-env", "if-not-opt", "endfor", "include", "inherit", "b.ini", "set", "1"]
    + ["set-ph", "%(a)", "%(a + b)", "%n", ":", "-", "{", "}", '"', "<", ">", "/", "<uwsgi>", ","]
    + ["for-glob", "*", "strict", "whitelist", "ini", ":x", "é", "\0", "\r"]
)


@given(st.lists(WORDS, max_size=60), st.sampled_from(SUFFIXES))
def test_no_words_of_the_dialect_break_it(words: list[str], suffix: str) -> None:
    read("[uwsgi]\n" * (suffix == "ini") + "".join(words), suffix, b="[uwsgi]\na = %(b)\n")


@settings(deadline=None)  # what does not end is given up late
@given(st.lists(WORDS, max_size=30))
def test_expansion_ends(words: list[str]) -> None:
    text = "".join(words)
    try:
        expand(text, "%", lambda key: computed(key, {"a": text, "b": "%(a)"}.get))
    except TooMuchError:
        pass

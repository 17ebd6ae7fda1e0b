"""Lines of keys: the scanner against texts that tomllib takes."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.config.document import Document, Octal, read_document
from emperor.config.locate import locate
from emperor.config.problems import Problem

EVERYTHING = """\
# first line
a.b = 0o660
"quoted key" = 1; 'single' = 2
[x.y]
"q.r" = [
  1, # comment ]
  \"\"\"z
" not the end
\"\"\" , { k = 'v', "w" = [1] },
]
s = '''
[not a table]
''' # comment
[[t]]
n = 1979-05-27 07:32:00
[[t]]
n = -2.5e3
[t.u]
m = 0o77
[last]
"\\u0041\\n" = "a"
""".replace("1; ", "1\n")


def test_every_kind_of_key_is_found_on_its_line():
    text = EVERYTHING
    tomllib.loads(text)

    lines = locate(text).lines

    assert lines[("a",)] == lines[("a", "b")] == 2
    assert lines[("quoted key",)] == 3
    assert lines[("single",)] == 4
    assert lines[("x", "y")] == 5
    assert lines[("x", "y", "q.r")] == 6
    assert lines[("x", "y", "q.r", 0)] == 7
    assert lines[("x", "y", "q.r", 1)] == 8
    assert lines[("x", "y", "q.r", 2)] == 10
    assert lines[("x", "y", "q.r", 2, "w", 0)] == 10
    assert lines[("x", "y", "s")] == 12
    assert lines[("t", 0, "n")] == 16
    assert lines[("t", 1, "n")] == 18
    assert lines[("t", 1, "u", "m")] == 20
    assert lines[("last", "A\n")] == 22
    assert ("not a table",) not in lines


def test_octal_integers_are_told_from_decimal_ones():
    document = read_document("a = 0o660\nb = 432\n[c]\nd = [0o1, 1]\n", "f")
    assert isinstance(document, Document)
    assert isinstance(document.values["a"], Octal)
    assert document.values["a"] == 432
    assert not isinstance(document.values["b"], Octal)
    inner = document.values["c"]["d"]
    assert isinstance(inner[0], Octal)
    assert not isinstance(inner[1], Octal)


def test_windows_line_ends_do_not_move_lines():
    assert locate("a = 1\r\n\r\nb = 2\r\n").lines == {("a",): 1, ("b",): 3}


def test_strings_with_quotes_at_their_ends_are_one_value():
    text = 'a = """"x""""\nb = \'\'\'\'y\'\'\'\'\nc = """"""\nd = "\\""\ne = 1\n'
    tomllib.loads(text)
    assert locate(text).lines == {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4, ("e",): 5}


def test_place_of_an_unlocated_part_is_that_of_what_holds_it():
    document = Document("f", {}, {("a",): 3, ("a", "b"): 4})
    assert document.located(("a", "b", 7)) == (("a", "b"), 4)
    assert document.located(("a", "x")) == (("a",), 3)
    assert document.located(("z",)) == ((), 1)


def test_key_with_thousands_of_dots_takes_no_memory_to_speak_of():
    lines = locate("a." * 20_000 + "b = 1\nc = 2\n").lines
    assert len(lines) < 20
    assert lines[("c",)] == 2


NAMES = st.text(min_size=1, max_size=8)
SCALARS = st.one_of(
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.text(max_size=12),
    st.sampled_from(["]", "}", "#", "'''", '"""', "= 1\n[x]", "\\"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def basic_string(text):
    return (
        '"'
        + "".join(
            f"\\U{ord(char):08x}" if char in '"\\' or not char.isprintable() else char
            for char in text
        )
        + '"'
    )


def as_toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return basic_string(value)
    if isinstance(value, list):
        return "[\n" + "".join(f"  {as_toml(item)}, # ]\n" for item in value) + "]"
    return "{ " + ", ".join(f"{basic_string(k)} = {as_toml(v)}" for k, v in value.items()) + " }"


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=5), st.integers(0, 3))
def test_every_key_of_any_document_is_found_where_it_was_written(values, blanks):
    text = ""
    expected = {}
    for name, value in values.items():
        text += "\n" * blanks
        expected[(name,)] = text.count("\n") + 1
        text += f"{basic_string(name)} = {as_toml(value)}\n"
    assert tomllib.loads(text) == values

    lines = locate(text).lines

    assert {path: line for path, line in lines.items() if len(path) == 1} == expected


@given(st.text(alphabet="ab.=[]{}\"'#\\\n ,0o1", max_size=60))
def test_scanner_survives_what_is_no_toml(text):
    locate(text)


@given(st.text(max_size=80))
def test_any_text_is_a_document_or_a_problem(text):
    assert isinstance(read_document(text, "f"), (Document, Problem))


@given(st.text(alphabet="ab.=[]{}\"'#\\\n\r\t ,0o1:;-_\ufeff", max_size=60))
def test_any_text_that_looks_like_toml_is_a_document_or_a_problem(text):
    found = read_document(text, "f")
    assert isinstance(found, (Document, Problem))
    if isinstance(found, Problem):
        assert 1 <= found.line <= text.count("\n") + 1
        assert str(found).isprintable()

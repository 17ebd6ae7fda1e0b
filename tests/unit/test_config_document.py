"""Syntax errors: where they are and what to write."""

import pytest

from emperor.config.document import read_document
from emperor.config.problems import Problem

NO_KEY = 'this line is no key = value; write key = "value", or [table], or # a comment'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a=1\n\na=2", 3, "this key or table is in the file twice; keep one of the two"),
        ("[a]\n[a]\n", 2, "this table is in the file twice; put its keys under one heading"),
        ("a=1\n[a.b]\n", 2, "this key or table is in the file twice; keep one of the two"),
        ("\napp = blog:app", 2, 'blog:app is no TOML value; write app = "blog:app"'),
        ("app = blog:app # x", 1, 'blog:app is no TOML value; write app = "blog:app"'),
        ("app: blog:app", 1, "':' stands where '=' belongs; write app = \"blog:app\""),
        ("workers: 4", 1, "':' stands where '=' belongs; write workers = 4"),
        ("a = True", 1, "True is no TOML value; write a = true"),
        ("a = off", 1, "off is no TOML value; write a = false"),
        ("a = 30s", 1, '30s is no TOML value; write a = "30s"'),
        ("a = 0660", 1, '0660 is no TOML value; write a = "0660"'),
        ('a = "x\nb = 1\n', 1, "a string has no end; close it with the quotes that it began with"),
        ('a = "x', 1, "a string has no end; close it with the quotes that it began with"),
        ("a = [1,\n\nb=2", 3, "an array above this line has no end; close it with ]"),
        ("[a\nb=1", 1, "the heading of a table has no end; "
         "write it as [limits], on a line of its own"),
        ('a="\\d"', 1, "a backslash in double quotes; "
         "write \\\\, or put the text in single quotes"),
        ("a = {b = 1\n}", 1, "an array or inline table has no end; "
         "close it with ] or }; } on the same line"),
        ('a="x" b="y"', 1, "there is more on this line after the value; "
         "put one key = value on each line"),
        ("a = ", 1, 'there is no value here; '
         'write text as "text", numbers as 30, lists as ["a", "b"]'),
        ('a="x\x01"', 1, "a control character; "
         "remove it, or write it as \\u000a inside double quotes"),
        ("; uwsgi", 1, "';' begins no comment here; begin comments with #"),
        ("uwsgi", 1, NO_KEY),
        ("=1", 1, NO_KEY),
        ("a=1\rb=2", 1, "lines end with a carriage return only; save the file with Unix line ends"),
        ("\ufeffa=1", 1, "the file begins with a byte order mark; save it as UTF-8 without BOM"),
        ("a=" + "9" * 5000, 1, "a number is out of range; write a smaller one"),
        ("a=" + "[" * 60_000, 1, "arrays or tables are nested too deep; "
         "write the keys one level below a table"),
    ],
)  # fmt: skip
def test_syntax_error_is_explained_on_its_line(text, line, message):
    found = read_document(text, "blog.toml")
    assert isinstance(found, Problem)
    assert str(found) == f"blog.toml:{line}: syntax: {message}"

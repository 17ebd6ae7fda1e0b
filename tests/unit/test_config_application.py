"""`app`: its form is checked, its code never runs."""

import pytest

from emperor.config.application import application, seen_from
from emperor.config.problems import Invalid


@pytest.mark.parametrize(
    "app",
    [
        "blog:app",
        "blog.wsgi:application",
        "blog:site.app",
        "blog:create_app()",
        "blog:create_app('x', debug=False, n=-1, more=[1, {'a': None}])",
        "blog:factories.make('C:\\d')",
        "wsgi.py:app",
        "/srv/blog/blog.wsgi:application",
        "deploy/wsgi:application",
        "wsgi.py:create_app('a/b')",
    ],
)
def test_callable_or_call_with_literals_is_taken(app):
    assert application(app) == app


@pytest.mark.parametrize("place", ["blog", "blog.wsgi", "wsgi.py", "./blog.wsgi"])
def test_the_callable_is_application_where_none_is_named(place):
    assert application(place) == f"{place}:application"


def test_a_file_is_seen_from_the_directory_and_a_module_is_not():
    assert seen_from("wsgi.py:app", "/srv/blog") == "/srv/blog/wsgi.py:app"
    assert seen_from("./a/wsgi:app", "/srv/blog") == "/srv/blog/a/wsgi:app"
    assert seen_from("/x/wsgi.py:f('a/b')", "/srv/blog") == "/x/wsgi.py:f('a/b')"
    assert seen_from("./blog.wsgi:app", "/srv") == "/srv/blog.wsgi:app"
    assert seen_from("blog.wsgi:f('a/b')", "/srv/blog") == "blog.wsgi:f('a/b')"


CALL = "write \"a:create_app('production', debug=False)\""
NEITHER = (
    "is neither the name of a module nor a file; write the name as after import, like "
    '"blog.wsgi:application", or a file, like "wsgi.py"'
)
LITERALS = "write text in quotes, numbers, True, False, None, or lists and dicts of them"


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("my-blog:app", f'"my-blog" {NEITHER}'),
        (":app", f'"" {NEITHER}'),
        ("~/wsgi.py:app", '"~/wsgi.py": ~ is not replaced here; write the whole path'),
        ("wsgi.py:", '"wsgi.py:" names no callable; write "wsgi.py:application"'),
        ("a:", '"a:" names no callable; write "a:application"'),
        ("a:f(x)", f'"a:f(x)": an argument is not a literal; {LITERALS}'),
        ("a:f(*[1])", f'"a:f(*[1])": an argument is not a literal; {LITERALS}'),
        ("a:f({[]})", f'"a:f({{[]}})": an argument is not a literal; {LITERALS}'),
        ("a:f(**{})", '"a:f(**{})": ** is not possible here; write every argument by name'),
        ("a:f()()", f'"a:f()()" is not MODULE:CALLABLE or a call; {CALL}'),
        ("a:f(", f'"a:f(" is not MODULE:CALLABLE or a call; {CALL}'),
        ("a:lambda: 1", f'"a:lambda: 1" is not MODULE:CALLABLE or a call; {CALL}'),
        (3, '3 is not an application; write "blog.wsgi:application"'),
    ],
)
def test_anything_else_is_explained(app, message):
    with pytest.raises(Invalid) as caught:
        application(app)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "app",
    [
        "a:f(" + "(" * 900,
        "a:f(" + "-" * 1000 + "1)",
        "a:" + "-" * 1000 + "1",
        "a:f(" + "[" * 500 + "]" * 500 + ")",
        "a:" + "f." * 500 + "f(" * 3,
        "a:f(" + "9" * 5000 + ")",
    ],
)
def test_deep_or_long_calls_are_refused_without_harm(app):
    with pytest.raises(Invalid):
        application(app)

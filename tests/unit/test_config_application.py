"""`app`: its form is checked, its code never runs."""

import pytest

from emperor.config.application import application
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
    ],
)
def test_callable_or_call_with_literals_is_taken(app):
    assert application(app) == app


CALL = "write \"a:create_app('production', debug=False)\""
LITERALS = "write text in quotes, numbers, True, False, None, or lists and dicts of them"


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("blog", '"blog" names no callable; write "blog:application"'),
        ("wsgi.py", '"wsgi.py" names no callable; write "wsgi:application"'),
        ("/srv/wsgi.py:app", '"/srv/wsgi.py" is not the name of a module; write "wsgi:app"'),
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

"""Checks `app`: "module:callable", "file.py:callable", or either with a call. Pure.

The tenant's interpreter evaluates it; here only its form is checked, so that a typo is
found when the file is checked and not when the application starts.
"""

import ast
import warnings

from emperor.config.problems import Invalid, quoted
from emperor.config.values import path_text, resolved, text

APP_MAX = 1024
_EXAMPLE = '"blog.wsgi:application"'
_CALLABLE = "application"


def is_file(place: str) -> bool:
    """Return whether what stands before the colon is a file, not a module."""
    # A module "py" inside a package is possible, a file's name is meant. "blog.wsgi" is the
    # module that Django makes: the file of that name is written "./blog.wsgi".
    return "/" in place or place.endswith(".py")


def seen_from(app: str, directory: str) -> str:
    """Return `app` with the path of its file absolute."""
    place, separator, target = app.partition(":")
    return resolved(place, directory) + separator + target if is_file(place) else app


def application(value: object) -> str:
    """Return the checked text of `app`."""
    app = text(value, "an application", _EXAMPLE).strip()
    place, separator, target = app.partition(":")
    if not separator:
        target = _CALLABLE
    if len(target) > APP_MAX or (len(place) > APP_MAX and not is_file(place)):
        raise Invalid(f"is {len(app)} characters long", f"write at most {APP_MAX}")
    if is_file(place):
        path_text(place)
    elif not all(map(str.isidentifier, place.split("."))):
        raise Invalid(
            f"{quoted(place)} is neither the name of a module nor a file",
            f'write the name as after import, like {_EXAMPLE}, or a file, like "wsgi.py"',
        )
    if not target:
        raise Invalid(f"{quoted(app)} names no callable", f'write "{place}:{_CALLABLE}"')
    app = f"{place}:{target}"
    if not all(map(str.isidentifier, target.split("."))):
        _check_call(app, place, target)
    return app


def _check_call(app: str, module: str, target: str) -> None:
    example = f"write \"{module}:create_app('production', debug=False)\""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in an argument is the author's affair
            call = ast.parse(target.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Invalid(f"{quoted(app)} is not MODULE:CALLABLE or a call", example) from None
    if not isinstance(call, ast.Call) or not _is_dotted_name(call.func):
        raise Invalid(f"{quoted(app)} is not MODULE:CALLABLE or a call", example)
    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
        try:
            ast.literal_eval(argument)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise Invalid(
                f"{quoted(app)}: an argument is not a literal",
                "write text in quotes, numbers, True, False, None, or lists and dicts of them",
            ) from None
    if any(keyword.arg is None for keyword in call.keywords):
        raise Invalid(f"{quoted(app)}: ** is not possible here", "write every argument by name")


def _is_dotted_name(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)

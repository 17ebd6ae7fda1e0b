"""Checks `app`: "module:callable" or "module:factory('argument', key=1)". Pure.

The tenant's interpreter evaluates it; here only its form is checked, so that a typo is
found when the file is checked and not when the application starts.
"""

import ast
import warnings

from emperor.config.problems import Invalid, quoted
from emperor.config.values import text

APP_MAX = 1024
_EXAMPLE = '"blog.wsgi:application"'


def application(value: object) -> str:
    """Return the checked text of `app`."""
    app = text(value, "an application", _EXAMPLE).strip()
    if len(app) > APP_MAX:
        raise Invalid(f"is {len(app)} characters long", f"write at most {APP_MAX}")
    module, separator, target = app.partition(":")
    if not separator:
        raise Invalid(f"{quoted(app)} names no callable", f'write "{_as_module(app)}:application"')
    # A module "py" inside a package is possible, a file's name is meant.
    if module.endswith(".py") or not all(map(str.isidentifier, module.split("."))):
        raise Invalid(
            f"{quoted(module)} is not the name of a module",
            f'write "{_as_module(module)}:{target or "application"}"'
            if module.endswith(".py")
            else f"write the name as after import, like {_EXAMPLE}",
        )
    if not target:
        raise Invalid(f"{quoted(app)} names no callable", f'write "{module}:application"')
    if all(map(str.isidentifier, target.split("."))):
        return app
    _check_call(app, module, target)
    return app


def _as_module(name: str) -> str:
    """Return the module that was probably meant by the path of a file."""
    module = name.rpartition("/")[2].removesuffix(".py")
    return module if module.isidentifier() and len(module) < 60 else "blog.wsgi"


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

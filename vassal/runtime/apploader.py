"""Finds the application that a vassal file names: `module:callable` or `module:factory(…)`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Tuple


class AppError(Exception):
    """The application cannot be had; str() says what to write instead."""


def load(name: str, directory: str, pythonpath: List[str]) -> Callable[..., Any]:
    """Import the application and return its callable.

    `directory` and then `pythonpath` go to the front of sys.path. Whatever the
    application's own code raises passes through.
    """
    sys.path[:0] = [directory, *pythonpath]
    module_name, _, attribute = name.partition(":")
    attribute = attribute or "application"
    # __import__, because importlib is the application's to need.
    __import__(module_name)
    module = sys.modules[module_name]
    factory, arguments = attribute.partition("(")[0], attribute.partition("(")[1:]
    found = _resolve(module, module_name, factory.strip())
    if arguments[0]:
        args, kwargs = _literal_arguments(attribute)
        found = found(*args, **kwargs)
    if not callable(found):
        raise AppError(
            "%s is a %s, not a WSGI callable; write app = %s"
            % (name, type(found).__name__, '"%s:%s"' % (module_name, "NAME_OF_THE_CALLABLE"))
        )
    application: Callable[..., Any] = found
    return application


def _resolve(module: Any, module_name: str, attribute: str) -> Any:
    found = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = [
                name
                for name, value in vars(module).items()
                if callable(value) and not name.startswith("_")
            ]
            raise AppError(
                "module %r has no attribute %r; callables in it: %s"
                % (module_name, attribute, ", ".join(names[:10]) or "none")
            ) from None
    return found


def _literal_arguments(call: str) -> Tuple[List[Any], Dict[str, Any]]:
    import ast

    try:
        node = ast.parse(call, mode="eval").body
        # Not assert: a tenant's PYTHONOPTIMIZE would take it away.
        if not isinstance(node, ast.Call) or isinstance(node.func, ast.Call):
            raise ValueError("not one call")
        if any(item.arg is None for item in node.keywords):
            raise ValueError("** is not understood here")
        args = [ast.literal_eval(arg) for arg in node.args]
        kwargs = {str(item.arg): ast.literal_eval(item.value) for item in node.keywords}
    except (SyntaxError, ValueError) as error:
        raise AppError("arguments in %r must be literals: %s" % (call, error)) from None
    return args, kwargs

"""Finds the application that a vassal file names: `module:callable`, `module:factory(…)`,
or either with the path of a file in place of the module."""

from __future__ import annotations

import sys

from .mounts import Mounts, nobody

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple


class AppError(Exception):
    """The application cannot be had; str() says what to write instead."""


def load(
    name: str, directory: str, pythonpath: List[str], mounts: Mapping[str, str] = {}
) -> Callable[..., Any]:
    """Import the applications and return the callable that is all of them.

    `name` may be "" where there are `mounts`. `pythonpath` and then `directory` go to the
    front of sys.path. Whatever the application's own code raises passes through.
    """
    folders = [*pythonpath, directory]
    sys.path[:0] = folders
    rest = find(name, folders) if name else nobody
    if not mounts:
        return rest
    return Mounts({prefix: find(mounts[prefix], folders) for prefix in mounts}, rest)


def find(name: str, folders: Sequence[str] = ()) -> Callable[..., Any]:
    """Import what `name` says and return its callable; sys.path is as it has to be.

    `folders` are those in which people expect the module.
    """
    place, _, attribute = name.partition(":")
    attribute = attribute or "application"
    if "/" in place:  # the emperor made the path of a file absolute
        module = _load_file(place)
    else:
        # __import__, because importlib is the application's to need.
        try:
            __import__(place)
        except ModuleNotFoundError as error:
            if not folders or not (place + ".").startswith("%s." % error.name):
                raise  # what is missing is not the application
            raise AppError(
                "No module named %r in %s; correct app or directory"
                % (error.name, " or ".join(folders))
            ) from None
        module = sys.modules[place]
    factory, bracket, _ = attribute.partition("(")
    found = _resolve(module, place, factory.strip())
    if bracket:
        args, kwargs = _literal_arguments(attribute)
        found = found(*args, **kwargs)
    if not callable(found):
        raise AppError(
            "%s is of type %s, and no WSGI callable; write app = %s"
            % (name, type(found).__name__, '"%s:%s"' % (place, "NAME_OF_THE_CALLABLE"))
        )
    application: Callable[..., Any] = found
    return application


def _load_file(path: str) -> Any:
    """Run a file as a module of its own, once; it is in sys.modules for pickle's sake.

    No bytecode is kept: blog.wsgi and blog.py would have one cache file.
    """
    from _frozen_importlib import ModuleSpec, module_from_spec
    from _frozen_importlib_external import SourceFileLoader

    name = _module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    loader = SourceFileLoader(name, path)
    try:
        source = loader.get_data(path)
    except OSError as error:
        raise AppError(
            "%s cannot be read: %s; write app = %s"
            % (path, error.strerror, '"/path/of/the/file.py:application"')
        ) from None
    spec = ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module = module_from_spec(spec)
    code = compile(source, path, "exec", dont_inherit=True)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules[name]


def _module_name(path: str) -> str:
    """Return a name for the module that is of no other: the same in every process."""
    name = "wsgi_file_" + "".join(char if char.isalnum() else "_" for char in path.lstrip("/"))
    while name in sys.modules and getattr(sys.modules[name], "__file__", None) != path:
        name += "_"
    return name


def _resolve(module: Any, place: str, attribute: str) -> Any:
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
                "%s %r%s has no attribute %r; callables in it: %s"
                % (
                    "file" if "/" in place else "module",
                    place,
                    # Another of the name may have been imported before: site.py, test.py.
                    "" if "/" in place else " (%s)" % getattr(module, "__file__", "built in"),
                    attribute,
                    ", ".join(names[:10]) or "none",
                )
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

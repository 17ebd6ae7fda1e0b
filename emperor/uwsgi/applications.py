"""Which application a uWSGI file means, and in what surroundings it runs. Pure.

uWSGI goes to chdir before it binds sockets, starts Python and loads anything, and to
chdir2 when everything is loaded: what is relative is relative to chdir.
"""

import re
from collections.abc import Callable, Sequence

from emperor.config.problems import quoted
from emperor.config.values import resolved
from emperor.uwsgi.draft import Draft, Taken
from emperor.uwsgi.rows import Support
from emperor.uwsgi.values import truth

_BY_PATH = "what is mounted is chosen by the path, and SCRIPT_NAME and PATH_INFO are set for it"
_NOT_ONLY_BY_NAME = "chosen by the path too, where uWSGI would need manage-script-name for that"
_CALLABLE = "application"
_FILE_ENDS = (".py", ".wsgi")
_GLOB = re.compile(r"[*?\[]")
_PATHS_MAX = 64

Glob = Callable[[str], Sequence[str]]
"""Returns what matches an absolute pattern, as Host.glob does."""


def working_folder(draft: Draft, folder: str) -> str:
    """Set the directory; return the folder that other paths of the file are relative to."""
    early, late = draft.last("chdir"), draft.last("chdir2")
    if early is not None:
        base = resolved(early.value, folder)
        draft.put("directory", base, early)
        if late is not None and resolved(late.value, base) == base:
            draft.remark(late, Support.SATISFIED, "it is the folder already")
        elif late is not None:
            text = f"the directory stays {base}: call os.chdir() in the application"
            draft.remark(late, Support.UNSUPPORTED, text)
        return base
    if late is not None:
        draft.put("directory", resolved(late.value, folder), late)
    else:
        draft.put("directory", folder)
    return folder


def put_application(draft: Draft, base: str) -> None:
    """Set app and mounts."""
    module, file = draft.last("module", "wsgi"), draft.last("wsgi-file", "file")
    named = draft.last("callable")
    name = named.value if named else _CALLABLE
    mounts = _mounts(draft, base, name)
    root = mounts.pop("", None)
    if named is not None and module is not None and ":" in module.value and not mounts:
        draft.remark(named, Support.IGNORED, f"{module.name} names its callable itself")
    elif named is not None:
        draft.remark(named, Support.SUPPORTED, f"app: the callable is {name}")
    if module is not None:
        app = module.value if ":" in module.value else f"{module.value}:{name}"
        draft.put("app", app, module)
        if file is not None:
            draft.remark(file, Support.IGNORED, f"{module.name} is loaded first, and answers")
    elif file is not None:
        draft.put("app", f"{resolved(file.value, base)}:{name}", file)
    elif root is not None:
        draft.put("app", *root)
        root = None
    elif mounts:
        # What is mounted nowhere else goes to uWSGI's default: the first that was loaded.
        draft.put("app", *next(iter(mounts.values())))
    elif not any(problem.key == "mount" for problem in draft.problems):
        draft.lacks(
            "module",
            "no application is named",
            "write module = blog.wsgi:application, or wsgi-file = blog.py",
        )
    if root is not None:
        draft.remark(root[1], Support.IGNORED, "an application is at / already")
    if mounts:
        draft.put_table("mounts", mounts)
    _judge_choice(draft, [taken for _, taken in mounts.values()])


def _judge_choice(draft: Draft, mounted: Sequence[Taken]) -> None:
    """Say by what an application is chosen: without manage-script-name uWSGI never looks at
    the path, and what is mounted is reached by a front end's SCRIPT_NAME alone."""
    managed = draft.last("manage-script-name")
    if managed is not None and truth(managed.value):
        draft.remark(managed, Support.SATISFIED, _BY_PATH)
        return
    if managed is not None:
        draft.remark(managed, Support.IGNORED, f"it cannot be turned off: {_BY_PATH}")
    for taken in mounted:
        said = draft.verdict_of(taken.place)
        if said is not None and said[0] is Support.SUPPORTED:
            draft.remark(taken, Support.SUPPORTED, f"{said[1]}; {_NOT_ONLY_BY_NAME}")


def _mounts(draft: Draft, base: str, name: str) -> dict[str, tuple[str, Taken]]:
    """Return what is mounted, by prefix, without a slash at its end; the first one counts."""
    found: dict[str, tuple[str, Taken]] = {}
    for taken in draft.all("mount"):
        prefix, separator, what = taken.value.partition("=")
        prefix, what = prefix.strip().rstrip("/"), what.strip()
        if not separator or not what:
            draft.wrong(taken, f"{quoted(taken.value)} mounts nothing", "write /shop=shop.wsgi:app")
        elif prefix and not prefix.startswith("/"):
            write = f"write mount = /{prefix}={what}; a host has a file of its own"
            draft.doubt(taken, f"no path begins so, and nothing is mounted: {write}")
        elif prefix in found:
            draft.remark(taken, Support.IGNORED, f"{prefix or '/'} is mounted already")
        elif what.endswith(_FILE_ENDS):
            found[prefix] = (f"{resolved(what, base)}:{name}", taken)
        elif ":" in what:
            found[prefix] = (what, taken)
        else:
            problem = f"{quoted(what)} is neither a file nor MODULE:CALLABLE"
            draft.wrong(taken, problem, f"write {prefix}={what.partition('.')[0]}:{name}")
    return found


def put_surroundings(draft: Draft, base: str, folder: str, glob: Glob) -> None:
    """Set the interpreter, the import path and the environment."""
    home = draft.last("home", "virtualenv", "venv", "pyhome")
    if home is not None:
        draft.put("python", _absolute(home.value, base), home)
    # Each goes before all that is there: the last one counts first.
    first: list[tuple[str, Taken]] = []
    for taken in draft.all("pythonpath", "python-path", "pp"):
        path = resolved(taken.value, base)
        found = glob(path) if _GLOB.search(taken.value) else [path]
        if len(first) + len(found) > _PATHS_MAX:
            text = f"more than {_PATHS_MAX} folders: write fewer, which count in their order"
            draft.doubt(taken, text)
        elif taken.value.startswith("~"):
            draft.doubt(taken, "~ is a folder of that name, as in uWSGI: write the whole path")
        room = _PATHS_MAX - len(first)
        first[:0] = [(resolved(match, base), taken) for match in reversed(found[:room])]
    last: list[tuple[str, Taken]] = []
    variables = _environment(draft)
    for name, (text, taken) in list(variables.items()):
        if name == "PYTHONPATH":
            del variables[name]
            last += [(_absolute(path, base), taken) for path in filter(None, text.split(":"))]
        elif name == "PYTHONHOME":
            del variables[name]
            if home is None:
                draft.put("python", _absolute(text, base), taken)
    paths = [path for path, _ in first]
    late = draft.all("chdir2") if not draft.all("chdir") else []
    if late:
        paths.append(folder)  # where uWSGI still is when it imports the application
    elif last:
        paths.append(base)  # which comes before what the interpreter finds by itself
    paths += [path for path, _ in last]
    if paths:
        draft.put("pythonpath", paths, *(taken for _, taken in first + last), *late[-1:])
    if variables:
        draft.put_table("env", variables)


def _environment(draft: Draft) -> dict[str, tuple[str, Taken]]:
    found: dict[str, tuple[str, Taken]] = {}
    for taken in draft.all("env", "unenv"):
        name, separator, text = taken.value.partition("=")
        if not name:
            draft.remark(taken, Support.UNSUPPORTED, "no variable has this name; write NAME=VALUE")
            continue
        earlier = found.pop(name, None)
        if earlier is not None:
            draft.overruled(earlier[1], taken)
        if separator and taken.name == "env":
            found[name] = (text, taken)
        else:
            draft.remark(taken, Support.SATISFIED, f"{name} is not in the environment")
    return found


def _absolute(path: str, base: str) -> str:
    # "~" is for our parser to refuse.
    return path if path.startswith("~") or not path else resolved(path, base)

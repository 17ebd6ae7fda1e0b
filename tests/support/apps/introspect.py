"""Tells what an application can see of the interpreter that it runs in."""

import json
import os
import sys


def application(environ, start_response):
    """Answer with one JSON object."""
    ours = [
        name
        for name, module in list(sys.modules.items())
        if getattr(getattr(module, "__spec__", None), "origin", None) == "emperord"
        or type(getattr(module, "__loader__", None)).__module__.startswith("_emperord")
    ]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = json.dumps(
        {
            "version": list(sys.version_info[:3]),
            "executable": sys.executable,
            "prefix": sys.prefix,
            "path": sys.path,
            "modules": sorted(sys.modules),
            "ours": ours,
            "main": sorted(vars(sys.modules["__main__"])),
            "argv": sys.argv,
            "environ": dict(os.environ),
            "fds": {fd: _target(fd) for fd in os.listdir("/proc/self/fd")},
            "cwd": os.getcwd(),
            "body": environ["wsgi.input"].read(length).decode(),
        }
    ).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


def _target(fd):
    try:
        return os.readlink("/proc/self/fd/" + fd)
    except OSError:
        return ""

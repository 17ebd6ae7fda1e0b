"""The module that `import uwsgidecorators` gives.

A decorator whose feature is not on lets the site load, and says in its log which function will not
run and what to use: in the file, cron and spooler are no more than a remark either. Where uWSGI
fails, so does this: @spool without a spooler in the file. What is called to do something, or to
return something, is a clear error where it is called, so that nothing is lost in silence. Without
mules uWSGI takes a function for them and never calls it, and nobody has to be told.
"""

from __future__ import annotations

import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List

    from .module import UwsgiModule

_ON_SIGNALS = {
    "timer": "add_timer",
    "rbtimer": "add_rb_timer",
    "cron": "add_cron",
    "signal": "register_signal",
    "filemon": "add_file_monitor",
}
"""Decorators by what they call in uWSGI, which is not there."""

_OF_MULES = ("mule", "muleloop", "mulemsg", "farm")
_SPOOLS = ("spool", "spoolforever", "spoolraw")


def decorators_for(uwsgi: UwsgiModule) -> types.ModuleType:
    """Return the decorators over this `uwsgi`."""
    module = types.ModuleType("uwsgidecorators", __doc__)
    hooks: List[Callable[[], Any]] = []

    def run_hooks() -> None:
        for hook in hooks:
            hook()

    def postfork(function: Any, *_: Any) -> Any:
        """Call the function in every worker that was just forked."""
        if callable(function):
            hooks.append(function)
            uwsgi.post_fork_hook = run_hooks
            return function
        # @postfork(1): in that worker only; @postfork(0): in all of them.
        wanted = int(function)

        def only(chosen: Callable[[], Any]) -> Callable[[], Any]:
            return postfork(lambda: chosen() if is_meant() else None) and chosen

        def is_meant() -> bool:
            return wanted <= 0 or uwsgi.worker_id() == wanted

        return only

    def thread(function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what runs the function in a thread, and returns the function, as in uWSGI; with
        @postfork above it, in every worker."""

        def start(*args: Any) -> Callable[..., Any]:
            import threading

            threading.Thread(target=function, args=args, daemon=True).start()
            return function

        return _named_as(function, start)

    def lock(function: Callable[..., Any]) -> Callable[..., Any]:
        """Let one worker at a time run the function."""

        def alone(*args: Any, **kwargs: Any) -> Any:
            uwsgi.lock()
            try:
                return function(*args, **kwargs)
            finally:
                uwsgi.unlock()

        return _named_as(function, alone)

    def rpc(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Let uwsgi.rpc find the function by this name."""

        def registered(function: Callable[..., Any]) -> Callable[..., Any]:
            uwsgi.register_rpc(name, function)
            return function

        return registered

    def harakiri(seconds: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Give the function so many seconds of the request."""

        def bounded(function: Callable[..., Any]) -> Callable[..., Any]:
            def within(*args: Any, **kwargs: Any) -> Any:
                uwsgi.set_user_harakiri(seconds)
                try:
                    return function(*args, **kwargs)
                finally:
                    uwsgi.set_user_harakiri(0)

            return _named_as(function, within)

        return bounded

    def why_not(needs: str) -> str:
        """Return what is said of a name that `uwsgi` does not have."""
        try:
            getattr(uwsgi, needs)
        except AttributeError as error:
            return str(error)
        return ""

    def refuse(name: str, needs: str) -> None:
        raise RuntimeError("uwsgidecorators.%s: %s" % (name, why_not(needs)))

    def refusing(name: str, needs: str) -> Callable[..., Any]:
        return lambda *_, **__: refuse(name, needs)

    def warn(name: str, function: Any, needs: str) -> None:
        named = "%s.%s" % (
            getattr(function, "__module__", "?"),
            getattr(function, "__qualname__", type(function).__name__),
        )
        uwsgi.log("uwsgidecorators: @%s: %s will not run: %s" % (name, named, why_not(needs)))

    def idle(name: str, needs: str, tells: bool) -> Callable[..., Any]:
        """Return a decorator with arguments that leaves the function as it is."""

        def accept(*_: Any, **__: Any) -> Callable[[Any], Any]:
            def leave(function: Any) -> Any:
                if tells:
                    warn(name, function, needs)
                return function

            return leave

        return accept

    def mulefunc(function: Any) -> Any:
        """Return what would send the call to a mule."""
        if not callable(function):  # @mulefunc(1): by that mule
            return mulefunc
        if has_mules:
            warn("mulefunc", function, "mule_msg")
        return _named_as(function, refusing("mulefunc", "mule_msg"))

    def spool_decorator(name: str) -> Callable[..., Any]:
        def decorate(function: Any = None, *_: Any, **__: Any) -> Any:
            """Return what would send the call to the spooler."""
            if "spooler" not in uwsgi.opt:
                refuse(name, "spool")
            if not callable(function):  # @spool(pass_arguments=True)
                return decorate
            warn(name, function, "spool")
            sends = _named_as(function, refusing(name, "spool"))
            sends.spool = function.spool = sends  # type: ignore[attr-defined]
            return sends

        return decorate

    has_mules = any(name in uwsgi.opt for name in ("mule", "mules", "farm"))
    found = {"postfork": postfork, "thread": thread, "lock": lock, "rpc": rpc, "harakiri": harakiri}
    found["mulefunc"] = mulefunc
    found["get_free_signal"] = refusing("get_free_signal", "register_signal")
    for name in _OF_MULES:
        found[name] = idle(name, "mule_msg", has_mules)
    for name, needs in _ON_SIGNALS.items():
        found[name] = idle(name, needs, True)
    for name in (*_SPOOLS, "spool_decorate"):
        found[name] = spool_decorator(name)
    for name, function in found.items():
        setattr(module, name, function)
    return module


def _named_as(function: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """Return `other` under the name of the function: frameworks tell views by it."""
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(other, attribute, getattr(function, attribute, None) or "")
    return other

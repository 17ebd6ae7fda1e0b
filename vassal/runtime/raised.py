"""Tells on the application's sys.stderr what became of a request that raised."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .wire.request import Request


def name_of(request: Request) -> str:
    """Return method and URI as a line of the log may hold them."""
    return "%s %s" % (request.method.decode("latin-1"), ascii(request.uri.decode("latin-1")))


def say(request: Request, what: str) -> None:
    """Write a line about a request to sys.stderr."""
    try:
        sys.stderr.write("%s: %s\n" % (name_of(request), what))
    except Exception:  # see report()
        pass


def report(error: BaseException, request: Request) -> None:
    """Write the traceback to sys.stderr, without our own frames."""
    title = name_of(request) + " failed:\n"
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__:
        trace = trace.tb_next
    try:
        sys.stderr.write(title)
        # The excepthook of the interpreter: in C, it needs no traceback module. It prints the
        # exception's own traceback, whatever it is given as a third.
        sys.__excepthook__(type(error), error.with_traceback(trace), trace)
        sys.stderr.flush()
    except Exception:
        # sys.stderr is the application's: it may be None, closed, or an object that fails. The
        # response, and the worker, must not be lost with it. Not to descriptor 2, which may be
        # a client's by now.
        try:
            from traceback import print_exception

            sys.__stderr__.write(title)  # type: ignore[union-attr]
            print_exception(type(error), error, trace, file=sys.__stderr__)
        except Exception:
            pass

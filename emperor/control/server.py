"""Serves the control API: HTTP and JSON on a unix socket that everyone may connect to.

Who may do what is decided per connection by SO_PEERCRED, so the socket's mode protects
nothing. The paths and answers are described in routes; the limits in connections.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from emperor.control.answers import ApiError, error_answer
from emperor.control.client import SOCKET_NAME
from emperor.control.connections import CLIENT_TIMEOUT_S, Doorkeeper, Refusal, Register
from emperor.control.routes import CURRENT_GUARD, Routes, as_api_error
from emperor.control.throttle import Throttle
from emperor.logfmt import Log
from emperor.status import Steering

BODY_BYTES_MAX = 64 * 1024
LINE_BYTES_MAX = 8 * 1024
BACKLOG = 1024
REFUSAL_LOG_INTERVAL_S = 10.0
TRACEBACK_CHARS = 1500
"""The end of it: a log line has no room for all, and the end says what happened."""

_SHUTDOWN_S = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlServer:
    """The control API of one emperor at RUNTIME_DIR/control.sock.

    The caller makes sure that no other emperor uses the directory, and that only the
    emperor's user can write to it.
    """

    def __init__(
        self,
        steering: Steering,
        runtime_dir: Path,
        log: Log,
        client_timeout_s: float = CLIENT_TIMEOUT_S,
    ) -> None:
        self._path = runtime_dir / SOCKET_NAME
        self._log = log
        self._client_timeout_s = client_timeout_s
        self._emperor_uid = os.geteuid()
        self._routes = Routes(steering, log)
        self._register = Register()
        self._throttle = Throttle()
        self._refusals = 0
        self._refusals_logged_at = -REFUSAL_LOG_INTERVAL_S
        self._listener: socket.socket | None = None
        self._inode = 0
        self._doorkeeper: Doorkeeper | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Bind and serve; raise OSError when the socket cannot be bound."""
        application = web.Application(
            middlewares=[self._middleware], client_max_size=BODY_BYTES_MAX
        )
        application.add_routes(self._routes.table())
        self._runner = web.AppRunner(
            application,
            handler_cancellation=True,  # a stream nobody reads must end
            shutdown_timeout=_SHUTDOWN_S,
            access_log=None,
            logger=_silent_logger(),
            keepalive_timeout=self._client_timeout_s,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
        )
        await self._runner.setup()
        assert self._runner.server is not None
        self._doorkeeper = Doorkeeper(
            self._runner.server,
            self._register,
            self._emperor_uid,
            self._refused,
            self._client_timeout_s,
        )
        self._listener = bind_atomically(self._path)
        self._inode = self._path.stat().st_ino
        self._accepting = asyncio.create_task(self._doorkeeper.run(self._listener))

    async def stop(self) -> None:
        """Answer what was asked, end the streams, and remove the socket."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        if self._listener is not None:
            self._unlink_socket()
            await self._admit_last(self._listener)
            self._listener.close()
        self._routes.end_streams()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _admit_last(self, listener: socket.socket) -> None:
        """Let in who has connected already: closing the socket would reset them."""
        if self._doorkeeper is not None:
            with contextlib.suppress(OSError):
                await self._doorkeeper.admit_waiting(listener, BACKLOG)

    def _unlink_socket(self) -> None:
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except FileNotFoundError:
            pass

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guard = self._register.guard_of(request.transport)
        if guard is None:
            raise asyncio.CancelledError  # the client is gone: nobody to answer
        CURRENT_GUARD.set(guard)
        try:
            await request.read()  # no route wants a body, but it must be gone from the wire
            guard.wait_on_emperor()
            if not guard.caller.is_trusted:
                now = asyncio.get_running_loop().time()
                await asyncio.sleep(self._throttle.delay(guard.caller.uid, now))
            return await handler(request)
        except web.HTTPException as error:
            return error_answer(_from_http(request, error))
        except Exception as error:
            known = as_api_error(error, request.match_info.get("name", ""))
            if known is None:
                known = self._unexpected(request, error)
            return error_answer(known)
        finally:
            guard.wait_on_client()

    def _unexpected(self, request: web.Request, error: Exception) -> ApiError:
        self._log.error(
            "control_request_failed",
            method=request.method,
            path=request.path,
            error=f"{type(error).__name__}: {error}",
            traceback="".join(traceback.format_exception(error))[-TRACEBACK_CHARS:],
        )
        return ApiError(500, "the emperor made a mistake", "Its log says which.")

    def _refused(self, refusal: Refusal) -> None:
        # Anyone on the machine can cause these, thousands a second: one line for all.
        self._refusals += 1
        now = asyncio.get_running_loop().time()
        if now - self._refusals_logged_at < REFUSAL_LOG_INTERVAL_S:
            return
        self._log.warning(
            "control_connection_refused",
            uid=refusal.uid,
            reason=refusal.reason,
            count=self._refusals,
        )
        self._refusals, self._refusals_logged_at = 0, now


def bind_atomically(path: Path) -> socket.socket:
    """Return a listening socket at `path`, in the place of whatever socket was there.

    It appears by rename, ready and with its mode: no client ever finds it half made.
    """
    new = path.with_name(".control.new")
    new.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        try:
            listener.bind(os.fspath(new))
        except OSError as error:
            if error.errno is None:  # the socket module's own: longer than 107 bytes
                what = f"{path}: too long for a socket; choose a shorter runtime directory"
                raise OSError(errno.ENAMETOOLONG, what) from error
            raise
        new.chmod(0o666)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        new.rename(path)
    except BaseException:
        listener.close()
        raise
    return listener


def _from_http(request: web.Request, error: web.HTTPException) -> ApiError:
    if error.status == 404:
        return ApiError(404, f"no such path: {request.path[:200]}", "The API begins at /v1/status")
    if error.status == 405:
        allowed = error.headers.get("Allow", "")
        return ApiError(405, f"{request.method} is not for this path", f"Use: {allowed}")
    if error.status == 413:
        return ApiError(413, f"a body of more than {BODY_BYTES_MAX} bytes", "Send no body.")
    return ApiError(error.status, error.reason, "See the documentation of the control API.")


def _silent_logger() -> logging.Logger:
    """Return aiohttp's logger, turned off: clients could fill the disk with bad requests."""
    logger = logging.getLogger("emperor.control")
    logger.disabled = True
    return logger

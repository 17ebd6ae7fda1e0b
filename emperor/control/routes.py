"""What each route of the control API does. Every route asks authorise first."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from contextvars import ContextVar
from typing import Any, BinaryIO, TypeVar

from aiohttp import web

from emperor.control import logtail
from emperor.control.answers import ApiError, Begun, encode, json_answer, unknown_vassal
from emperor.control.authorise import Caller, may_handle, may_see_event, visible_status
from emperor.control.connections import Guard
from emperor.logfmt import Log
from emperor.status import NotPossible, Steering, UnknownVassal

CURRENT_GUARD: ContextVar[Guard] = ContextVar("guard")
"""The guard of the connection that the current task answers, set by the server."""

LOG_LINES_DEFAULT = 100

T = TypeVar("T")


class Routes:
    """The handlers. `end_streams` makes the endless ones come to an orderly end."""

    def __init__(self, steering: Steering, log: Log) -> None:
        self._steering = steering
        self._log = log
        self._streams: set[asyncio.Task[object]] = set()
        self._questions: set[asyncio.Future[Any]] = set()
        self._ending = False

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/v1/status", self.status),
            web.get("/v1/vassals", self.vassals),
            web.get("/v1/vassals/{name}", self.vassal),
            web.post(
                "/v1/vassals/{name}/{action:reload|rollback|renew|restart|reopen|stop|start}",
                self.steer,
            ),
            web.get("/v1/vassals/{name}/explain", self.explain),
            web.get("/v1/vassals/{name}/logs", self.logs),
            web.get("/v1/events", self.events),
            web.post("/v1/reopen", self.reopen_all),
            web.post("/v1/upgrade", self.upgrade),
        ]

    def end_streams(self) -> None:
        """End every stream as if it had no more to say, and let no new one begin."""
        self._ending = True
        for task in self._streams:
            task.cancel()

    async def status(self, request: web.Request) -> web.Response:
        status = await self._undisturbed(self._steering.status())
        return json_answer(visible_status(_caller(), status, self._steering.owner_uid))

    async def vassals(self, request: web.Request) -> web.Response:
        status = await self._undisturbed(self._steering.status())
        visible = visible_status(_caller(), status, self._steering.owner_uid)
        return json_answer({"vassals": visible.vassals})

    async def vassal(self, request: web.Request) -> web.Response:
        name = self._authorised_name(request)
        return json_answer(await self._undisturbed(self._steering.vassal(name)))

    async def explain(self, request: web.Request) -> web.Response:
        name = self._authorised_name(request)
        return json_answer(await self._undisturbed(self._steering.explain(name)))

    async def steer(self, request: web.Request) -> web.Response:
        name = self._authorised_name(request)
        begun = await self._undisturbed(self._begin(request.match_info["action"], name))
        return json_answer(Begun(begun=begun), 202)

    async def reopen_all(self, request: web.Request) -> web.Response:
        """Open anew every log of a vassal that the caller may steer, for logrotate."""
        caller, owner_of = _caller(), self._steering.owner_uid
        count = 0
        for name in self._steering.names():
            if may_handle(caller, name, owner_of):
                with suppress(NotPossible, UnknownVassal):
                    await self._steering.reopen(name)
                    count += 1
        self._log.info("steered", action="reopen", uid=caller.uid, vassals=count)
        return json_answer(Begun(begun=f"opening {count} log{'' if count == 1 else 's'} anew"), 202)

    async def upgrade(self, request: web.Request) -> web.Response:
        caller = _caller()
        if not caller.is_trusted:
            raise ApiError(403, "only root and the emperor's user may upgrade it", "Ask the admin.")
        self._log.info("steered", action="upgrade", uid=caller.uid)
        return json_answer(Begun(begun=await self._steering.upgrade()), 202)

    async def logs(self, request: web.Request) -> web.StreamResponse:
        name = self._authorised_name(request)
        lines = _whole_number(request, "lines", LOG_LINES_DEFAULT, logtail.LINES_MAX)
        endless = _whole_number(request, "follow", 0, 1) == 1
        file = self._steering.open_log(name)
        try:
            logtail.seek_to_last_lines(file, lines)
            if not endless:
                with file:
                    return _text_answer(file)
        except OSError as error:
            file.close()
            raise ApiError(
                500, f"the log of {name} cannot be read: {error.strerror}", "See the emperor's log."
            ) from error

        def open_again() -> BinaryIO:
            # Asked again each time: the name may belong to someone else by now.
            if not may_handle(_caller(), name, self._steering.owner_uid):
                raise UnknownVassal(name)
            return self._steering.open_log(name)

        return await self._stream(request, "text/plain", logtail.follow(file, open_again))

    async def events(self, request: web.Request) -> web.StreamResponse:
        events = self._steering.events()  # before the head is sent: nothing is missed
        caller, owner_of = _caller(), self._steering.owner_uid

        async def lines() -> AsyncIterator[bytes]:
            async for event in events:
                if may_see_event(caller, event, owner_of):
                    yield encode(event)

        return await self._stream(request, "application/x-ndjson", lines())

    async def _stream(
        self, request: web.Request, content_type: str, chunks: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        """Send `chunks` as they come. A client that does not read is cut off."""
        if self._ending:
            raise ApiError(503, "the emperor is stopping", "Try again when it runs again.")
        response = web.StreamResponse()
        response.content_type = content_type
        response.charset = "utf-8" if content_type == "text/plain" else None
        task, guard = asyncio.current_task(), CURRENT_GUARD.get()
        assert task is not None
        self._streams.add(task)
        try:
            await response.prepare(request)
            async with aclosing(chunks):  # type: ignore[type-var]
                async for chunk in chunks:
                    guard.wait_on_client()
                    await response.write(chunk)
                    guard.wait_on_emperor()
                    # write() does not give way while the client keeps up.
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self._ending:
                raise
            task.uncancel()
        except UnknownVassal:
            pass  # removed in the meantime: that is the end
        except ConnectionError:
            pass  # the client left
        except Exception as error:
            # Half of the answer is out, so there is no other way to tell the client.
            self._log.error("control_stream_failed", path=request.path, error=repr(error))
            guard.cut_off()
        finally:
            self._streams.discard(task)
        return response

    def _authorised_name(self, request: web.Request) -> str:
        asked = request.match_info["name"]
        name = self._steering.is_now(asked)
        if not may_handle(_caller(), name, self._steering.owner_uid):
            raise unknown_vassal(asked)
        return name

    async def _begin(self, action: str, name: str) -> str:
        steering = self._steering
        actions: dict[str, Callable[[str], Awaitable[str]]] = {
            "reload": steering.reload,
            "rollback": steering.rollback,
            "renew": steering.renew,
            "restart": steering.restart,
            "reopen": steering.reopen,
            "stop": steering.stop,
            "start": steering.start,
        }
        uid = _caller().uid
        try:
            begun = await actions[action](name)
            await steering.passed_on(name)
        except Exception as error:
            # Here, because the client may be gone: then nobody else hears of it.
            what = str(error) if isinstance(error, NotPossible) else repr(error)
            self._log.warning("steering_failed", vassal=name, action=action, uid=uid, error=what)
            raise
        self._log.info("steered", vassal=name, action=action, uid=uid)
        return begun

    async def _undisturbed(self, question: Coroutine[Any, Any, T]) -> T:
        """Await `question`, and let it finish even if the client hangs up meanwhile.

        The emperor's own steps must not be cancelled halfway by whoever asked.
        """
        task = asyncio.ensure_future(question)
        self._questions.add(task)  # the loop itself keeps no strong reference
        task.add_done_callback(self._questions.discard)
        return await asyncio.shield(task)


def as_api_error(error: Exception, name: str) -> ApiError | None:
    """Return the answer for what Steering raises; None for what it should not raise.

    `name` is the vassal that was asked for, "" if it was the emperor itself.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, UnknownVassal):
        return unknown_vassal(name)
    if isinstance(error, NotPossible):
        usual = f"Run: emperor explain {name}" if name else "Mend it, then ask again."
        return ApiError(409, str(error), error.remedy or usual)
    return None


def _caller() -> Caller:
    return CURRENT_GUARD.get().caller


def _whole_number(request: web.Request, key: str, default: int, largest: int) -> int:
    text = request.query.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= largest):
        raise ApiError(
            400, f"{key}={text[:40]}: not a whole number from 0 to {largest}", f"Write {key}=1"
        )
    return int(text)


def _text_answer(file: BinaryIO) -> web.Response:
    # What is appended while we read is not waited for: the file may grow faster than that.
    rest = max(0, os.fstat(file.fileno()).st_size - file.tell())
    body = file.read(min(rest, logtail.TAIL_BYTES_MAX))
    return web.Response(body=body, content_type="text/plain", charset="utf-8")

"""Has tenants' files parsed by a process that has nothing to lose; the emperor's side.

A file may be made to crash, hang or fill its parser: that costs its owner an error, and
nobody else anything. The process is started with the first file, and again when it dies.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time

import msgspec

from emperor.config.policy import seen_by
from emperor.config.problems import ConfigError, Problem, printable
from emperor.config.settings import EmperorSettings, Owner, VassalSettings
from emperor.parsing.asking import Asking, NoReplyError
from emperor.parsing.located import Lines
from emperor.parsing.protocol import (
    ANSWER_BYTES_MAX,
    REQUEST_BYTES_MAX,
    STARTED,
    Located,
    NoAnswer,
    Request,
    Result,
    decode_answer,
    encode_request,
)
from emperor.uwsgi.host import Facts, Host
from emperor.uwsgi.questions import Question
from vassal import packets

PARSE_S = 2.0
"""A file's parser is killed after this time. Honest files take a few milliseconds."""

ANSWER_S = 6.0
"""Without an answer for so long, the process itself is stuck and is started anew."""

ATTEMPTS = 2
AT_ONCE = 8

QUESTIONS_MAX = 64
QUESTIONS_S = 10.0
"""A file of uWSGI's that includes more, or takes longer, is refused."""

PATH_SHOWN_MAX = 200


class _ZygoteStuckError(Exception):
    """No child was born for the request."""


class ParserProcess:
    """The parser of tenants' files. `close` it."""

    def __init__(
        self,
        settings: EmperorSettings,
        parse_s: float = PARSE_S,
        answer_s: float = ANSWER_S,
        questions_s: float = QUESTIONS_S,
    ) -> None:
        self._settings = settings
        self._parse_s = parse_s
        self._answer_s = answer_s
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asking = Asking()
        self._questions_s = questions_s
        self._closed = False

    @property
    def pid(self) -> int:
        """The process's pid; 0 = none runs."""
        return self._process.pid if self._process else 0

    async def parse(
        self, name: str, text: str, file: str, folder: str, owner: Owner
    ) -> VassalSettings | ConfigError:
        """Return what load_vassal would. Never raises for a file, and always returns."""
        result = await self._result(self._request(name, text, file, folder, owner))
        return _settings(result, file)

    async def parse_uwsgi(
        self, name: str, text: str, file: str, owner: Owner, host: Host, facts: Facts
    ) -> VassalSettings | ConfigError:
        """Return what load_uwsgi would. Never raises for a file, and always returns.

        `host` answers in a thread of its own; it must answer as the file's owner would be.
        """
        request = self._request(name, text, file, file.rpartition("/")[0], owner)
        request = msgspec.structs.replace(request, facts=facts)
        return _settings(await self._until_settled(request, host), file)

    async def locate(
        self,
        keys: tuple[str, ...],
        name: str,
        text: str,
        file: str,
        owner: Owner,
        host: Host | None = None,
        facts: Facts | None = None,
    ) -> Lines:
        """Return where in a file that was read before these keys are, as far as that is known.

        `host` and `facts` are there for one in uWSGI's dialect.
        """
        request = self._request(name, text, file, file.rpartition("/")[0], owner)
        request = msgspec.structs.replace(request, facts=facts, keys=keys)
        if host is None:
            result = await self._result(request)
        else:
            result = await self._until_settled(request, host)
        return result.lines if isinstance(result, Located) else {}

    async def _until_settled(self, request: Request, host: Host) -> Result:
        """Return what a file of uWSGI's comes to, with all that it wants to know answered."""
        file = request.file
        give_up_at = time.monotonic() + self._questions_s
        for _ in range(QUESTIONS_MAX):
            result = await self._result(request)
            if not isinstance(result, Question):
                return result
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                break
            try:
                found = await self._asking.ask(request.owner.name, host, result, left_s)
            except NoReplyError as error:
                where = printable(str(error)[:PATH_SHOWN_MAX])
                return _refused(file, f"{where} does not answer", "name files that can be read")
            if found is None:
                break
            request = msgspec.structs.replace(request, answers=(*request.answers, found))
        return _refused(file, "it asks for too much of the machine", "include fewer files")

    def _request(self, name: str, text: str, file: str, folder: str, owner: Owner) -> Request:
        return Request(
            name=name,
            text=text,
            file=file,
            folder=folder,
            emperor=seen_by(self._settings, owner),
            owner=owner,
        )

    async def _result(self, request: Request) -> Result:
        file = request.file
        data = encode_request(request)
        if len(data) > REQUEST_BYTES_MAX:
            return _refused(file, "the file is too large", "write a smaller one")
        async with self._slots:
            answer = await self._ask(data)
        if answer is None:
            return _refused(file, "the parser could not be started", "see the emperor's log")
        if not answer:
            return _refused(
                file,
                f"reading the file takes more than {self._parse_s:g} s or too much memory",
                "write fewer and shorter keys",
            )
        try:
            return decode_answer(answer, request)
        except NoAnswer as error:
            return _refused(file, f"the parser's answer is not usable: {error}", "tell the admin")

    async def close(self) -> None:
        """End the process; whoever still waits for an answer gets a refusal."""
        self._closed = True
        self._discard()

    async def _ask(self, data: bytes) -> bytes | None:
        """Return the answer, b"" when the child died over it, None when there was no child."""
        for _ in range(ATTEMPTS):
            if self._closed:
                return None
            control = self._control
            try:
                control = control or self._start()
                return await self._ask_once(control, data)
            except (_ZygoteStuckError, OSError):
                # Another request may have started a new one meanwhile.
                if control is self._control:
                    self._discard()
        return None

    async def _ask_once(self, control: socket.socket, data: bytes) -> bytes:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            ours.setblocking(False)
            with theirs:
                packets.send(control, b"parse", [theirs.fileno()])
            try:
                async with asyncio.timeout(self._answer_s):
                    answer = await _converse(ours, data)
            except TimeoutError:
                raise _ZygoteStuckError from None
        if not answer.startswith(STARTED):
            raise _ZygoteStuckError
        return answer.removeprefix(STARTED)

    def _start(self) -> socket.socket:
        ours, theirs = packets.pair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-I",
                        "-m",
                        "emperor.parsing.zygote",
                        str(self._parse_s),
                    ],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    # Nothing of the emperor's environment is a tenant's business.
                    env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        self._control = ours
        return ours

    def _discard(self) -> None:
        control, process = self._control, self._process
        self._control = self._process = None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()


async def _converse(stream: socket.socket, data: bytes) -> bytes:
    """Send the request and return all that comes back until the end."""
    loop = asyncio.get_running_loop()
    answer = b""
    try:
        await loop.sock_sendall(stream, data)
        stream.shutdown(socket.SHUT_WR)
        while len(answer) <= ANSWER_BYTES_MAX + len(STARTED):
            part = await loop.sock_recv(stream, 65536)
            if not part:
                break
            answer += part
    except (BrokenPipeError, ConnectionResetError):
        pass  # the child is gone; what it said is what there is
    return answer


def _settings(result: Result, file: str) -> VassalSettings | ConfigError:
    if isinstance(result, VassalSettings | ConfigError):
        return result
    return _refused(file, "the parser answers what it was not asked", "tell the admin")


def _refused(file: str, problem: str, remedy: str) -> ConfigError:
    return ConfigError([Problem(file=file, line=1, key="file", problem=problem, remedy=remedy)])

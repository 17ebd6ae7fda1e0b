"""Where a uWSGI file listens, and by which protocol. Pure."""

import posixpath
import re

from emperor.config.problems import Invalid, quoted
from emperor.config.values import DURATION_MAX, resolved
from emperor.uwsgi.draft import Draft, Taken
from emperor.uwsgi.rows import Support
from emperor.uwsgi.values import is_bare, is_number, socket_mode, truth

_PROTOCOLS = {
    "uwsgi-socket": "uwsgi",
    "http-socket": "http",
    "http11-socket": "http",
    "http": "http",
    "httprouter": "http",
    "fastcgi-socket": "fastcgi",
    "scgi-socket": "scgi",
}
_NAMES = {"uwsgi": "uwsgi", "http": "http", "http11": "http", "fastcgi": "fastcgi", "scgi": "scgi"}
_ROUTERS = ("http", "httprouter")
_ANY_PORT = re.compile(r"[^/]*:0+")
_REFERENCE = re.compile(r"=(\d{1,3})")
_QUEUE_MAX = 65535
_ELSEWHERE = "write a path like /run/emperor/blog.sock, or 127.0.0.1:8000"


def put_listeners(draft: Draft, base: str) -> None:
    """Set listen. A shared socket becomes an address where another option names it, as =0."""
    usual = _usual_protocol(draft)
    shared = draft.all("shared-socket", "undeferred-shared-socket")
    named: set[int] = set()
    urls: list[str] = []
    sources: list[Taken] = []
    found = draft.all("socket", *_PROTOCOLS)
    left_out = 0
    for taken in found:
        protocol = _PROTOCOLS.get(taken.name, usual)
        reference = _REFERENCE.fullmatch(taken.value.strip())
        address = taken.value
        if reference is not None:
            number = int(reference.group(1))
            if number >= len(shared):
                problem = f"there is no shared-socket {number}"
                draft.wrong(taken, problem, "write shared-socket = ADDRESS, or the address here")
                continue
            address = shared[number].value
            named.add(number)
        if taken.name in _ROUTERS:
            address, _, target = address.partition(",")
            if target and not any(_is_target(each, target) for each in found):
                text = f"requests would go on to {quoted(target)}: let a web server do that"
                draft.remark(taken, Support.UNSUPPORTED, text)
                left_out += 1
                continue
        if _ANY_PORT.fullmatch(address.strip()):
            text = "port 0 is any that is free, where nobody would come: write a port"
            draft.remark(taken, Support.UNSUPPORTED, text)
            left_out += 1
            continue
        url = draft.read(taken, lambda _, a=address, p=protocol: url_of(a, p, base))  # type: ignore[misc]
        if url is not None:
            urls.append(url)
            sources.append(taken)
    for number, taken in enumerate(shared):
        if number in named:
            draft.remark(taken, Support.SUPPORTED, "listen, by the option that names it")
        else:
            draft.remark(
                taken, Support.IGNORED, f"no socket names it: write http-socket = ={number}"
            )
    if urls:
        draft.put("listen", urls, *sources)
    elif len(found) == left_out:
        draft.lacks(
            "socket",
            "there is no socket",
            "write socket = /run/emperor/blog.sock, or http-socket = 127.0.0.1:8000",
        )


def _is_target(taken: Taken, target: str) -> bool:
    """Return whether the router's target is a socket of the application's own."""
    return taken.name in ("socket", "uwsgi-socket") and taken.value.strip() == target.strip()


def _usual_protocol(draft: Draft) -> str:
    taken = draft.last("protocol", "socket-protocol")
    if taken is None:
        return "uwsgi"
    protocol = _NAMES.get(taken.value)
    if protocol is None:
        problem = f"{quoted(taken.value)} is not spoken here"
        draft.wrong(taken, problem, "write uwsgi, http, fastcgi or scgi")
        return "uwsgi"
    draft.remark(taken, Support.SUPPORTED, f"listen: socket is {protocol}")
    return protocol


def url_of(address: str, protocol: str, base: str) -> str:
    """Return the URL of an address as uWSGI writes it; a relative path starts from `base`."""
    address = address.strip()
    if not address:
        raise Invalid("is empty", _ELSEWHERE)
    if address.startswith(("@", "\\0")):
        name = address.removeprefix("@").removeprefix("\\0")
        return f"{protocol}+unix://@{name}%00"  # for its routers, which connect to that
    if address.startswith("fd://"):
        raise Invalid(f"{quoted(address)}: the emperor binds sockets itself", _ELSEWHERE)
    if "," in address:
        raise Invalid(f"{quoted(address)} is more than an address", _ELSEWHERE)
    if ":" not in address or address.startswith("/"):
        # Our loader takes no "..": behind a symbolic link it means another folder than it says.
        return f"{protocol}+unix://{posixpath.normpath(resolved(address, base))}"
    host, _, port = address.rpartition(":")
    if host == "*":
        host = ""  # all addresses are meant, though uWSGI takes the first that it finds
    elif "*" in host:
        raise Invalid(f"{quoted(address)} is a pattern", f"write one address, or :{port} for all")
    return f"{protocol}://{host}:{port}"


def put_socket_rights(draft: Draft) -> None:
    """Set who may connect, how long the queue is, and how long and large a request may be."""
    mode, owner = draft.last("chmod-socket", "chmod"), draft.last("chown-socket")
    digits = draft.read(mode, socket_mode)
    urls = draft.document().values.get("listen")
    if isinstance(urls, list) and all("+unix://@" in url for url in urls):
        for taken in (mode, owner):
            if taken is not None:
                draft.remark(taken, Support.IGNORED, "an abstract socket is everybody's")
        mode = owner = None
    if mode is not None and digits is not None:
        draft.put("socket.mode", digits, mode)
    if owner is not None:
        user, _, group = owner.value.strip().partition(":")
        if user:
            draft.put("socket.user", user, owner)
        if group:
            draft.put("socket.group", group, owner)
    queue = draft.last("listen")
    length = draft.number(queue, 0, _QUEUE_MAX)
    if queue is not None and length == 0:
        shown = "0" if is_number(queue.value) else f"{quoted(queue.value)} is no number, and 0"
        # uWSGI's would refuse who comes while another waits: nobody means that.
        draft.doubt(
            queue, f"{shown} is no queue: it has the usual length; write a number, like 100"
        )
    elif queue is not None and length is not None:
        draft.put("backlog", length, queue)
    longest = int(DURATION_MAX)
    _largest(draft, "socket_timeout", "socket-timeout", "http-timeout", bounds=(1, longest))
    _largest(draft, "max_head", "buffer-size", "http-buffer-size", bounds=(1024, 65535))
    body = draft.last("limit-post")
    most = draft.number(body)
    if body is not None and most is not None:
        draft.put("max_body", most, body)
    _put_keepalive(draft)


def _largest(draft: Draft, key: str, *names: str, bounds: tuple[int, int] | None = None) -> None:
    """Set one key of ours from options that are two in uWSGI: for its workers and its router."""
    found: list[tuple[int, Taken]] = []
    for name in names:
        taken = draft.last(name)
        amount = draft.number(taken)
        if taken is not None and amount:
            found.append((amount, taken))
        elif taken is not None and amount == 0:
            draft.remark(taken, Support.IGNORED, "0 means nothing here")
    if found:
        most = max(amount for amount, _ in found)
        if bounds is not None:
            most = min(max(most, bounds[0]), bounds[1])
        draft.put(key, most, *(taken for _, taken in found))


def _put_keepalive(draft: Draft) -> None:
    keepalive = draft.last("http-keepalive")
    if keepalive is None:
        return
    is_word = is_bare(keepalive.value) or not truth(keepalive.value)
    seconds = None if is_word else draft.number(keepalive, 0, int(DURATION_MAX))
    if seconds is not None and seconds > 1:
        draft.put("keepalive_timeout", seconds, keepalive)
    else:
        text = "HTTP/1.1 connections stay open for keepalive_timeout"
        draft.remark(keepalive, Support.SATISFIED, text)

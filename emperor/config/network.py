"""Parsers of listen URLs and host names, and which addresses exclude each other. Pure."""

import ipaddress
import posixpath
import re
from collections.abc import Sequence

from emperor.config.problems import Fault, Invalid, InvalidParts, described, quoted
from emperor.config.settings import ListenAddress
from emperor.config.values import each, text

PROTOCOLS = ("http", "uwsgi", "fastcgi", "scgi")
SOCKET_PATH_BYTES_MAX = 107
"""sun_path of unix(7) has 108 bytes, the last one for the NUL."""

HOST_MAX = 250
"""The name of a symlink HOST.sock has at most 255 bytes."""

_URL_EXAMPLE = '"http://127.0.0.1:8000"'
_LISTEN_EXAMPLE = f'{_URL_EXAMPLE} or "uwsgi+unix:///run/emperor/blog.sock"'
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FOREIGN = {"fcgi": "fastcgi", "tcp": "http", "unix": "http+unix", "uwsgi-socket": "uwsgi"}


def listen_addresses(value: object) -> tuple[ListenAddress, ...]:
    """Return all addresses of `listen`; a single string is an array of one."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise Invalid(
            f"{described(value)} is not an address",
            f'write "http://127.0.0.1:{described(value)}"; the queue\'s length is backlog',
        )
    urls = [value] if isinstance(value, str) else value
    if urls == []:
        raise Invalid("the list is empty", f"write listen = [{_URL_EXAMPLE}]")
    addresses = [listen_address(url) for url in each(urls, _checked_url, _LISTEN_EXAMPLE, 32)]
    return distinct(addresses, value)


def distinct(addresses: Sequence[ListenAddress], value: object) -> tuple[ListenAddress, ...]:
    """Return the addresses of `value`; raise Invalid when two of them exclude each other."""
    faults = []
    for index, address in enumerate(addresses):
        earlier = next((one for one in addresses[:index] if overlaps(address, one)), None)
        if earlier is not None:
            pair = f"{quoted(address.url)} and {quoted(earlier.url)} exclude each other"
            problem = pair if earlier != address else f"{quoted(address.url)} is in the list twice"
            place = () if isinstance(value, str) else (index,)
            faults.append(Fault(problem, "remove one of them", place))
    if faults:
        raise InvalidParts(faults)
    return tuple(addresses)


def _checked_url(value: object) -> str:
    return listen_address(value).url


def listen_address(value: object) -> ListenAddress:
    """Return the address of one URL: PROTOCOL://HOST:PORT, [PROTOCOL+]unix:///PATH, or
    [PROTOCOL+]unix://@NAME for an abstract socket, whose path is @NAME."""
    url = text(value, "an address", _LISTEN_EXAMPLE)
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise Invalid(f"{quoted(url)} has no protocol", f"write {_with_protocol(url)}")
    protocol, _, transport = scheme.lower().rpartition("+")
    if not protocol:
        protocol, transport = (transport, "") if transport != "unix" else ("http", "unix")
    if protocol in ("https", "http2", "h2"):
        plain = f"http{url[len(protocol) :]}"
        raise Invalid(
            f"{quoted(url)}: TLS is not spoken here", f"write {quoted(plain)} behind nginx"
        )
    if protocol not in PROTOCOLS or transport not in ("", "unix"):
        remedy = "write http, uwsgi, fastcgi or scgi, or one of them +unix"
        if protocol in _FOREIGN:
            remedy = f'write "{_FOREIGN[protocol]}://…"'
        raise Invalid(f"{quoted(url)}: unknown protocol {quoted(scheme)}", remedy)
    if transport == "unix":
        path = unix_path(url, f"{protocol}+unix", rest)
        return ListenAddress(url=url, protocol=protocol, path=path)
    host, port = host_and_port(url, protocol, rest.removesuffix("/"))
    return ListenAddress(url=url, protocol=protocol, host=host, port=port)


def _with_protocol(url: str) -> str:
    for prefix in ("unix:", "tcp:"):
        url = url.removeprefix(prefix)
    if url.startswith(("/", "@", ".")):
        path = url if url.startswith("/") else "/run/emperor/blog.sock"
        return f"{quoted(f'http+unix://{path}')} or {quoted(f'uwsgi+unix://{path}')}"
    if re.fullmatch(r"[0-9a-zA-Z.:\[\]-]*:[0-9]{1,5}", url):
        return f'"http://{url}" or "uwsgi://{url}"'
    return _LISTEN_EXAMPLE


def unix_path(url: str, scheme: str, rest: str) -> str:
    """Return the path of a socket, or @NAME for an abstract one, or raise Invalid.

    %00 at the end of NAME is a NUL: the names that uWSGI binds end with one.
    """
    if not rest.startswith("@"):
        return socket_path(url, scheme, rest)
    name = rest.removesuffix("%00")
    if len(name) > 1 and name.isprintable() and len(rest.encode()) <= SOCKET_PATH_BYTES_MAX:
        return name if name == rest else f"{name}\0"
    raise Invalid(f"{quoted(url)} is no name of a socket", f'write "{scheme}://@blog"')


def socket_path(url: str, scheme: str, path: str) -> str:
    """Return the one spelling of a socket's path, or raise Invalid."""
    if not path.startswith("/"):
        stem = path.lstrip("@./") or "blog.sock"
        raise Invalid(
            f"{quoted(url)}: the path of a socket begins with /",
            f'write "{scheme}:///{stem}"'
            if "/" in stem
            else f'write "{scheme}:///run/emperor/{stem}"',
        )
    if path.endswith("/"):
        raise Invalid(f"{quoted(url)} is a folder", f'write "{scheme}://{path}blog.sock"')
    if ".." in path.split("/"):
        raise Invalid(f'{quoted(url)} contains ".."', "write the path without it")
    # normpath keeps two leading slashes, as POSIX has it.
    normal = "/" + posixpath.normpath(path).lstrip("/")
    length = len(normal.encode())
    if length > SOCKET_PATH_BYTES_MAX:
        raise Invalid(
            f"the path of the socket has {length} bytes",
            f"write at most {SOCKET_PATH_BYTES_MAX}: the kernel takes no more",
        )
    return normal


def host_and_port(url: str, protocol: str, rest: str) -> tuple[str, int]:
    """Return the one spelling of HOST, "" = all addresses, and the port, or raise Invalid."""
    if re.search(r"[/?#@]", rest):
        raise Invalid(
            f"{quoted(url)}: an address ends with its port",
            f'write "{protocol}+unix://{rest}" for a unix socket'
            if rest.startswith("/")
            else f'write "{protocol}://{re.split("[/?#@]", rest)[0]}"',
        )
    host, separator, digits = rest.rpartition(":")
    bracketed = rest.endswith("]")
    if not separator or bracketed or not digits:
        shown = rest.rstrip(":") or "127.0.0.1"
        if ":" in shown and not shown.startswith("["):
            shown = f"[{shown}]"
        raise Invalid(f"{quoted(url)} has no port", f'write "{protocol}://{shown}:8000"')
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 1 <= int(digits) <= 65535:
        raise Invalid(f"{quoted(url)}: {quoted(digits)} is not a port", "write 1 to 65535")
    return _host(url, protocol, host, digits), int(digits)


def _host(url: str, protocol: str, host: str, digits: str) -> str:
    """Return "" (all addresses) or the one spelling of an IP address."""
    if host == "":
        return ""
    if host == "*":
        raise Invalid(f'{quoted(url)}: "*" is not an address', f'write "{protocol}://:{digits}"')
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        if host.startswith("[") and host.endswith("]"):
            return _ipv6(host[1:-1])
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        pass
    if ":" in host and not host.startswith("["):
        raise Invalid(
            f"{quoted(url)}: an IPv6 address stands in brackets",
            f'write "{protocol}://[{host}]:{digits}"',
        )
    raise Invalid(
        f"{quoted(url)}: {quoted(host)} is not an IP address",
        f'write "{protocol}://127.0.0.1:{digits}", or "{protocol}://:{digits}" for all addresses',
    )


def _ipv6(host: str) -> str:
    # A zone ("%eth0") is a number that may change with every boot.
    if "%" in host:
        raise ValueError(host)
    return str(ipaddress.IPv6Address(host))


def overlaps(one: ListenAddress, other: ListenAddress) -> bool:
    """Tell whether the kernel refuses to bind both: a wildcard covers its single addresses."""
    if one.path is not None or other.path is not None:
        return one.path == other.path
    if one.port != other.port:
        return False
    hosts = {one.host, other.host}
    if len(hosts) == 1 or "" in hosts:
        return True
    families = {":" in host for host in hosts}
    return len(families) == 1 and bool(hosts & {"0.0.0.0", "::"})


def host_names(value: object) -> tuple[str, ...]:
    """Return the normal form of every name; a single string is an array of one."""
    names = each(
        [value] if isinstance(value, str) else value, host_name, '["blog.example"]', length_max=256
    )
    faults = [
        Fault(f"{quoted(name)} is in the list twice", "remove one", (index,))
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    if faults:
        raise InvalidParts(faults)
    return tuple(names)


def host_name(value: object) -> str:
    """Return a host name in lower case without trailing dot: nginx's $host has this form.

    The name becomes a file name, so nothing but letters, digits, hyphens and single dots.
    """
    written = text(value, "a host name", '"blog.example"')
    name = written.lower().removesuffix(".")
    if "://" in name or "/" in name:
        raise Invalid(f"{quoted(written)} is not a host name", "write the name alone")
    if "*" in name:
        raise Invalid(f"{quoted(written)}: wildcards are not served", "write every name in full")
    if name.startswith("[") or name.count(":") > 1:
        raise Invalid(f"{quoted(written)} is an address", "write a name, or leave hosts out")
    if ":" in name:
        alone = quoted(name.partition(":")[0])
        raise Invalid(f"{quoted(written)} contains a port", f"write {alone} alone")
    if not name.isascii():
        raise Invalid(
            f"{quoted(written)} is not ASCII",
            'write its punycode form, like "xn--bcher-kva.example"',
        )
    if len(name) > HOST_MAX:
        raise Invalid(f"is {len(name)} characters long", f"write at most {HOST_MAX}")
    for label in name.split("."):
        if not _LABEL.fullmatch(label):
            raise Invalid(
                f"{quoted(written)}: {quoted(label)} is not a part of a host name",
                "use letters, digits and hyphens, 1 to 63 of them between two dots",
            )
    return name

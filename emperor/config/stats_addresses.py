"""Parser of the addresses at which statistics are told, in uWSGI's form. Pure."""

from emperor.config.network import distinct, host_and_port, unix_path
from emperor.config.problems import Invalid, quoted
from emperor.config.settings import ListenAddress
from emperor.config.values import each, text

STATS, STATS_HTTP = "stats", "stats-http"
"""Protocols: the bare object, and the same as an answer of HTTP."""

_EXAMPLE = '"tcp://127.0.0.1:9191" or "unix:///run/emperor/blog.stats"'


def stats_addresses(value: object) -> tuple[ListenAddress, ...]:
    """Return all addresses of `stats`; a single string is an array of one."""
    urls = [value] if isinstance(value, str) else value
    return distinct([stats_address(url) for url in each(urls, _checked, _EXAMPLE, 8)], value)


def _checked(value: object) -> str:
    return stats_address(value).url


def stats_address(value: object) -> ListenAddress:
    """Return the address of one URL; http:// and http+unix:// answer as HTTP.

    An abstract socket, unix://@NAME, has the path @NAME.
    """
    url = text(value, "an address", _EXAMPLE)
    scheme, separator, rest = url.partition("://")
    protocol = STATS_HTTP if scheme.startswith("http") else STATS
    if not separator or scheme not in ("tcp", "unix", "http", "http+unix"):
        raise Invalid(f"{quoted(url)} is no address for statistics", f"write {_EXAMPLE}")
    if scheme in ("tcp", "http"):
        if rest.startswith("/"):
            unix = "unix" if scheme == "tcp" else "http+unix"
            raise Invalid(f"{quoted(url)} has no port", f'write "{unix}://{rest}"')
        host, port = host_and_port(url, scheme, rest.removesuffix("/"))
        return ListenAddress(url=url, protocol=protocol, host=host, port=port)
    return ListenAddress(url=url, protocol=protocol, path=unix_path(url, scheme, rest))

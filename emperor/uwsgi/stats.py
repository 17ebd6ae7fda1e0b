"""Where a uWSGI file tells its statistics. Pure."""

import posixpath

from emperor.config.problems import Invalid, quoted
from emperor.config.values import resolved
from emperor.uwsgi.draft import Draft

_EXAMPLE = "write 127.0.0.1:9191, or a path"


def put_stats(draft: Draft, base: str) -> None:
    """Set stats."""
    taken = draft.last("stats", "stats-server")
    is_http = draft.is_on("stats-http")
    url = draft.read(taken, lambda address: stats_url(address, is_http, base))
    if taken is not None and url is not None:
        draft.put("stats", [url], taken)


def stats_url(address: str, is_http: bool, base: str) -> str:
    """Return the URL of an address as uWSGI writes it; a relative path starts from `base`."""
    address = address.strip()
    unix, tcp = ("http+unix", "http") if is_http else ("unix", "tcp")
    if address.startswith(("@", "\\0")):
        return f"{unix}://@{address.removeprefix('@').removeprefix(chr(92) + '0')}"
    if not address or "://" in address or "," in address:
        raise Invalid(f"{quoted(address)} is no address", _EXAMPLE)
    if ":" not in address or address.startswith("/"):
        return f"{unix}://{posixpath.normpath(resolved(address, base))}"
    host, _, port = address.rpartition(":")
    if "*" in host and host != "*":
        raise Invalid(f"{quoted(address)} is a pattern", _EXAMPLE)
    return f"{tcp}://{'' if host == '*' else host}:{port}"

"""Turns names of customers and vassals into paths of cgroups. Pure.

A path is relative to the delegated root: "tenants/c-CUSTOMER/a-APP". Different names
never give the same path, and none leads anywhere else.
"""

import hashlib
import string

SUPERVISOR = "supervisor"
TENANTS = "tenants"
MASTER = "master"
WORKLOAD = "workload"

CUSTOMER_PREFIX = "c-"
APP_PREFIX = "a-"

_PLAIN = frozenset((string.ascii_letters + string.digits + "_-").encode())
_ENCODED_MAX = 200  # NAME_MAX is 255, and a prefix comes before
_KEPT_OF_LONG = 120


def encoded(name: str) -> str:
    """Return the name in letters, digits and "_-.", everything else as %XX of its UTF-8.

    A dot stays as it is behind a plain character only, so that there is no "..". A name
    that is too long is cut and ends in "~" and its hash. Raises ValueError for "".
    """
    if not name:
        raise ValueError("a cgroup needs a name")
    data = name.encode("utf-8", "surrogateescape")
    pieces = []
    plain_before = False
    for byte in data:
        plain = byte in _PLAIN
        stays = plain or (byte == ord(".") and plain_before)
        pieces.append(chr(byte) if stays else f"%{byte:02X}")
        plain_before = plain
    text = "".join(pieces)
    if len(text) <= _ENCODED_MAX:
        return text
    return f"{text[:_KEPT_OF_LONG]}~{hashlib.sha256(data).hexdigest()}"


def customer_path(customer: str) -> str:
    """Return the path of a customer's slice."""
    return f"{TENANTS}/{CUSTOMER_PREFIX}{encoded(customer)}"


def app_path(customer: str, app: str) -> str:
    """Return the path of one app's cgroup."""
    return f"{customer_path(customer)}/{APP_PREFIX}{encoded(app)}"


def parent(path: str) -> str:
    """Return the path of the customer's slice that an app's cgroup is in."""
    return path.rpartition("/")[0]


def app_name(path: str) -> str:
    """Return what of an app's path is the app's alone, whichever customer it is of."""
    return path.rpartition("/")[2]

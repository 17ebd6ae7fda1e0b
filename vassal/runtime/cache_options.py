"""Which caches a file's options ask for. Beside them: the master does not load them. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Mapping, Tuple


class CacheError(ValueError):
    """The option that asks for a cache cannot be followed; str() says what to write."""


class CacheWish:
    """A cache that is asked for. One that `purges` is never full."""

    def __init__(self, name: str, items: int, block_bytes: int, key_bytes: int, purges: bool):
        self.name = name
        self.items = items
        self.block_bytes = block_bytes
        self.key_bytes = key_bytes
        self.purges = purges


def caches_wanted(options: Iterable[Tuple[str, str]]) -> List[CacheWish]:
    """Return the caches that the options `cache` and `cache2` ask for; the last of a name counts.

    Raises CacheError.
    """
    found: Dict[str, CacheWish] = {}
    for name, value in options:
        if name == "cache" and not _size(value, 0):
            continue
        if name == "cache":
            wanted = {"name": "default", "items": value}
        elif name == "cache2":
            pairs = (part.partition("=") for part in value.split(","))
            wanted = {key.strip(): text.strip() for key, _, text in pairs}
        else:
            continue
        # uWSGI's own sizes where none is written.
        items = _size(_first(wanted, "items", "max_items", "maxitems"), 0)
        if not items:
            raise CacheError("%s = %s has no number of items; write items=100" % (name, value))
        called = wanted.get("name") or "default"
        found[called] = CacheWish(
            called,
            items,
            _size(wanted.get("blocksize", ""), 65536),
            _size(_first(wanted, "keysize", "key_size"), 2048),
            "purge_lru" in wanted or "lru" in wanted,  # whatever it is set to, as in uWSGI
        )
    return list(found.values())


def _first(wanted: Mapping[str, str], *names: str) -> str:
    return next((wanted[name] for name in names if name in wanted), "")


def _size(text: str, usual: int) -> int:
    """Return the number that the text begins with, as uWSGI reads it."""
    digits = text[: len(text) - len(text.lstrip("0123456789"))][:18]
    return int(digits or 0) or usual

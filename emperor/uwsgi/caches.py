"""Which caches a uWSGI file asks for, and what of their options we have nothing for. Pure.

The caches are made of the options themselves, where the application runs: vassal/runtime/uwsgi.
"""

from collections.abc import Mapping

from emperor.config.problems import Invalid, quoted
from emperor.uwsgi.draft import Draft, Taken
from emperor.uwsgi.rows import Support
from emperor.uwsgi.values import atoi, pairs

_THERE = "the application has it, by import uwsgi"
_NAMES = {"max_items": "items", "maxitems": "items", "key_size": "keysize", "lru": "purge_lru"}
_SIZES = {"items": 2**31, "blocksize": 2**31, "keysize": 65535}
_DONE = {"name", "purge_lru", *_SIZES}
_NO_MATTER = frozenset(
    ("hash", "hashsize", "hash_size", "blocks", "lazy", "lazy_expire", "sweep_on_full")
    + ("ignore_full", "no_expire", "lastmod")
)
"""How it is done inside, and what is said in the log."""

_LOST = "it is empty after a restart"
_LOCAL = "it is this vassal's alone: use Redis or Memcached"
_MISSING: Mapping[str, str] = {
    **dict.fromkeys(("store", "store_sync", "storesync", "store_delete", "storedelete"), _LOST),
    **dict.fromkeys(
        ("node", "nodes", "sync", "udp", "udp_servers", "udp_server", "udpservers", "udpserver"),
        _LOCAL,
    ),
    "bitmap": "a value is at most one block long: write a larger blocksize",
    "clear_on_full": "a full cache takes no more: write purge_lru=1",
    "math_initial": "a number that is not there counts as 0: set it first",
}
"""What the file misses, by the key that asks for it."""


def put_caches(draft: Draft) -> None:
    """Check the caches, and say what of them is not done."""
    for taken in draft.all("cache"):
        items = draft.number(taken)
        if items is not None:
            said = (Support.SATISFIED, _THERE) if items else (Support.IGNORED, "0 is no cache")
            draft.remark(taken, *said)
    for taken in draft.all("cache2"):
        try:
            _judge(draft, taken)
        except Invalid as error:
            draft.wrong(taken, error.faults[0].problem, error.faults[0].remedy)


def _judge(draft: Draft, taken: Taken) -> None:
    wanted = {_NAMES.get(key, key): text for key, text in pairs(taken.value).items()}
    for key in ("name", "items"):
        if not wanted.get(key):
            raise Invalid(f"{key} is missing", "write name=default,items=100")
    for key, most in _SIZES.items():
        if key in wanted and not 0 < atoi(wanted[key]) <= most:
            problem = f"{key}={quoted(wanted[key])} is out of range"
            raise Invalid(problem, f"write a number from 1 to {most}")
    missing = [f"{key}: {_MISSING[key]}" for key in wanted if key in _MISSING]
    missing += [
        f"{key}: it is no key of cache2"
        for key in wanted
        if key not in _MISSING and key not in _DONE and key not in _NO_MATTER
    ]
    if missing:
        draft.remark(taken, Support.UNSUPPORTED, f"{_THERE}, but for {'; '.join(missing)}")
    else:
        draft.remark(taken, Support.SATISFIED, _THERE)

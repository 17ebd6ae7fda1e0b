"""Parsers of the values of [sandbox]: paths, names of the kernel's things, networks. Pure."""

import ipaddress
from collections.abc import Callable

from emperor.config import values
from emperor.config.directives import LIST_MAX, file_system, folder, table_of
from emperor.config.problems import Fault, Invalid, InvalidParts, described, quoted
from emperor.config.suggest import close_to
from emperor.config.tightness import NAMESPACES, NO_FAMILY, Network
from limits.capabilities import NUMBERS
from limits.directives import Bind, TemporaryFileSystem
from limits.seccomp.filters import check_names

CAPABILITIES = tuple(NUMBERS)

# fmt: off
FAMILIES = (
    "AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG",
    "AF_BLUETOOTH", "AF_CAN", "AF_TIPC", "AF_XDP", "AF_KEY", "AF_QIPCRTR", "AF_RDS", "AF_SMC",
    "AF_IB", "AF_ISDN", "AF_PPPOX", "AF_LLC", "AF_MPLS", "AF_X25", "AF_AX25", "AF_APPLETALK",
    "AF_IPX", "AF_NFC", "AF_KCM", "AF_PHONET", "AF_CAIF",
)
# fmt: on

NETWORK_WORDS = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}
"""Words of systemd.resource-control(5) for networks."""


def folders(value: object) -> tuple[str, ...]:
    """Return absolute paths without dots, each once."""
    return tuple(dict.fromkeys(values.list_of(value, folder, '["/srv/shared"]', LIST_MAX)))


def places(value: object, of_all: str) -> tuple[str, ...]:
    """Return the same, of which none is /; `of_all` is what to write for that."""

    def place(one: object) -> str:
        return _mountable(folder(one), of_all)

    return tuple(dict.fromkeys(values.list_of(value, place, '["/srv/shared"]', LIST_MAX)))


def _mountable(path: str, of_all: str) -> str:
    if path == "/":
        raise Invalid('nothing can be mounted on "/"', of_all)
    return path


def binds(value: object) -> tuple[Bind, ...]:
    """Return what is shown where, from "SOURCE:TARGET" or "PATH"; after "-" if it exists."""
    texts = values.list_of(value, _bind_text, '["/srv/shared:/shared"]', LIST_MAX)
    found: dict[str, Bind] = {}
    for number, text in enumerate(texts):
        source, target = _split(text.removeprefix("-"))
        bind = Bind(source=source, target=target, optional=text.startswith("-"))
        if found.setdefault(target, bind) != bind:
            problem = f"{quoted(target)} is the target of {quoted(found[target].source)} already"
            raise InvalidParts([Fault(problem, "name another target", (number,))])
    return tuple(found.values())


def _bind_text(value: object) -> str:
    text = values.text(value, "a bind", '"/srv/shared:/shared"')
    if text.count(":") > 1:
        raise Invalid(f"{quoted(text)} has more than two parts", 'write "SOURCE:TARGET"')
    minus = "-" * text.startswith("-")
    source, target = map(folder, _split(text.removeprefix("-")))
    _mountable(target, f"write root_directory = {quoted(source)}, or name a folder in it")
    return f"{minus}{source}:{target}"


def _split(text: str) -> tuple[str, str]:
    source, separator, target = text.partition(":")
    return source, target if separator else source


def bind_texts(found: tuple[Bind, ...]) -> list[str]:
    """Return binds as they are written."""
    return [
        "-" * each.optional
        + (each.source if each.source == each.target else f"{each.source}:{each.target}")
        for each in found
    ]


def private_tmp(value: object) -> TemporaryFileSystem | None:
    """Return the bounds of the vassal's own /tmp; None = the host's."""
    if isinstance(value, bool):
        return TemporaryFileSystem() if value else None
    if isinstance(value, dict):
        return file_system(value)
    raise Invalid(
        f"{described(value)} is not true, false or a table", 'write { size = "64M" }, or true'
    )


def file_systems(value: object) -> dict[str, TemporaryFileSystem]:
    """Return bounds by path, from a table or from a list of "PATH" or "PATH:size=64M"."""
    if isinstance(value, dict):
        return table_of(value, _covered, _bounds, '{ "/var/cache" = { size = "64M" } }')
    texts = values.list_of(value, _mount_text, '["/var/cache:size=64M"]', LIST_MAX)
    return dict(map(_mount, texts))


def _bounds(value: object) -> TemporaryFileSystem:
    return TemporaryFileSystem() if value is True else file_system(value)


def _mount_text(value: object) -> str:
    text = values.text(value, "a path", '"/var/cache:size=64M"')
    _mount(text)
    return text


def _mount(text: str) -> tuple[str, TemporaryFileSystem]:
    path, _, options = text.partition(":")
    given: dict[str, object] = {}
    for option in options.split(",") if options else ():
        name, _, amount = option.partition("=")
        known = {"size": "size", "nr_inodes": "inodes", "inodes": "inodes"}.get(name)
        if known is None:
            raise Invalid(f"unknown option {quoted(name)}", 'write "PATH:size=64M,inodes=4096"')
        given[known] = amount
    return _covered(path), file_system(given)


def _covered(path: object) -> str:
    return _mountable(folder(path), "name the folders in it")


def names(known: tuple[str, ...], example: str) -> Callable[[object], tuple[str, ...]]:
    """Return the parser of a list of `known` names; a first "~" turns the list round.

    "none" and [] are the empty list.
    """

    def parse_name(value: object) -> str:
        text = values.text(value, "a name", example)
        bare = text.removeprefix("~")
        if bare in known:
            return text
        meant = close_to(bare, known)
        raise Invalid(
            f"{quoted(text)} is not known",
            f'did you mean "{meant}"?' if meant else f"write {example}",
        )

    def parse(value: object) -> tuple[str, ...]:
        if value == "none":
            return ()
        if isinstance(value, str):
            value = value[: values.TEXT_MAX].split() or [""]
        found = values.list_of(value, parse_name, f"[{example}]", LIST_MAX)
        chosen = {name.removeprefix("~") for name in found}
        inverted = bool(found) and found[0].startswith("~")
        if any(name.startswith("~") for name in found[1:]):
            raise Invalid(f"{quoted(found[-1])}: ~ stands before the first name only", "move it")
        return tuple(name for name in known if (name in chosen) != inverted)

    return parse


capabilities = names(CAPABILITIES, '"CAP_NET_BIND_SERVICE"')
_families = names(FAMILIES, '"AF_INET"')
_namespaces = names(NAMESPACES, '"user"')


def families(value: object) -> tuple[str, ...]:
    """Return the kinds of sockets that can be made: [] = any, "none" = none at all."""
    return NO_FAMILY if value in ("none", ["none"]) else _families(value)


def namespaces(value: object) -> bool | tuple[str, ...]:
    """Return true = none may be made, or the names of those that may."""
    if isinstance(value, bool):
        return value
    found = _namespaces(value)
    return found if found else True


def namespace_names(found: bool | tuple[str, ...]) -> object:
    """Return them as they are written."""
    return found if isinstance(found, bool) else list(found)


def system_calls(value: object) -> tuple[str, ...]:
    """Return a filter: what is allowed, then with "~" what is taken out again."""
    if isinstance(value, str):
        value = value[: values.TEXT_MAX].split() or [""]
    found = values.list_of(value, system_call, '["@hosting", "~@keyring"]', LIST_MAX)
    if found and found[0].startswith("~"):
        raise Invalid(
            f"{quoted(found[0])} takes out of nothing",
            f'begin with what is allowed, like ["@hosting", {quoted(found[0])}]',
        )
    return found


def system_call(value: object) -> str:
    """Return the name of a system call or an @group, "~" before it."""
    text = values.text(value, "a system call", '"@hosting"')
    # A list may not begin with "~": that is said of the list.
    for found in check_names(("@hosting", text)):
        problem, _, remedy = found.partition("; ")
        raise Invalid(problem, remedy or 'write "@hosting", or the name of a call')
    return text


def landlock(value: object) -> bool:
    """Return whether Landlock is used where the kernel has it."""
    return True if value == "auto" else values.boolean(value)


def ip_networks(value: object) -> tuple[str, ...]:
    """Return networks in CIDR notation, each once."""
    if isinstance(value, str):
        value = value[: values.TEXT_MAX].split() or [""]
    texts = values.list_of(value, _network, '["192.0.2.0/24", "localhost"]', LIST_MAX)
    flat = (network for text in texts for network in NETWORK_WORDS.get(text, (text,)))
    return tuple(dict.fromkeys(flat))


def _network(value: object) -> str:
    text = values.text(value, "a network", '"192.0.2.0/24"')
    if text in NETWORK_WORDS:
        return text
    try:
        return str(_plain(ipaddress.ip_network(text, strict=False)))
    except ValueError:
        raise Invalid(
            f"{quoted(text)} is not a network",
            'write "192.0.2.0/24", "2001:db8::/32", "any", "localhost", "link-local", "multicast"',
        ) from None


def _plain(network: Network) -> Network:
    """Return IPv4 that is written as IPv6 as what leaves the machine: IPv4."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def word_or_switch(*words: str, true: str, false: str = "no") -> Callable[[object], str]:
    """Return the parser of a word for which true and false are other spellings."""
    spellings = {True: true, False: false}

    def parse(value: object) -> str:
        if isinstance(value, bool):
            return spellings[value]
        return values.one_of(value, words)

    return parse


def always_true(value: object) -> bool:
    """Accept true."""
    if values.boolean(value):
        return True
    raise Invalid(
        "a vassal that could gain privileges would leave its limits",
        "remove the line: it is always so",
    )


def no_user(value: object) -> object:
    """Refuse `user` here."""
    raise Invalid("the user is not a part of the sandbox", "write user at the top of the file")

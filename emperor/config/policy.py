"""Decides what a tenant's file may say: its plan, its bounds, its names. Pure.

The law: in [limits] and [sandbox] a tenant may have what it would have without writing
anything, or less. The same holds for what its plan says of other keys. Root's files are
the provider's word: plan and policy give them values and no bounds.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from emperor.config.document import Document
from emperor.config.fields import FIELD_KEYS, shown, value_of
from emperor.config.keys import PLAN_KEYS, VASSAL_KEYS, is_directive
from emperor.config.problems import Fault, Path, dotted, key_text, quoted
from emperor.config.settings import (
    EmperorSettings,
    Layer,
    ListenAddress,
    Owner,
    OwnerPolicy,
    VassalSettings,
)
from emperor.config.stats_addresses import STATS_HTTP
from emperor.config.suggest import close_to
from emperor.config.table import merged
from emperor.config.tightness import (
    AT_MOST,
    BINDS,
    LOG,
    NETWORKS_INSIDE,
    RLIMIT,
    allowed_beside,
    least,
)
from limits.directives import Limits, is_unlimited

LOGS = ("log.target", "log.requests")
CUSTOMER = "limits.slice"
"""The key of a vassal file that names its customer."""

NO_PLAN = "none"
EVERYBODY = "*"
_SHOWN_NAMES = 8


class Choice(NamedTuple):
    """Whose policy counts for a file, and its plan. `fault`: the plan it may not have."""

    policy: OwnerPolicy
    plan: str | None
    fault: Fault | None = None


def choose(asked: object, user: object, emperor: EmperorSettings, owner: Owner) -> Choice:
    """Return the policy and the plan of a file that says `plan = asked` and `user = user`.

    A tenant's file is judged by its owner. For root's, the account that the file names
    counts, if it has a policy of its own.
    """
    owners = emperor.owners
    if owner.tenant:
        policy = owners.get(owner.name) or owners.get(EVERYBODY) or OwnerPolicy()
    else:
        policy = (owners.get(user) if isinstance(user, str) else None) or OwnerPolicy()
    usual = policy.plan or emperor.policy.default_plan
    usual = None if usual == NO_PLAN else usual
    if not isinstance(asked, str):
        return Choice(policy, usual)
    plan = None if asked == NO_PLAN else asked
    if plan == usual:
        return Choice(policy, plan)
    if owner.tenant and plan not in policy.plans:
        names = list(dict.fromkeys(name for name in (usual, *policy.plans) if name))
        remedy = f"write {_either(names)}" if names else "remove the line"
        fault = Fault(f"{quoted(asked)} is no plan that {quoted(owner.name)} may choose", remedy)
        return Choice(policy, usual, fault)
    if plan is not None and plan not in emperor.plans:
        return Choice(policy, usual, unknown_plan(plan, emperor.plans))
    return Choice(policy, plan)


def unknown_plan(name: str, plans: Mapping[str, object]) -> Fault:
    """Return the words for a plan that does not exist."""
    remedy = f"write {_either(sorted(plans))}" if plans else f"write [plan.{name}] in emperor.toml"
    return Fault(f"there is no plan {quoted(name)}", remedy)


def unknown_customer(name: str, customers: Iterable[str], file: str) -> Fault:
    """Return the words for a customer without a section in `file`, the emperor's own."""
    meant = close_to(name, customers)
    remedy = f"write [customer.{name}] in {file} (it may be empty)"
    if meant:
        remedy = f"did you mean {quoted(meant)}? If not, {remedy}"
    return Fault(f"there is no customer {quoted(name)}", remedy)


def _either(names: Iterable[str]) -> str:
    words = [quoted(name) for name in names]
    more = ["one of the others"] if len(words) > _SHOWN_NAMES else []
    return " or ".join((*words[:_SHOWN_NAMES], *more))


def base(emperor: EmperorSettings, choice: Choice) -> Document:
    """Return what is merged under a file: its owner's layer over the plan over [defaults]."""
    plan = emperor.plans.get(choice.plan or "", Layer())
    own = choice.policy.layer
    values = merged(plan.values, emperor.defaults)
    values = merged(own.values, values)
    if choice.policy.customer is not None:
        customer = {"limits": {"slice": choice.policy.customer}}
        values = merged(own.values, merged(customer, values))
    lines = {**emperor.defaults_lines, **plan.lines, **own.lines}
    # No key of ours contains a dot.
    return Document(emperor.file, values, {tuple(k.split(".")): n for k, n in lines.items()})


def bounded_keys(emperor: EmperorSettings, choice: Choice) -> frozenset[str]:
    """Return the keys outside of [limits] and [sandbox] that are bounded: most by the plan."""
    found = {"on_unsupported", *LOGS}
    for name, value in emperor.plans.get(choice.plan or "", Layer()).values.items():
        if isinstance(value, dict):
            found |= {f"{name}.{last}" for last in value}
        else:
            found.add(name)
    return frozenset(
        name
        for name in found
        if name in PLAN_KEYS and PLAN_KEYS[name].rule is not None and not is_directive(name)
    )


class Excess(NamedTuple):
    """Something that a tenant's file asks for beyond its grant. `asked` is that value as in TOML,
    `instead` one that it may have and is the most of it, None = what it has without asking."""

    path: Path
    problem: str
    remedy: str
    asked: str = ""
    instead: object = None


def excesses(asked: VassalSettings, grant: VassalSettings, bounded: frozenset[str]) -> list[Excess]:
    """Return where `asked` is more than `grant`. Both are complete."""
    by = f"plan {quoted(grant.plan)}" if grant.plan else "the policy"
    found: list[Excess] = []
    keys = (*FIELD_KEYS, *(VASSAL_KEYS[name] for name in sorted(bounded)))
    for key in keys:
        wanted, granted = value_of(asked, key.name), value_of(grant, key.name)
        if _is_within(key.name, asked, grant):
            continue
        rule = NETWORKS_INSIDE if key.name == "sandbox.ip_address_allow" else key.rule
        problem = f"{shown(key, wanted)} is more than {by} grants, {shown(key, granted)}"
        remedy = "remove it" if rule is None else rule.remedy
        if rule is not None and rule.problem:
            problem = rule.problem
        elif not granted and granted != 0 and "{}" in remedy:
            remedy = "remove it, or ask the provider"
        remedy = remedy.replace("{}", shown(key, granted))
        instead = None
        if rule is RLIMIT:  # a soft limit is its process's own choice
            instead = key.write((least(wanted[0], granted[1]), granted[1]))
        elif rule is LOG:
            instead = granted
        path = tuple(key.name.split("."))
        found.append(Excess(path, problem, remedy, shown(key, wanted), instead))
    return found


def how_to_grant(excess: Excess, choice: Choice, emperor: EmperorSettings, owner: Owner) -> str:
    """Return what the provider writes, and where, to grant what was asked for; "" = nowhere."""
    *table, last = map(str, excess.path)
    if is_directive(dotted(excess.path)):
        # A table of the owner's own would take the place of that for everybody.
        name = EVERYBODY if owner.name not in emperor.owners and EVERYBODY in emperor.owners else ""
        table = ["owner", name or owner.name, *table]
    elif choice.plan is not None:
        table = ["plan", choice.plan, *table]
    else:
        return ""
    header = ".".join(map(key_text, table))
    return f"{last} = {excess.asked} under [{header}] in {emperor.file}"


def _is_within(name: str, asked: VassalSettings, grant: VassalSettings) -> bool:
    mine, given = asked.sandbox, grant.sandbox
    if name == "sandbox.bind_read_only_paths":
        # What may be written may also be shown without that.
        granted = (*given.bind_read_only_paths, *given.bind_paths)
        return BINDS.within(mine.bind_read_only_paths, granted)
    if name == "limits.memory_swap_max":
        return AT_MOST.within(_swap(asked.limits), _swap(grant.limits))
    if name in ("sandbox.ip_address_allow", "sandbox.ip_address_deny") and mine.network == "none":
        return True
    if name == "sandbox.ip_address_allow":
        if given.network == "egress-filter":
            return NETWORKS_INSIDE.within(mine.ip_address_allow, given.ip_address_allow)
        return allowed_beside(mine.ip_address_allow, given.ip_address_allow, given.ip_address_deny)
    rule = VASSAL_KEYS[name].rule
    return rule is None or bool(rule.within(value_of(asked, name), value_of(grant, name)))


def _swap(limits: Limits) -> int | None:
    """Return what swap comes to: none at all where memory is limited and swap is not said."""
    if limits.memory_swap_max is None and not is_unlimited(limits.memory_max):
        return 0
    return limits.memory_swap_max


def name_excesses(settings: VassalSettings, policy: OwnerPolicy) -> list[Excess]:
    """Return the addresses and host names that the owner may not claim."""
    found = [
        Excess(
            (key, index),
            f"{address.url}: only unix sockets are granted",
            f'write "{scheme}unix:///run/emperor/sockets/{settings.name}.{suffix}"',
        )
        for key, index, address, scheme, suffix in _sockets(settings)
        if address.port is not None and not policy.listen_tcp
    ]
    if policy.hosts is None:
        return found
    names = _either(policy.hosts) if policy.hosts else ""
    return found + [
        Excess(
            ("hosts", index),
            f"{quoted(host)} is no name that the policy grants",
            f"write a name like {names}" if names else "remove it",
        )
        for index, host in enumerate(settings.hosts)
        if not any(matches(host, pattern) for pattern in policy.hosts)
    ]


def _sockets(settings: VassalSettings) -> Iterable[tuple[str, int, ListenAddress, str, str]]:
    """Yield key, index and address of each socket, and how its unix socket would be written."""
    for index, address in enumerate(settings.listen):
        yield "listen", index, address, f"{address.protocol}+", "sock"
    for index, address in enumerate(settings.stats):
        scheme = "http+" if address.protocol == STATS_HTTP else ""
        yield "stats", index, address, scheme, "stats"


def matches(host: str, pattern: str) -> bool:
    """Return whether a name is the pattern, or anywhere below one that begins with "*."."""
    if pattern == EVERYBODY:
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern


def too_many(owner: str, others: int, policy: OwnerPolicy) -> Fault | None:
    """Return why the owner's next vassal is refused, who has `others` already."""
    if policy.max_vassals is None or others < policy.max_vassals:
        return None
    problem = f"{quoted(owner)} has {others} vassals, and may have {policy.max_vassals}"
    return Fault(problem, "remove another of its files first")


def no_such_customer(settings: VassalSettings, emperor: EmperorSettings) -> Fault | None:
    """Return why a file is refused that names a customer without a budget to share."""
    customer = settings.limits.slice
    if customer is None or customer in emperor.customers:
        return None
    return unknown_customer(customer, emperor.customers, emperor.file)


class Holder(NamedTuple):
    """A vassal that is known: whose uid it runs as, whose budget it shares."""

    vassal: str
    uid: int
    customer: str | None


def shared_uid(new: Holder, known: Iterable[Holder]) -> Fault | None:
    """Return why `new` is refused: two customers never share a uid.

    One of them could send signals to the other's processes, and read its files.
    """
    for other in known:
        if other.uid == new.uid and other.customer != new.customer and other.vassal != new.vassal:
            return Fault(
                f"uid {new.uid} is {_customer(other)}'s by {other.vassal}, and this file makes it"
                f" {_customer(new)}'s",
                "write another user, or the same slice under [limits]",
            )
    return None


def _customer(holder: Holder) -> str:
    return "no customer" if holder.customer is None else f"customer {quoted(holder.customer)}"


def seen_by(emperor: EmperorSettings, owner: Owner) -> EmperorSettings:
    """Return the settings with nothing in them that another owner's file needs."""
    if not owner.tenant:
        return emperor
    own = {name: emperor.owners[name] for name in (owner.name, EVERYBODY) if name in emperor.owners}
    policy = own.get(owner.name) or own.get(EVERYBODY) or OwnerPolicy()
    wanted = {policy.plan, emperor.policy.default_plan, *policy.plans}
    plans = {name: layer for name, layer in emperor.plans.items() if name in wanted}
    return msgspec.structs.replace(emperor, owners=own, plans=plans, customers={}, directories=())

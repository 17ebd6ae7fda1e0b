"""Decides whom a vassal runs as. `decide` and `judge` are pure; `look_up` asks the host.

The owner of the file counts: root's files may name any account, a tenant's file runs as
its owner. Without root there is one account for all.

uWSGI runs a tenant's file as its owner whatever uid and gid it has: so does a file in its dialect
here, and that is remarked upon. In our own a name that cannot be had is refused.

In tyrant mode the group of a file counts as well, but proves nothing by itself: a folder with the
setgid bit gives its group to whatever anybody puts there.
"""

import grp
import os
import pwd
import re
from typing import NamedTuple

import msgspec

from emperor.config.accounts import Account, account_of, gid_of, own_account
from emperor.config.file_names import speaks_uwsgi
from emperor.config.problems import Problem, quoted
from emperor.config.settings import PROVIDER, Owner, Policy, Remark, VassalSettings

NOGROUP = 65534
"""The group of a number without an account, if the file names none."""

_ID_MAX = 2**32 - 2  # (uid_t) -1 means "leave as is" to the kernel


UNKNOWN_UID = -1
"""Nobody's: of whom it is not known."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An account, complete: nothing has to be looked up when a process takes it on."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    home: str
    shell: str


class RunAs(msgspec.Struct, frozen=True, kw_only=True):
    """A decision in names. `user` None = the account of `only_uid`.

    Whatever `user` turns out to be, its uid must be `only_uid` where that is set.
    """

    file: str
    user: str | None = None
    group: str | None = None
    only_uid: int | None = None
    allow_root: bool = False
    file_gid: int | None = None  # the group of a file in tyrant mode, if it names none itself
    trusted_groups: tuple[str, ...] = ()  # count as a file's group whoever the owner is
    as_root: bool = True  # the emperor is root and can become another user
    by_policy: bool = False  # `user` is the policy's default_user
    group_by_policy: bool = False  # `group` is its default_group
    yields: bool = False  # user and group count only if the file may have them
    numbers: bool = False  # a number stands for itself where it has no entry


class Found(NamedTuple):
    """An identity, or why there is none, with what is said of names that did not count.

    `besides`: what is wrong too, where there is none.
    """

    identity: Identity | Problem
    run_as: RunAs
    remarks: tuple[Remark, ...] = ()
    besides: tuple[Problem, ...] = ()

    @property
    def problems(self) -> list[Problem]:
        """All that is wrong; nothing, if there is an identity."""
        return [self.identity, *self.besides] if isinstance(self.identity, Problem) else []


def decide(
    owner_uid: int,
    file_gid: int,
    emperor_uid: int,
    settings: VassalSettings,
    policy: Policy,
    file: str,
) -> RunAs | Problem:
    """Return whom the vassal of a file of this owner and group runs as."""
    if emperor_uid != 0:
        if owner_uid not in (0, emperor_uid):
            return _problem(
                file,
                "user",
                f"the file belongs to uid {owner_uid}, and this emperor runs as uid {emperor_uid}",
                "run the emperor as root, or make the file your own",
            )
        return RunAs(
            file=file,
            user=settings.user,
            group=settings.group,
            only_uid=emperor_uid,
            as_root=False,
            yields=speaks_uwsgi(file),
        )
    if policy.tyrant and owner_uid == 0:
        return _problem(
            file,
            "user",
            "the file belongs to root, and in tyrant mode a vassal runs as its file's owner",
            f"give it to that account: chown blog {file}",
        )
    if owner_uid != 0:
        return RunAs(
            file=file,
            user=settings.user,
            group=settings.group,
            only_uid=owner_uid,
            file_gid=file_gid if policy.tyrant else None,
            trusted_groups=tuple(filter(None, (policy.default_group, *policy.tyrant_groups))),
            yields=speaks_uwsgi(file),
        )
    return RunAs(
        file=file,
        numbers=speaks_uwsgi(file),
        user=settings.user or policy.default_user,
        group=settings.group or (policy.default_group if settings.user is None else None),
        allow_root=policy.allow_root,
        by_policy=settings.user is None,
        group_by_policy=settings.user is None and settings.group is None,
    )


def judge(
    run_as: RunAs,
    account: Account | None,
    group_gid: int | None,
    trusted_gids: frozenset[int] = frozenset(),
) -> Identity | Problem:
    """Return the identity, or why it is refused.

    `account` is what `run_as` names, None = there is none; `group_gid` likewise for
    `run_as.group`; `trusted_gids` are those of `run_as.trusted_groups`.
    """
    if account is None:
        return _no_account(run_as)
    if run_as.only_uid is not None and account.uid != run_as.only_uid:
        return _other_user(run_as, account)
    if account.uid == 0 and not run_as.allow_root and run_as.only_uid is None:
        if run_as.by_policy:
            return _problem(
                run_as.file,
                "user",
                f"the policy's default_user is {quoted(account.user)}, which is root",
                'write user = "blog", or allow_root = true under [policy] in the emperor\'s file',
            )
        return _problem(
            run_as.file,
            "user",
            f"{quoted(account.user)} is root",
            "write another user, or allow_root = true under [policy] in the emperor's file",
        )
    gid = account.gid
    if run_as.group is not None:
        refusal = _group_refusal(run_as, account, group_gid)
        if refusal is not None or group_gid is None:
            return refusal or _no_group(run_as)
        gid = group_gid
    elif run_as.file_gid in trusted_gids.union(account.groups):
        gid = run_as.file_gid or gid
    return Identity(
        uid=account.uid,
        gid=gid,
        groups=account.groups or (gid,),
        user=account.user,
        home=account.home,
        shell=account.shell,
    )


def _no_account(run_as: RunAs) -> Problem:
    if run_as.by_policy:
        return _problem(
            run_as.file,
            "user",
            f"the policy's default_user {quoted(run_as.user or '')} does not exist",
            'write user = "blog" here, or correct default_user in the emperor\'s file',
        )
    if run_as.user is None:
        return _problem(
            run_as.file,
            "user",
            f"the file's owner, uid {run_as.only_uid}, has no account",
            "create the account, or give the file to another owner",
        )
    return _problem(
        run_as.file,
        "user",
        f"there is no user {quoted(run_as.user)}",
        "create the account, or write another name",
    )


def _other_user(run_as: RunAs, account: Account) -> Problem:
    if run_as.as_root:
        return _problem(
            run_as.file,
            "user",
            f"the file belongs to uid {run_as.only_uid}, which may not run as"
            f" {quoted(account.user)}",
            "remove user, or let root own the file",
        )
    return _problem(
        run_as.file,
        "user",
        f"the emperor runs as uid {run_as.only_uid} and cannot become {quoted(account.user)}",
        "remove user, or run the emperor as root",
    )


def _group_refusal(run_as: RunAs, account: Account, gid: int | None) -> Problem | None:
    group = quoted(run_as.group or "")
    if gid is None:
        return _no_group(run_as)
    if gid == account.gid:
        return None
    if not run_as.as_root:
        return _problem(
            run_as.file,
            "group",
            f"the emperor cannot change to the group {group} without being root",
            "remove group, or run the emperor as root",
        )
    if run_as.only_uid is not None and gid not in account.groups:
        return _problem(
            run_as.file,
            "group",
            f"{quoted(account.user)}, who owns the file, is not a member of {group}",
            "write a group of the owner's, or remove group",
        )
    if gid == 0 and run_as.only_uid is None and not run_as.allow_root:
        return _problem(
            run_as.file,
            "group",
            f"{group} is root's",
            "write another group, or allow_root = true under [policy] in the emperor's file",
        )
    return None


def _no_group(run_as: RunAs) -> Problem:
    if run_as.group_by_policy:
        return _problem(
            run_as.file,
            "group",
            f"the policy's default_group {quoted(run_as.group or '')} does not exist",
            "create it, or correct default_group in the emperor's file",
        )
    return _problem(
        run_as.file,
        "group",
        f"there is no group {quoted(run_as.group or '')}",
        "create it, or write another name",
    )


def _problem(file: str, key: str, problem: str, remedy: str) -> Problem:
    return Problem(file=file, line=1, key=key, problem=problem, remedy=remedy)


_OPTIONS = {"user": "uid", "group": "gid"}
_NO_GROUP = (
    f"uid {{}} has no account, and the file no gid: the group is {NOGROUP}, where uWSGI keeps"
    " root's; write gid"
)


def yielded(run_as: RunAs, problem: Problem) -> tuple[RunAs, Remark] | None:
    """Return `run_as` without the name that `problem` is about, and what is said of that;
    None = the file is refused."""
    if not run_as.yields or getattr(run_as, problem.key) is None:
        return None
    whose = "file's owner" if run_as.as_root else "emperor"
    remark = Remark(
        key=_OPTIONS[problem.key],
        reason=f"{problem.problem}: it runs as the {whose} does; remove {_OPTIONS[problem.key]}",
    )
    rest = {"user": None} if problem.key == "user" else {"group": None}
    return msgspec.structs.replace(run_as, **rest), remark


def find(run_as: RunAs) -> Found:
    """Return the same as `look_up`, without names that a file in uWSGI's dialect cannot have."""
    remarks: list[Remark] = []
    while True:
        identity = look_up(run_as)
        without = yielded(run_as, identity) if isinstance(identity, Problem) else None
        if without is None:
            if isinstance(identity, Identity) and run_as.group is None and not _is_known(run_as):
                remarks.append(Remark(key="uid", reason=_NO_GROUP.format(identity.user)))
            return Found(identity, run_as, tuple(remarks), _besides(run_as, identity))
        run_as, remark = without
        remarks.append(remark)


def _besides(run_as: RunAs, identity: Identity | Problem) -> tuple[Problem, ...]:
    """Return what is wrong with the group, where the user is wrong already."""
    wrong_user = isinstance(identity, Problem) and identity.key == "user"
    if wrong_user and run_as.group and gid_of(run_as.group) is None:
        return () if run_as.numbers and _number(run_as.group) is not None else (_no_group(run_as),)
    return ()


def look_up(run_as: RunAs) -> Identity | Problem:
    """Return the identity that `run_as` means on this host, or why it is refused.

    Asks the name service, which may block on a network.
    """
    account = own_account() if _is_own(run_as) else account_of(run_as.user, run_as.only_uid)
    trusted = frozenset(gid for gid in map(gid_of, run_as.trusted_groups) if gid is not None)
    gid = gid_of(run_as.group) if run_as.group else None
    if run_as.numbers and account is None:
        account = _without_entry(_number(run_as.user))
    if run_as.numbers and gid is None:
        gid = _number(run_as.group)
    return judge(run_as, account, gid, trusted)


def _number(name: str | None) -> int | None:
    """Return the number of an account or group that is written as one."""
    if name is None or re.fullmatch(r"[0-9]{1,10}", name) is None:
        return None
    return int(name) if int(name) <= _ID_MAX else None


def _without_entry(uid: int | None) -> Account | None:
    return None if uid is None else Account(uid, NOGROUP, (), str(uid), "/", "/bin/sh")


def _is_known(run_as: RunAs) -> bool:
    return _is_own(run_as) or account_of(run_as.user, run_as.only_uid) is not None


def why_not_group(identity: Identity, file_gid: int) -> str:
    """Return, for people, why a vassal in tyrant mode does not have the group of its file."""
    try:
        group = grp.getgrgid(file_gid).gr_name
    except (KeyError, OverflowError):
        group = str(file_gid)
    return (
        f"the file's group {quoted(group)} is none of {quoted(identity.user)}'s: make the owner a "
        f'member, or write tyrant_groups = ["{group}"] under [policy] in the emperor\'s file'
    )


def owner_of(uid: int) -> Owner:
    """Return who wrote a file of this uid; root and the emperor's own account may all."""
    if uid in (0, os.geteuid()):
        return PROVIDER
    try:
        return Owner(name=pwd.getpwuid(uid).pw_name, tenant=True)
    except (KeyError, OverflowError):
        return Owner(name=str(uid), tenant=True)


def _is_own(run_as: RunAs) -> bool:
    return not run_as.as_root and run_as.user is None


def own_identity() -> Identity:
    """Return whom this process runs as, with or without an account."""
    return Identity(**own_account()._asdict())

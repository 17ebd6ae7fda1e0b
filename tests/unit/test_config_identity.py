"""Whom a vassal runs as."""

import os

import msgspec
import pytest

from emperor.config.accounts import Account
from emperor.config.identity import Identity, RunAs, decide, find, judge, look_up, yielded
from emperor.config.problems import Problem
from emperor.config.settings import Policy, VassalSettings

BLOG = Account(1000, 1000, (1000, 33), "blog", "/home/blog", "/bin/bash")
NOBODY = Account(65534, 65534, (65534,), "nobody", "/nonexistent", "/usr/sbin/nologin")
ROOT = Account(0, 0, (0,), "root", "/root", "/bin/bash")
ACCOUNTS = {account.user: account for account in (BLOG, NOBODY, ROOT)} | {"toor": ROOT}
GROUPS = {"blog": 1000, "www-data": 33, "shadow": 42, "root": 0}


TYRANT = Policy(tyrant=True, tyrant_groups=("www-data",))


ANY = Policy()


def decided(owner, user=None, group=None, policy=ANY, emperor=0, gid=0, file="blog.toml"):
    """Return decide and judge together, with a user database of our own."""
    settings = VassalSettings(
        name="blog", app="a:b", directory="/", listen=(), user=user, group=group
    )
    run_as = decide(owner, gid, emperor, settings, policy, file)
    if isinstance(run_as, Problem):
        return run_as
    result = judged(run_as)
    while isinstance(result, Problem) and yielded(run_as, result) is not None:
        run_as, _ = yielded(run_as, result)
        result = judged(run_as)
    return result


def judged(run_as):
    by_uid = {account.uid: account for account in ACCOUNTS.values()}
    account = ACCOUNTS.get(run_as.user) if run_as.user else by_uid.get(run_as.only_uid)
    trusted = frozenset(GROUPS[group] for group in run_as.trusted_groups)
    return judge(run_as, account, GROUPS.get(run_as.group), trusted)


def identity(account, gid=None):
    return Identity(
        uid=account.uid,
        gid=account.gid if gid is None else gid,
        groups=account.groups,
        user=account.user,
        home=account.home,
        shell=account.shell,
    )


ALLOW = Policy(allow_root=True)
OTHER_GROUP = Policy(default_user="blog", default_group="www-data")


@pytest.mark.parametrize(
    ("asked", "result"),
    [
        ({"owner": 0}, identity(NOBODY)),
        ({"owner": 0, "policy": Policy(default_user="blog")}, identity(BLOG)),
        ({"owner": 0, "policy": OTHER_GROUP}, identity(BLOG, 33)),
        ({"owner": 0, "group": "shadow", "policy": OTHER_GROUP}, identity(BLOG, 42)),
        ({"owner": 0, "user": "blog", "policy": OTHER_GROUP}, identity(BLOG)),
        ({"owner": 1000, "policy": OTHER_GROUP}, identity(BLOG)),
        ({"owner": 0, "user": "blog"}, identity(BLOG)),
        ({"owner": 0, "user": "blog", "group": "shadow"}, identity(BLOG, 42)),
        ({"owner": 0, "user": "root", "policy": ALLOW}, identity(ROOT)),
        ({"owner": 0, "user": "blog", "group": "root", "policy": ALLOW}, identity(BLOG, 0)),
        ({"owner": 1000}, identity(BLOG)),
        ({"owner": 1000, "user": "blog"}, identity(BLOG)),
        ({"owner": 1000, "group": "www-data"}, identity(BLOG, 33)),
        ({"owner": 1000, "group": "blog"}, identity(BLOG)),
        ({"owner": 1000, "emperor": 1000}, identity(BLOG)),
        ({"owner": 0, "emperor": 1000}, identity(BLOG)),
        # The group of a file counts in tyrant mode: one of the owner's, or of the provider's.
        ({"owner": 1000, "gid": 33}, identity(BLOG)),
        ({"owner": 1000, "gid": 33, "policy": Policy(tyrant=True)}, identity(BLOG, 33)),
        ({"owner": 1000, "gid": 42, "policy": Policy(tyrant=True)}, identity(BLOG)),
        ({"owner": 1000, "gid": 0, "policy": TYRANT}, identity(BLOG)),
        ({"owner": 65534, "gid": 33, "policy": Policy(tyrant=True)}, identity(NOBODY)),
        ({"owner": 65534, "gid": 33, "policy": TYRANT}, identity(NOBODY, 33)),
        ({"owner": 1000, "gid": 33, "group": "blog", "policy": TYRANT}, identity(BLOG)),
        ({"owner": 1000, "emperor": 1000, "user": "blog", "group": "blog"}, identity(BLOG)),
    ],
)
def test_vassal_runs_as_its_file_allows(asked, result):
    assert decided(**asked) == result


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"owner": 0, "user": "root"},
            'user: "root" is root; '
            "write another user, or allow_root = true under [policy] in the emperor's file",
        ),
        (
            {"owner": 0, "user": "toor"},
            'user: "root" is root; '
            "write another user, or allow_root = true under [policy] in the emperor's file",
        ),
        (
            {"owner": 0, "policy": Policy(default_user="root")},
            'user: the policy\'s default_user is "root", which is root; '
            'write user = "blog", or allow_root = true under [policy] in the emperor\'s file',
        ),
        (
            {"owner": 0, "policy": Policy(default_user="gone")},
            'user: the policy\'s default_user "gone" does not exist; '
            'write user = "blog" here, or correct default_user in the emperor\'s file',
        ),
        (
            {"owner": 0, "user": "blgo"},
            'user: there is no user "blgo"; create the account, or write another name',
        ),
        (
            {"owner": 0, "user": "blog", "group": "gone"},
            'group: there is no group "gone"; create it, or write another name',
        ),
        (
            {"owner": 0, "user": "blog", "group": "root"},
            'group: "root" is root\'s; '
            "write another group, or allow_root = true under [policy] in the emperor's file",
        ),
        (
            {"owner": 1000, "user": "root"},
            'user: the file belongs to uid 1000, which may not run as "root"; '
            "remove user, or let root own the file",
        ),
        (
            {"owner": 1000, "user": "nobody", "policy": ALLOW},
            'user: the file belongs to uid 1000, which may not run as "nobody"; '
            "remove user, or let root own the file",
        ),
        (
            {"owner": 1000, "group": "shadow", "policy": ALLOW},
            'group: "blog", who owns the file, is not a member of "shadow"; '
            "write a group of the owner's, or remove group",
        ),
        (
            {"owner": 1000, "group": "root", "policy": ALLOW},
            'group: "blog", who owns the file, is not a member of "root"; '
            "write a group of the owner's, or remove group",
        ),
        (
            {"owner": 4711},
            "user: the file's owner, uid 4711, has no account; "
            "create the account, or give the file to another owner",
        ),
        (
            {"owner": 4711, "emperor": 1000},
            "user: the file belongs to uid 4711, and this emperor runs as uid 1000; "
            "run the emperor as root, or make the file your own",
        ),
        (
            {"owner": 1000, "emperor": 1000, "user": "root"},
            'user: the emperor runs as uid 1000 and cannot become "root"; '
            "remove user, or run the emperor as root",
        ),
        (
            {"owner": 1000, "emperor": 1000, "group": "www-data"},
            'group: the emperor cannot change to the group "www-data" without being root; '
            "remove group, or run the emperor as root",
        ),
    ],
)
def test_what_a_file_may_not_ask_for_is_refused_with_the_key(asked, message):
    assert str(decided(**asked)) == f"blog.toml:1: {message}"


@pytest.mark.parametrize(
    ("asked", "result"),
    [
        ({"owner": 1000, "user": "root"}, identity(BLOG)),
        ({"owner": 1000, "user": "nobody", "group": "shadow"}, identity(BLOG)),
        ({"owner": 1000, "user": "gone", "group": "gone"}, identity(BLOG)),
        ({"owner": 1000, "user": "nobody", "group": "www-data"}, identity(BLOG, 33)),
        ({"owner": 1000, "emperor": 1000, "user": "root", "group": "root"}, identity(BLOG)),
        ({"owner": 65534, "gid": 33, "group": "shadow", "policy": TYRANT}, identity(NOBODY, 33)),
    ],
)
def test_tenants_file_of_uwsgis_runs_as_its_owner_whatever_it_names(asked, result):
    assert decided(**asked, file="blog.ini") == result
    assert isinstance(decided(**asked, file="blog.toml"), Problem)


def test_roots_file_of_uwsgis_is_refused_a_name_that_it_cannot_have():
    for asked in ({"user": "gone"}, {"user": "root"}, {"user": "blog", "group": "root"}):
        assert isinstance(decided(0, **asked, file="blog.ini"), Problem)
    assert isinstance(decided(4711, user="blog", file="blog.ini"), Problem)


def test_names_that_do_not_count_are_told_by_the_options():
    own = RunAs(file="f", user="no-such", group="no-such", only_uid=0, yields=True)
    found = find(own)
    assert isinstance(found.identity, Identity)
    assert [remark.key for remark in found.remarks] == ["uid", "gid"]
    assert found.remarks[0].reason == (
        'there is no user "no-such": it runs as the file\'s owner does; remove uid'
    )
    assert (found.run_as.user, found.run_as.group) == (None, None)


def test_no_file_of_a_tenant_ever_runs_as_another_account():
    for user in (None, *ACCOUNTS):
        for group in (None, *GROUPS):
            for policy in (Policy(), ALLOW, Policy(default_user="root", allow_root=True)):
                for file in ("blog.toml", "blog.ini"):
                    result = decided(1000, user, group, policy, file=file)
                    if isinstance(result, Identity):
                        assert result.uid == 1000
                        assert result.gid in (1000, 33)


def test_root_is_never_reached_without_the_policys_word():
    for owner in (0, 1000, 65534):
        for user in (None, *ACCOUNTS):
            for group in (None, *GROUPS):
                result = decided(owner, user, group)
                assert isinstance(result, Problem) or (result.uid and result.gid)


def test_names_and_numbers_are_looked_up_on_the_host():
    by_name = look_up(RunAs(file="f", user="root", group="root", allow_root=True))
    assert isinstance(by_name, Identity)
    assert (by_name.uid, by_name.gid, by_name.user) == (0, 0, "root")
    assert look_up(RunAs(file="f", user="0", group="0", allow_root=True)) == by_name
    assert isinstance(look_up(RunAs(file="f", user="0")), Problem)
    for user in ("no-such-user", "4294967295", "99999999999999999999"):
        assert "there is no user" in str(look_up(RunAs(file="f", user=user)))
    for group in ("no-such-group", "99999999999999999999"):
        refused = look_up(RunAs(file="f", user="0", group=group, allow_root=True))
        assert "there is no group" in str(refused)


def test_number_without_an_account_is_itself_in_roots_file_of_uwsgis():
    """The real one keeps root's group where the file names none: that nobody gets here."""
    found = find(RunAs(file="f", user="471147", numbers=True))
    assert found.identity == Identity(
        uid=471147, gid=65534, groups=(65534,), user="471147", home="/", shell="/bin/sh"
    )
    assert [remark.key for remark in found.remarks] == ["uid"]
    assert found.remarks[0].reason.endswith(
        "the group is 65534, where uWSGI keeps root's; write gid"
    )
    both = find(RunAs(file="f", user="471147", group="471148", numbers=True))
    assert isinstance(both.identity, Identity)
    assert (both.identity.gid, both.identity.groups, both.remarks) == (471148, (471148,), ())
    for user, group in (("no-such", None), ("4294967295", None), ("471147", "4294967295")):
        refused = find(RunAs(file="f", user=user, group=group, numbers=True)).identity
        assert "there is no" in str(refused)
    settings = VassalSettings(name="blog", app="a:b", directory="/", listen=(), user="471147")
    for file, counts in (("blog.ini", True), ("blog.toml", False)):
        run_as = decide(0, 0, 0, settings, Policy(), file)
        assert isinstance(find(run_as).identity, Identity) is counts
    assert isinstance(find(decide(1, 0, 0, settings, Policy(), "blog.ini")).identity, Identity)


def test_emperor_without_root_runs_everything_as_itself():
    own = look_up(RunAs(file="f", only_uid=os.geteuid(), as_root=False))
    assert isinstance(own, Identity)
    assert (own.uid, own.gid) == (os.geteuid(), os.getegid())
    assert own.home.startswith("/")


def test_decision_can_be_told_in_json():
    run_as = RunAs(file="f", user="blog")
    assert msgspec.json.decode(msgspec.json.encode(run_as), type=RunAs) == run_as


def test_user_and_group_that_do_not_exist_are_told_of_together():
    run_as = RunAs(file="f", user="no-such-user", group="no-such-group")
    assert [problem.key for problem in find(run_as).problems] == ["user", "group"]
    assert [
        problem.key for problem in find(RunAs(file="f", user="no-such-user", group="root")).problems
    ] == ["user"]
    assert find(RunAs(file="f", user="nobody")).problems == []


def test_default_group_that_does_not_exist_is_a_matter_of_the_emperors_file():
    run_as = decide(
        0,
        0,
        0,
        VassalSettings(name="blog", app="a:b", directory="/", listen=()),
        Policy(default_user="nobody", default_group="no-such"),
        "f",
    )
    (problem,) = find(run_as).problems
    assert str(problem) == (
        'f:1: group: the policy\'s default_group "no-such" does not exist; '
        "create it, or correct default_group in the emperor's file"
    )

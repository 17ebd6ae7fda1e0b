"""What a tenant's file may say under its plan and policy."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.config.default_places import Places
from emperor.config.document import Document
from emperor.config.emperor_file import load_emperor
from emperor.config.fields import FIELD_KEYS, value_of
from emperor.config.keys import PLAN_KEYS, VASSAL_KEYS
from emperor.config.policy import (
    LOGS,
    Holder,
    choose,
    excesses,
    matches,
    seen_by,
    shared_uid,
    too_many,
)
from emperor.config.problems import ConfigError
from emperor.config.settings import (
    Budget,
    EmperorSettings,
    Machine,
    Owner,
    OwnerPolicy,
    VassalSettings,
    Workers,
)
from emperor.config.vassal_file import grant_of, load_vassal, settle
from limits.directives import METADATA_ADDRESSES, Limits, Sandbox, TemporaryFileSystem

PLACES = Places("/run/emperor", "/var/log/emperor", "/var/lib/emperor")
GIB = 2**30
MACHINE = Machine(memory_bytes=8 * GIB, tasks_max=10_000, cpus=4)
EMPEROR = """
[defaults]
workers = 1
harakiri = 20
[defaults.limits]
tasks_max = 100
cpu_weight = 80

[plan.small]
workers = 4
harakiri = "1m"
log.keep = 2
[plan.small.limits]
memory_max = "512M"
cpu_quota = "150%"
limit_nofile = "512:1024"
io_read_bandwidth_max = { "/srv" = "20M" }
[plan.small.sandbox]
read_write_paths = ["/srv/shared"]
bind_paths = ["/srv/pool:/pool"]
inaccessible_paths = ["/opt/secret"]
private_tmp = { size = "64M" }

[plan.large.limits]
memory_max = "25%"
tasks_max = "10%"

[owner.blog]
plan = "small"
plans = ["large"]
customer = "acme"
max_vassals = 2
hosts = ["blog.example", "*.blog.example"]
listen_tcp = false
[owner.blog.limits]
cpu_quota = "50%"
[owner."*"]
plan = "none"

[policy]
default_plan = "large"

[customer.acme.limits]
memory_max = "1G"
tasks_max = 500
"""
BLOG = Owner(name="blog", tenant=True)
OTHER = Owner(name="other", tenant=True)
GOOD = 'app = "a:b"\nlisten = "http+unix:///run/a"\n'


def emperor(text=EMPEROR):
    found = load_emperor(text, "emperor.toml", "/etc", PLACES, MACHINE)
    assert isinstance(found, EmperorSettings), str(found)
    return found


SET = emperor()


def load(text, owner=BLOG, among=SET):
    return load_vassal("blog", GOOD + text, "blog.toml", "/v", among, owner)


def loaded(text, owner=BLOG, among=SET):
    found = load(text, owner, among)
    assert isinstance(found, VassalSettings), str(found)
    return found


def problems(text, owner=BLOG, among=SET):
    found = load(text, owner, among)
    assert isinstance(found, ConfigError), found
    return [str(problem) for problem in found.problems]


def test_values_are_the_files_over_the_owners_over_the_plans_over_the_defaults():
    found = loaded("[limits]\nmemory_max = 1048576\n")
    assert found.limits.memory_max == 2**20
    assert found.limits.cpu_quota == 0.5
    assert found.workers == Workers(4, 4)
    assert found.limits.cpu_weight == 80
    assert found.limits.oom_score_adjust == 300
    assert found.limits.slice == "acme"
    assert found.plan == "small"
    assert {"limits.cpu_quota", "limits.slice", "workers"} <= found.written
    assert "limits.oom_score_adjust" not in found.written


def test_plan_of_the_policy_is_everybodys_who_has_none():
    assert loaded("", Owner()).plan == "large"
    assert loaded("", Owner()).limits.memory_max == 2 * GIB
    assert loaded("", Owner()).limits.tasks_max == 1000
    assert loaded("", OTHER).plan is None
    assert loaded("", OTHER).limits.tasks_max == 100


def test_owner_may_choose_among_its_plans():
    assert loaded('plan = "large"').plan == "large"
    assert problems('plan = "huge"') == [
        'blog.toml:3: plan: "huge" is no plan that "blog" may choose; write "small" or "large"'
    ]
    assert problems('plan = "none"') == [
        'blog.toml:3: plan: "none" is no plan that "blog" may choose; write "small" or "large"'
    ]
    assert problems('plan = "small"', OTHER) == [
        'blog.toml:3: plan: "small" is no plan that "other" may choose; remove the line'
    ]


def test_roots_file_may_have_any_plan_and_exceed_it():
    assert loaded('plan = "none"', Owner()).limits.memory_max is None
    found = loaded('plan = "small"\nworkers = 64\n[limits]\nmemory_max = "4G"\n', Owner())
    assert (found.workers, found.limits.memory_max) == (Workers(64, 64), 4 * GIB)
    assert problems('plan = "tiny"', Owner()) == [
        'blog.toml:3: plan: there is no plan "tiny"; write "large" or "small"'
    ]


def test_roots_file_that_names_an_account_has_the_values_of_its_policy():
    found = loaded('user = "blog"\nlisten_ = 1'.replace("\nlisten_ = 1", ""), Owner())
    assert (found.plan, found.limits.slice) == ("small", "acme")


def test_everything_beyond_the_grant_is_reported_at_once_in_its_line():
    assert problems(
        """workers = 5
harakiri = 0
hosts = ["x.blog.example", "shop.example"]
[log]
keep = 3
target = "inherit"
[limits]
memory_max = "1G"
cpu_quota = "60%"
tasks_max = "infinity"
limit_nofile = "1024:4096"
io_read_bandwidth_max = { "/home" = "1M" }
slice = "beta"
nice = -5
oom_score_adjust = 0
disk_quota = "1G"
memory_swap_max = "1G"
cpu_weight = 100
[sandbox]
protect_system = "full"
private_pids = false
private_tmp = false
read_write_paths = ["/srv/shared/a", "/srv/shared2"]
bind_paths = ["/srv/pool/x:/etc"]
inaccessible_paths = ["/opt/secret2"]
capability_bounding_set = ["CAP_SYS_ADMIN"]
restrict_namespaces = ["user"]
system_call_filter = ["@hosting", "ptrace"]
ip_address_allow = ["169.254.0.0/16"]
ip_address_deny = []
root_directory = "/srv/root"
"""
    ) == [
        'blog.toml:3: workers: 5 is more than plan "small" grants, 4; write at most 4',
        'blog.toml:4: harakiri: 0 is more than plan "small" grants, 60; '
        "write at most 60, and not 0",
        'blog.toml:5: hosts[1]: "shop.example" is no name that the policy grants; '
        'write a name like "blog.example" or "*.blog.example"',
        'blog.toml:7: log.keep: 3 is more than plan "small" grants, 2; write at most 2',
        "blog.toml:8: log.target: is the emperor's own log, which no tenant writes into; "
        'write "file", "journal", or a path like "log/app.log"',
        'blog.toml:10: limits.memory_max: "1G" is more than plan "small" grants, "512M"; '
        'write at most "512M"',
        'blog.toml:11: limits.cpu_quota: "60%" is more than plan "small" grants, "50%"; '
        'write at most "50%"',
        'blog.toml:12: limits.tasks_max: "infinity" is more than plan "small" grants, 100; '
        "write at most 100",
        'blog.toml:13: limits.limit_nofile: "1024:4096" is more than plan "small" grants, '
        '"512:1024"; write at most "512:1024"',
        'blog.toml:14: limits.io_read_bandwidth_max: { "/home" = "1M" } is more than plan "small" '
        'grants, { "/srv" = "20M" }; write no more than { "/srv" = "20M" } for each of these',
        "blog.toml:15: limits.slice: is for the provider to say; "
        "remove it, or let root own the file",
        'blog.toml:16: limits.nice: -5 is more than plan "small" grants, nothing; '
        "remove it, or ask the provider",
        'blog.toml:17: limits.oom_score_adjust: 0 is more than plan "small" grants, 300; '
        "write at least 300",
        "blog.toml:18: limits.disk_quota: is for the provider to say; "
        "remove it, or let root own the file",
        'blog.toml:19: limits.memory_swap_max: "1G" is more than plan "small" grants, nothing; '
        "remove it, or ask the provider",
        'blog.toml:20: limits.cpu_weight: 100 is more than plan "small" grants, 80; '
        "write at most 80",
        'blog.toml:22: sandbox.protect_system: "full" is more than plan "small" grants, "strict"; '
        'write "strict", or remove the line',
        'blog.toml:23: sandbox.private_pids: false is more than plan "small" grants, true; '
        "write true, or remove the line",
        'blog.toml:24: sandbox.private_tmp: false is more than plan "small" grants, '
        '{ size = "64M", inodes = 16384 }; write at most { size = "64M", inodes = 16384 }',
        'blog.toml:25: sandbox.read_write_paths: ["/srv/shared/a", "/srv/shared2"] is more than '
        'plan "small" grants, ["/srv/shared"]; write paths inside of ["/srv/shared"]',
        'blog.toml:26: sandbox.bind_paths: ["/srv/pool/x:/etc"] is more than plan "small" grants, '
        '["/srv/pool:/pool"]; write parts of ["/srv/pool:/pool"]',
        'blog.toml:27: sandbox.inaccessible_paths: ["/opt/secret2"] is more than plan "small" '
        'grants, ["/opt/secret"]; keep ["/opt/secret"] in the list',
        'blog.toml:28: sandbox.capability_bounding_set: ["CAP_SYS_ADMIN"] is more than plan '
        '"small" grants, []; remove it, or ask the provider',
        'blog.toml:29: sandbox.restrict_namespaces: ["user"] is more than plan "small" grants, '
        "true; write true, or remove the line",
        'blog.toml:30: sandbox.system_call_filter: ["@hosting", "ptrace"] is more than plan '
        '"small" grants, ["@hosting"]; write ["@hosting"], and after it only what you take out, '
        'like "~@keyring"',
        'blog.toml:31: sandbox.ip_address_allow: ["169.254.0.0/16"] is more than plan "small" '
        "grants, []; remove it, or ask the provider",
        'blog.toml:32: sandbox.ip_address_deny: [] is more than plan "small" grants, '
        '["169.254.169.254/32", "fd00:ec2::254/128"]; keep '
        '["169.254.169.254/32", "fd00:ec2::254/128"] in the list',
        "blog.toml:33: sandbox.root_directory: is for the provider to say; "
        "remove it, or let root own the file",
    ]


def test_tenant_may_tighten_everything():
    found = loaded(
        """workers = 1
harakiri = 10
on_unsupported = "fail"
[limits]
memory_max = "64M"
memory_swap_max = 0
cpu_quota = "10%"
tasks_max = 10
limit_nofile = 100
limit_cpu = 60
io_read_bandwidth_max = { "/srv" = "1M", "/home" = "5M" }
nice = 10
oom_score_adjust = 900
io_scheduling_class = "idle"
allowed_cpus = "1"
umask = "000"
[sandbox]
private_tmp = { size = "1M", inodes = 10 }
protect_home = true
inaccessible_paths = ["/opt"]
read_write_paths = ["/srv/shared/blog"]
bind_paths = []
bind_read_only_paths = ["/srv/pool/x:/pool/x"]
network = "none"
restrict_address_families = "none"
system_call_filter = ["@hosting", "~@keyring"]
private_users = true
"""
    )
    assert found.sandbox.network == "none"
    assert found.sandbox.ip_address_deny == METADATA_ADDRESSES


def test_log_of_the_emperor_is_for_tenants_only_where_the_provider_says_so():
    for text in ('log = "inherit"', '[log]\nrequests = "inherit"'):
        (problem,) = problems(text)
        assert "is the emperor's own log" in problem
        assert loaded(text, Owner()).log != loaded("").log
    granted = emperor('[defaults]\nlog = "inherit"')
    assert loaded("", among=granted).log.target == "inherit"
    assert loaded('log = "inherit"', among=granted).log.target == "inherit"
    assert loaded('log = "journal"').log.target == "journal"


def test_soft_limit_may_be_as_high_as_the_hard_one():
    found = loaded('[limits]\nlimit_nofile = "1024:1024"')
    assert found.limits.all_rlimits()["nofile"] == (1024, 1024)


def test_ports_are_refused_where_the_policy_grants_unix_sockets_only():
    text = 'app = "a:b"\nlisten = ["http+unix:///run/a", "http://:8000"]\n'
    found = load_vassal("blog", text, "blog.toml", "/v", SET, BLOG)
    assert str(found) == (
        "blog.toml:2: listen[1]: http://:8000: only unix sockets are granted; "
        'write "http+unix:///run/emperor/sockets/blog.sock"'
    )


def test_egress_filter_of_the_plan_stays_closed():
    among = emperor(
        '[defaults.sandbox]\nnetwork = "egress-filter"\nip_address_allow = "10.0.0.0/8"'
    )
    loaded('[sandbox]\nip_address_allow = "10.1.0.0/16"', OTHER, among)
    for wrong in ("ip_address_allow = '192.0.2.1'", "network = 'host'", "ip_address_allow = 'any'"):
        assert len(problems(f"[sandbox]\n{wrong}", OTHER, among)) == 1


def test_filter_that_takes_out_and_adds_again_is_measured_by_what_it_allows():
    among = emperor('[defaults.sandbox]\nsystem_call_filter = ["@hosting", "~@keyring"]')
    loaded('[sandbox]\nsystem_call_filter = ["@basic-io"]', OTHER, among)
    for wrong in ('["@hosting", "~@keyring", "keyctl"]', "[]", '["@known"]'):
        assert len(problems(f"[sandbox]\nsystem_call_filter = {wrong}", OTHER, among)) == 1


def test_problems_of_plans_owners_and_customers_name_their_lines():
    text = """[plan.small]
worker = 3
hosts = "a.b"
[plan.small.limits]
memory_max = "2GB"
memory_hig = 1
[plan."a b"]
workers = 1
[owner.blog]
plan = "smal"
plans = ["small", "x"]
custom = "acme"
[owner.blog.sandbox]
user = "x"
[customer.acme.limits]
nice = 5
[policy]
default_plan = "y"
"""
    found = load_emperor(text, "emperor.toml", "/etc", PLACES, MACHINE)
    assert [str(problem) for problem in found.problems] == [
        "emperor.toml:2: plan.small.worker: unknown key; did you mean workers?",
        "emperor.toml:3: plan.small.hosts: this file has no such key; "
        "remove it, or see: emperor schema",
        'emperor.toml:5: plan.small.limits.memory_max: "2GB": unknown unit "GB"; write "2G"',
        "emperor.toml:6: plan.small.limits.memory_hig: unknown key; did you mean memory_high?",
        'emperor.toml:7: plan."a b": "a b" is not a name; '
        "use letters, digits, - and _, at most 41 of them",
        'emperor.toml:10: owner.blog.plan: there is no plan "smal"; write "small"',
        'emperor.toml:11: owner.blog.plans[1]: there is no plan "x"; write "small"',
        "emperor.toml:12: owner.blog.custom: unknown key; did you mean customer?",
        "emperor.toml:14: owner.blog.sandbox.user: the user is not a part of the sandbox; "
        "write user at the top of the file",
        "emperor.toml:16: customer.acme.limits.nice: [limits] has no such key; "
        "remove it, or see: emperor schema",
        'emperor.toml:18: policy.default_plan: there is no plan "y"; write "small"',
    ]


def test_contradiction_of_a_file_with_its_plan_is_reported_in_the_file():
    among = emperor(
        '[plan.p.limits]\nmemory_max = "1G"\nmemory_high = "900M"\n[policy]\ndefault_plan = "p"'
    )
    assert problems('[limits]\nmemory_max = "512M"', OTHER, among) == [
        "blog.toml:4: limits.memory_max: memory_high = 900M is more than memory_max = 512M; "
        "write memory_high and memory_max so that it is not"
    ]


def test_customers_budget_has_no_limit_that_nobody_wrote():
    assert SET.customers == {"acme": Budget(limits=Limits(memory_max=GIB, tasks_max=500))}
    settings = emperor("[customer.a.limits]\ncpu_quota = '50%'")
    assert settings.customers["a"].limits.tasks_max is None


def test_customer_without_a_section_is_wrong_wherever_it_is_named():
    text = """[owner.blog]
customer = "acm"
[owner.blog.limits]
slice = "other"
[plan.small.limits]
slice = "Acme"
[defaults.limits]
slice = "acme"
[owner."*"]
customer = "a b"
[customer.acme]
"""
    found = load_emperor(text, "emperor.toml", "/etc", PLACES, MACHINE)
    assert [str(problem) for problem in found.problems] == [
        'emperor.toml:2: owner.blog.customer: there is no customer "acm"; '
        'did you mean "acme"? If not, write [customer.acm] in emperor.toml (it may be empty)',
        'emperor.toml:4: owner.blog.limits.slice: there is no customer "other"; '
        "write [customer.other] in emperor.toml (it may be empty)",
        'emperor.toml:6: plan.small.limits.slice: there is no customer "Acme"; '
        'did you mean "acme"? If not, write [customer.Acme] in emperor.toml (it may be empty)',
        'emperor.toml:10: owner."*".customer: "a b" is not a name; '
        "use letters, digits, - and _, at most 41 of them",
    ]


def test_section_of_a_customer_that_is_wrong_is_there_all_the_same():
    text = '[owner.blog]\ncustomer = "acme"\n[customer.acme.limits]\nnice = 5\n'
    found = load_emperor(text, "emperor.toml", "/etc", PLACES, MACHINE)
    assert [problem.key for problem in found.problems] == ["customer.acme.limits.nice"]


def test_customers_workers_are_bounded_beside_their_limits():
    settings = emperor("workers_max = 64\n[customer.a]\nworkers_max = 8")
    assert (settings.workers_max, settings.customers["a"].workers_max) == (64, 8)
    assert settings.customers["a"].limits == Limits(tasks_max=None)


def test_settings_with_policy_survive_json():
    copy = msgspec.json.decode(msgspec.json.encode(SET), type=EmperorSettings)
    assert copy == SET


def test_parser_of_a_tenant_sees_nothing_of_other_owners():
    seen = seen_by(SET, OTHER)
    assert set(seen.owners) == {"*"}
    assert set(seen.plans) == {"large"}
    assert not seen.customers
    assert load("", OTHER, seen) == load("", OTHER)
    assert load("", BLOG, seen_by(SET, BLOG)) == load("", BLOG)


@pytest.mark.parametrize(
    ("host", "pattern", "yes"),
    [
        ("blog.example", "blog.example", True),
        ("a.blog.example", "*.blog.example", True),
        ("a.b.blog.example", "*.blog.example", True),
        ("blog.example", "*.blog.example", False),
        ("evilblog.example", "*.blog.example", False),
        ("anything", "*", True),
    ],
)
def test_host_patterns(host, pattern, yes):
    assert matches(host, pattern) is yes


def test_two_customers_never_share_a_uid():
    known = [Holder("shop", 1000, "acme"), Holder("own", 1001, None)]
    assert shared_uid(Holder("blog", 1000, "acme"), known) is None
    assert shared_uid(Holder("blog", 1002, "beta"), known) is None
    assert shared_uid(Holder("shop", 1000, "beta"), known) is None
    fault = shared_uid(Holder("blog", 1000, "beta"), known)
    assert fault is not None
    assert fault.problem == (
        'uid 1000 is customer "acme"\'s by shop, and this file makes it customer "beta"\'s'
    )
    assert shared_uid(Holder("blog", 1001, "beta"), known) is not None


def test_owner_with_too_many_vassals_gets_no_other():
    policy = OwnerPolicy(max_vassals=2)
    assert too_many("blog", 1, policy) is None
    assert too_many("blog", 5, OwnerPolicy()) is None
    fault = too_many("blog", 2, policy)
    assert fault is not None
    assert fault.problem == '"blog" has 2 vassals, and may have 2'


# ── properties ───────────────────────────────────────────────────────────────────────

SIZES = st.sampled_from([0, 2**20, 2**29, 2**30, "infinity", "1G"])
COUNTS = st.sampled_from([1, 10, 100, 128, 5000, "infinity"])
PATHS = st.lists(st.sampled_from(["/srv", "/srv/a", "/srv/a/b", "/home", "/srva"]), max_size=3)
SWITCH = st.booleans()
TABLES = st.fixed_dictionaries(
    {},
    optional={
        "workers": st.integers(1, 9),
        "harakiri": st.sampled_from([0, 1, 30, 60]),
        "on_unsupported": st.sampled_from(["fail", "warn"]),
        "limits": st.fixed_dictionaries(
            {},
            optional={
                **dict.fromkeys(("memory_max", "memory_high", "memory_swap_max"), SIZES),
                **dict.fromkeys(("memory_low", "disk_quota"), st.sampled_from([2**20, "1M", "1G"])),
                "cpu_quota": st.sampled_from(["5%", "50%", "150%", "infinity"]),
                "cpu_weight": st.integers(1, 300),
                "tasks_max": COUNTS,
                "nice": st.integers(-20, 19),
                "oom_score_adjust": st.integers(-999, 1000),
                "allowed_cpus": st.sampled_from(["0", "0-3", "1,2"]),
                "io_write_iops_max": st.dictionaries(
                    st.sampled_from(["/srv", "/home"]), st.integers(1, 99), max_size=2
                ),
                "limit_nofile": st.sampled_from(["1:2", "512:1024", "infinity", "5:infinity"]),
                "io_scheduling_class": st.sampled_from(["realtime", "best-effort", "idle"]),
                "slice": st.sampled_from(["a", "b"]),
            },
        ),
        "sandbox": st.fixed_dictionaries(
            {},
            optional={
                **dict.fromkeys(("private_pids", "private_users", "protect_clock"), SWITCH),
                **dict.fromkeys(
                    ("read_only_paths", "read_write_paths", "inaccessible_paths", "bind_paths"),
                    PATHS,
                ),
                "private_tmp": SWITCH | st.fixed_dictionaries({"size": st.integers(4096, 2**30)}),
                "protect_system": st.sampled_from(["no", "full", "strict", True]),
                "network": st.sampled_from(["host", "none", "egress-filter"]),
                "ip_address_allow": st.lists(
                    st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "any", "169.254.169.254"]),
                    max_size=2,
                ),
                "ip_address_deny": st.lists(
                    st.sampled_from(["10.0.0.0/8", "any", "link-local"]), max_size=2
                ),
                "restrict_namespaces": SWITCH | st.lists(st.sampled_from(["user", "net"])),
                "capability_bounding_set": st.lists(st.sampled_from(["CAP_KILL", "CAP_CHOWN"])),
                "system_call_filter": st.sampled_from(
                    [[], ["@hosting"], ["@basic-io"], ["@hosting", "~@keyring"], ["@known"]]
                ),
                "restrict_address_families": st.sampled_from(
                    ["none", [], ["AF_UNIX"], ["AF_UNIX", "AF_NETLINK"]]
                ),
            },
        ),
    },
)
ALWAYS_BOUNDED = frozenset({"on_unsupported", *LOGS})


def settled(values, defaults=None, owner=None):
    among = EmperorSettings(defaults=defaults or {}, machine=MACHINE)
    base = {"app": "a:b", "listen": ["http+unix:///run/a"], **values}
    return settle("a", Document("a.toml", base), "/v", among, owner or Owner())


@settings(deadline=None, max_examples=300)
@given(TABLES, TABLES)
def test_what_a_tenant_gets_is_never_more_than_its_grant(own, granted):
    defaults = {name: part for name, part in granted.items() if name in ("limits", "sandbox")}
    result = settled(own, defaults, OTHER)
    among = EmperorSettings(defaults=defaults, machine=MACHINE)
    grant = grant_of(among, choose(None, None, among, OTHER))
    if isinstance(result, ConfigError):
        return
    assert excesses(result, grant, ALWAYS_BOUNDED) == []
    mine, given_ = result.limits, grant.limits
    for name in ("memory_max", "memory_high", "tasks_max", "cpu_quota"):
        asked, bound = getattr(mine, name), getattr(given_, name)
        assert bound in (None, -1) or (asked not in (None, -1) and asked <= bound)
    assert mine.slice == given_.slice
    assert mine.oom_score_adjust >= given_.oom_score_adjust
    assert not grant.sandbox.private_pids or result.sandbox.private_pids
    assert set(result.sandbox.capability_bounding_set) <= set(grant.sandbox.capability_bounding_set)


@settings(deadline=None, max_examples=200)
@given(TABLES)
def test_what_one_has_is_within_what_one_has(values):
    found = settled(values)
    if isinstance(found, VassalSettings):
        assert excesses(found, found, ALWAYS_BOUNDED) == []


@settings(deadline=None, max_examples=300)
@given(TABLES, TABLES, TABLES)
def test_tighter_than_tighter_is_tighter(a, b, c):
    first, second, third = map(settled, (a, b, c))
    if any(isinstance(each, ConfigError) for each in (first, second, third)):
        return
    for key in (*FIELD_KEYS, VASSAL_KEYS["on_unsupported"]):
        if key.rule is None or key.name.startswith("sandbox.ip_address"):
            continue
        x, y, z = (value_of(each, key.name) for each in (first, second, third))
        if key.rule.within(x, y) and key.rule.within(y, z):
            assert key.rule.within(x, z), key.name


def test_every_directive_of_a_plan_has_a_rule_or_is_the_tenants_own_affair():
    free = {name for name, key in PLAN_KEYS.items() if key.rule is None}
    assert free == {
        "limits.memory_oom_group",
        "limits.umask",
        "sandbox.ip_address_allow",  # measured by ip_address_deny and network
        "sandbox.no_new_privileges",
        "sandbox.private_network",
        "sandbox.user",
    }


def test_built_in_sandbox_is_within_itself_with_less_of_everything():
    grant = VassalSettings(name="a", app="a:b", directory="/", listen=())
    asked = msgspec.structs.replace(
        grant,
        sandbox=Sandbox(private_tmp=TemporaryFileSystem(size=1, inodes=1), network="none"),
        limits=Limits(tasks_max=1, memory_max=1),
    )
    assert excesses(asked, grant, ALWAYS_BOUNDED) == []
    assert excesses(grant, asked, ALWAYS_BOUNDED) != []

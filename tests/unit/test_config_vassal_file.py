"""A vassal file as a whole: settings, or every problem at once."""

import tomllib

import msgspec
import pytest

from emperor.config.document import Document
from emperor.config.fields import value_of
from emperor.config.keys import VASSAL_KEYS
from emperor.config.problems import ConfigError, Invalid
from emperor.config.sandbox_keys import WITHOUT_FIELD
from emperor.config.settings import (
    EmperorSettings,
    ListenAddress,
    LogConfig,
    SocketMode,
    VassalSettings,
    Workers,
)
from emperor.config.vassal_file import load_vassal, settle, vassal_name, written
from limits.directives import Limits, Sandbox, TemporaryFileSystem

GOOD = 'app = "blog:app"\nlisten = "http+unix:///run/blog.sock"\n'


def load(text, emperor=None, name="blog"):
    return load_vassal(name, text, "blog.toml", "/etc/vassals", emperor or EmperorSettings())


def loaded(text, emperor=None):
    result = load(text, emperor)
    assert isinstance(result, VassalSettings), str(result)
    return result


def problems(text, emperor=None, name="blog"):
    result = load(text, emperor, name)
    assert isinstance(result, ConfigError), result
    return [str(problem) for problem in result.problems]


def test_contract_of_the_design_is_taken():
    settings = loaded(
        """
app = "blog.wsgi:application"
directory = "/srv/blog"
python = ".venv"
pythonpath = ["lib", "/opt/lib"]
listen = ["uwsgi+unix:///run/emperor/blog.sock", "http://127.0.0.1:8000"]
workers = 2
threads = 3
harakiri = "30s"
harakiri_max = "1m"
harakiri_soft = 25
user = "blog"
group = "www-data"
hosts = ["Blog.Example"]
touch_reload = "reload.txt"
reload_on_rss = "300M"
[env]
DJANGO_SETTINGS_MODULE = "blog.settings"
[socket]
group = "www-data"
mode = 0o666
[log]
target = "log/app.log"
max_size = "1M"
keep = 0
rate = 10
[limits]
memory_max = "256M"
cpu_quota = "50%"
tasks_max = 64
limit_nofile = "1024:4096"
[sandbox]
private_tmp = { size = "64M" }
protect_system = "strict"
"""
    )
    assert settings == VassalSettings(
        name="blog",
        app="blog.wsgi:application",
        directory="/srv/blog",
        python="/srv/blog/.venv",
        pythonpath=("/srv/blog/lib", "/opt/lib"),
        listen=(
            ListenAddress(
                url="uwsgi+unix:///run/emperor/blog.sock",
                protocol="uwsgi",
                path="/run/emperor/blog.sock",
            ),
            ListenAddress(
                url="http://127.0.0.1:8000", protocol="http", host="127.0.0.1", port=8000
            ),
        ),
        workers=Workers(2, 2),
        threads=3,
        harakiri=30.0,
        harakiri_max=60.0,
        harakiri_soft=25.0,
        user="blog",
        group="www-data",
        hosts=("blog.example",),
        touch_reload=("/srv/blog/reload.txt",),
        reload_on_rss=300 * 2**20,
        env={"DJANGO_SETTINGS_MODULE": "blog.settings"},
        socket=SocketMode(group="www-data", mode=0o666),
        log=LogConfig(
            target="/srv/blog/log/app.log", max_bytes=2**20, keep=0, lines_per_second=10.0
        ),
        limits=Limits(
            memory_max=256 * 2**20,
            cpu_quota=0.5,
            tasks_max=64,
            rlimits={"nofile": (1024, 4096)},
        ),
        sandbox=Sandbox(private_tmp=TemporaryFileSystem(size=64 * 2**20)),
        written=settings.written,
    )
    assert {
        "directory",
        "limits.limit_nofile",
        "limits.memory_max",
        "limits.cpu_quota",
        "limits.tasks_max",
        "sandbox.protect_system",
        "sandbox.private_tmp",
    } <= settings.written
    assert "backlog" not in settings.written


def test_directory_is_the_folder_of_the_file_unless_it_says_otherwise():
    assert loaded(GOOD).directory == "/etc/vassals"
    assert loaded(GOOD + 'directory = "../blog"').directory == "/etc/vassals/../blog"
    assert loaded(GOOD + 'directory = "blog"\npython = "venv"').python == "/etc/vassals/blog/venv"


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file():
    assert problems(
        """ap = "a:b"
worker = 3
memory_max = "3M"
max-requests = 3
timeout = 30
LimitNOFILE = 3
vaccum = true
harakiri = "soon"
zzz = 1
"a\\nb" = 2
listen = [
  "http://:80",
  "http://127.0.0.1",
]
[env]
B = 2
[log]
max_siz = "1M"
[limits]
workers = 2
limit_nofile = "a"
limit_nofil = 3
"""
    ) == [
        "blog.toml:1: ap: unknown key; did you mean app?",
        'blog.toml:1: app: is missing; write app = "blog.wsgi:application"',
        "blog.toml:2: worker: unknown key; did you mean workers?",
        "blog.toml:3: memory_max: unknown key here; write memory_max under [limits]",
        "blog.toml:4: max-requests: unknown key; write max_requests",
        "blog.toml:5: timeout: unknown key; write harakiri",
        "blog.toml:6: LimitNOFILE: unknown key here; write limit_nofile under [limits]",
        "blog.toml:7: vaccum: unknown key; remove the line: it is not needed here",
        'blog.toml:8: harakiri: "soon" is not a duration; '
        'write seconds like 30, or "500ms", "10m", "1h 30m"',
        "blog.toml:9: zzz: this file has no such key; remove it, or see: emperor schema",
        'blog.toml:10: "a\\nb": this file has no such key; remove it, or see: emperor schema',
        'blog.toml:13: listen[1]: "http://127.0.0.1" has no port; write "http://127.0.0.1:8000"',
        'blog.toml:16: env.B: 2 is not text; write B = "2"',
        "blog.toml:18: log.max_siz: unknown key; did you mean max_size?",
        "blog.toml:20: limits.workers: unknown key here; write workers above the first [table]",
        'blog.toml:21: limits.limit_nofile: "a" is not a limit; '
        'write a number like 1024, a pair "1024:4096", or "infinity"',
        "blog.toml:22: limits.limit_nofil: unknown key; did you mean limit_nofile?",
    ]


def test_key_that_stands_below_a_table_is_said_to_be_there():
    assert problems('app = "blog:app"\n[env]\nA = "1"\nlisten = "http://:8000"\n') == [
        "blog.toml:1: listen: is missing: in line 4 it is part of [env]; "
        "write it above [env], if it is the one that is meant"
    ]


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('bind = "x"', "write listen"),
        ("processes = 4", "write workers"),
        ('chdir = "/x"', "write directory"),
        ('module = "x"', "write app"),
        ('uid = "x"', "write user"),
        ('virtualenv = "x"', "write python"),
        ('socket.owner = "x"', "write user"),
        ('socket.chmod = "660"', "write mode"),
        ('home = "x"', "write python"),
        ('wsgi-file = "x"', "write app"),
        ('chmod-socket = "660"', "write mode under [socket]"),
        ("master = true", "remove the line: it is not needed here"),
        ("master = 1", "remove the line: it is not needed here"),
        ("max_fd = 1", "write limit_nofile under [limits]"),
    ],
)
def test_keys_of_other_servers_lead_to_ours(line, remedy):
    key = line.partition(" ")[0]
    assert problems(GOOD + line) == [f"blog.toml:3: {key}: unknown key; {remedy}"]


def test_socket_of_uwsgi_is_told_from_our_table():
    assert problems(GOOD + 'socket = ":3031"') == [
        'blog.toml:3: socket: ":3031" is not a table; '
        "write listen for addresses; [socket] has user, group and mode"
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            'bind_paths = ["/a:/x", "/a:/x", "/b:/x"]',
            'bind_paths[2]: "/x" is the target of "/a" already; name another target',
        ),
        (
            'bind_read_only_paths = "/a:/"',
            'bind_read_only_paths: nothing can be mounted on "/"; '
            'write root_directory = "/a", or name a folder in it',
        ),
        (
            'temporary_file_system = { "/" = true }',
            'temporary_file_system."/": nothing can be mounted on "/"; name the folders in it',
        ),
        (
            'temporary_file_system = "/"',
            'temporary_file_system: nothing can be mounted on "/"; name the folders in it',
        ),
        (
            'inaccessible_paths = ["/a", "/"]',
            'inaccessible_paths[1]: nothing can be mounted on "/"; name the folders in it',
        ),
        (
            'read_write_paths = ["/"]',
            'read_write_paths[0]: nothing can be mounted on "/"; write protect_system = "no"',
        ),
    ],
)
def test_what_cannot_be_mounted_is_told(line, told):
    assert problems(f"{GOOD}[sandbox]\n{line}\n") == [f"blog.toml:4: sandbox.{told}"]


def test_whole_root_can_be_restricted_and_a_bind_may_be_said_twice():
    found = loaded(f'{GOOD}[sandbox]\nread_only_paths = ["/"]\nbind_paths = ["/a", "/a:/a"]\n')
    assert found.sandbox.read_only_paths == ("/",)
    assert len(found.sandbox.bind_paths) == 1


def test_workers_begin_with_a_number_within_their_bounds():
    text = "workers = { min = 1, max = 8, initial = 4, step = 2 }"
    assert loaded(GOOD + text).workers == Workers(1, 8, initial=4, step=2)
    assert problems(GOOD + "workers = { min = 2, max = 8, initial = 1 }") == [
        "blog.toml:3: workers: initial = 1 is not between min = 2 and max = 8; "
        "write a number from 2 to 8, or remove it"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "harakiri = 30\nharakiri_soft = 30",
            "blog.toml:4: harakiri_soft: harakiri_soft = 30 is not shorter than harakiri = 30; "
            "write less than harakiri, or 0 to turn it off",
        ),
        (
            "harakiri_soft = 45",
            "blog.toml:3: harakiri_soft: harakiri_soft = 45 is not shorter than harakiri = 30; "
            "write less than harakiri, or 0 to turn it off",
        ),
        (
            "harakiri = 0\nharakiri_soft = 5",
            "blog.toml:4: harakiri_soft: harakiri_soft does nothing while harakiri is 0; "
            "give harakiri a time, or write harakiri_soft = 0",
        ),
        (
            "harakiri_max = 10",
            "blog.toml:3: harakiri_max: harakiri_max = 10 is shorter than harakiri = 30; "
            "write at least 30, or 0",
        ),
        (
            "max_requests_jitter = 5",
            "blog.toml:3: max_requests_jitter: max_requests_jitter = 5 is more than "
            "max_requests = 0; write a smaller jitter, or remove it",
        ),
        (
            "workers = 1000\nthreads = 1000",
            "blog.toml:4: threads: 1000 workers of 1000 threads are too many; "
            "write workers and threads so that their product is at most 4096",
        ),
    ],
)
def test_contradictions_are_reported(text, problem):
    assert problems(GOOD + text) == [problem]


def test_hosts_need_a_unix_socket():
    assert problems('app = "a:b"\nlisten = "http://:80"\nhosts = ["a.b"]') == [
        "blog.toml:3: hosts: there is no unix socket that these names could lead to; "
        'add "uwsgi+unix:///run/emperor/NAME.sock" to listen'
    ]


def test_value_that_is_wrong_is_not_also_called_missing_or_contradictory():
    assert len(problems('app = 3\nlisten = 4\nharakiri = "x"\nharakiri_max = 1')) == 3


def test_quoted_key_with_a_dot_is_not_a_table():
    assert problems(GOOD + '"log.keep" = 3') == [
        'blog.toml:3: "log.keep": this file has no such key; remove it, or see: emperor schema'
    ]


def test_thousands_of_unknown_keys_are_reported_in_part():
    found = problems(GOOD + "".join(f"wrkrs{n} = 1\n" for n in range(3000)))
    assert len(found) == 51
    assert found[-1].endswith("there are more problems; correct those above first")


DEFAULTS = EmperorSettings(
    defaults={
        "workers": 4,
        "log": "journal",
        "harakiri_max": 60,
        "env": {"A": "1", "B": "1"},
        "limits": {"limit_nofile": "1024"},
    },
    defaults_lines={"workers": 7, "env": 9, "env.A": 10, "env.B": 11, "harakiri_max": 8},
    file="emperor.toml",
)


def test_defaults_are_merged_key_by_key_and_the_file_wins():
    settings = loaded(
        GOOD + 'workers = 2\n[env]\nB = "2"\n[log]\nkeep = 1\n[limits]\nlimit_core = 0\n', DEFAULTS
    )
    assert settings.workers == Workers(2, 2)
    assert settings.env == {"A": "1", "B": "2"}
    assert settings.log == LogConfig(target="journal", keep=1)
    assert set(settings.limits.rlimits) == {"nofile", "core"}
    assert loaded(GOOD, DEFAULTS).workers == Workers(4, 4)


def test_wrong_default_is_reported_at_the_emperors_file():
    emperor = msgspec.structs.replace(DEFAULTS, defaults={"workers": 0, "env": {"A": 1}})
    assert problems(GOOD + '[env]\nC = "x"', emperor) == [
        "emperor.toml:7: workers: 0 is out of range; write a whole number from 1 to 1024",
        'emperor.toml:10: env.A: 1 is not text; write A = "1"',
    ]


def test_contradiction_with_a_default_is_reported_where_its_author_can_change_it():
    assert problems(GOOD + "harakiri = 90", DEFAULTS) == [
        "blog.toml:3: harakiri: harakiri_max = 60 is shorter than harakiri = 90; "
        "write at least 90, or 0"
    ]


REFUSED_FILE_NAMES = (
    *("blog", "blog.conf", ".toml", ".blog.toml", "-x.toml", "a..b.toml", "a/b.toml"),
    *("blog.toml~", "a b.toml", "x" * 64 + ".toml", "ü.toml", "a\n.toml"),
)


def test_names_of_vassals_can_be_parts_of_paths():
    assert vassal_name("blog.toml") == "blog"
    assert vassal_name("blog-2.example.toml") == "blog-2.example"
    for file_name in REFUSED_FILE_NAMES:
        assert vassal_name(file_name) is None
    assert problems(GOOD, name="a/b") == [
        'blog.toml:1: name: "a/b" is not a name for a vassal; '
        "name the file with letters, digits, - and _, at most 63, and .toml"
    ]


@pytest.mark.parametrize("key", VASSAL_KEYS.values(), ids=lambda key: key.name)
def test_default_and_example_of_every_key_are_legal(key):
    defaults = VassalSettings(name="", app="", directory="", listen=())
    if key.name in ("sandbox.user", "sandbox.no_new_privileges"):
        return  # neither has a value of its own
    assert key.example, f"{key.name} needs an example"
    example = key.parse(tomllib.loads(f"v = {key.example}")["v"])
    assert key.parse(msgspec.json.decode(msgspec.json.encode(key.write(example)))) == example
    if key.default:
        expected = value_of(defaults, key.name)
        assert key.parse(tomllib.loads(f"v = {key.default}")["v"]) == expected


ODD_VALUES = ({}, [], "", "\0", "x" * 9999, 10**300, -1, float("nan"), True, [[]], {"a": {}})


@pytest.mark.parametrize("key", VASSAL_KEYS.values(), ids=lambda key: key.name)
def test_parser_of_every_key_returns_or_says_what_is_wrong(key):
    for value in ODD_VALUES:
        faults = faults_of(key, value)
        assert all(fault.problem and fault.remedy for fault in faults)


def faults_of(key, value):
    try:
        key.parse(value)
    except Invalid as error:
        return error.faults
    return ()


def test_every_top_level_key_is_a_field_of_the_settings():
    fields = {field.name for field in msgspec.structs.fields(VassalSettings)}
    assert {name.partition(".")[0] for name in VASSAL_KEYS} | {
        "name",
        "written",
        "remarks",
        "uwsgi_options",
    } == fields


def test_every_directive_is_a_field_and_every_field_a_key():
    rlimits = {name for name in VASSAL_KEYS if name.startswith("limits.limit_")}
    for section, struct in (("limits", Limits), ("sandbox", Sandbox)):
        fields = {f"{section}.{name}" for name in struct.__struct_fields__}
        keys = {name for name in VASSAL_KEYS if name.startswith(f"{section}.")} - rlimits
        assert fields - {"limits.rlimits"} == keys - {f"sandbox.{name}" for name in WITHOUT_FIELD}


def test_settings_can_be_written_and_read_again():
    settings = loaded(
        GOOD + 'python = ".venv"\nlog = "log/x.log"\nhosts = "a.b"\n'
        'pythonpath = ["l"]\nmax_requests = 5\n'
        '[socket]\nmode = "606"\nuser = "x"\n[limits]\nlimit_rttime = "5ms"\n'
        'limit_as = "1G:infinity"\nlimit_cpu = "1m"\nlimit_nice = 5\n'
    )
    again = settle("blog", Document("f", written(settings)), "/elsewhere", EmperorSettings())
    assert isinstance(again, VassalSettings), again
    assert msgspec.structs.replace(again, written=settings.written) == settings

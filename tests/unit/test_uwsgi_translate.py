"""Options of uWSGI become settings of ours: values, paths, and what is said of each option."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.config.problems import ConfigError, quoted
from emperor.config.settings import (
    EmperorSettings,
    Layer,
    LogConfig,
    Owner,
    OwnerPolicy,
    Policy,
    Remark,
    VassalSettings,
    Workers,
)
from emperor.uwsgi.option import Option
from emperor.uwsgi.report import NEEDS_A_PERSON
from emperor.uwsgi.rows import Support
from emperor.uwsgi.table import KNOWN
from emperor.uwsgi.translate import Translation, native_values, settle_translation, translate

FILE = "/etc/vassals/blog.ini"
FOLDER = "/etc/vassals"
APP = ["module = blog.wsgi", "socket = /run/blog.sock"]


def options(*lines: str, file: str = FILE) -> list[Option]:
    pairs = (line.partition("=")[::2] for line in lines)
    return [
        Option(name.strip(), value.strip(), file, number)
        for number, (name, value) in enumerate(pairs, 2)
    ]


def translated(*lines: str) -> Translation:
    return translate("blog", options(*lines), FOLDER, FILE)


def values_of(*lines: str) -> dict[str, object]:
    found = translated(*APP, *lines)
    assert found.problems == ()
    return found.document.values


def problems_of(*lines: str) -> list[str]:
    return list(map(str, translated(*lines).problems))


def verdict_of(name: str, *lines: str) -> tuple[Support, str]:
    found = [each for each in translated(*APP, *lines).verdicts if each.option.name == name]
    return found[-1].verdict, found[-1].text


def settled(*lines: str, emperor: EmperorSettings | None = None) -> VassalSettings:
    result = settle_translation(
        translated(*lines), "blog", FOLDER, emperor or EmperorSettings(), Owner()
    )
    assert isinstance(result, VassalSettings), result
    return result


# --- the application ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "app"),
    [
        (["module = blog.wsgi"], "blog.wsgi:application"),
        (["wsgi = blog.wsgi:app"], "blog.wsgi:app"),
        (["module = blog", "callable = server"], "blog:server"),
        (["module = blog:create()"], "blog:create()"),
        (["wsgi-file = app.py"], "/etc/vassals/app.py:application"),
        (["file = /srv/a.wsgi", "callable = app"], "/srv/a.wsgi:app"),
        (["chdir = /srv/blog", "wsgi-file = app.py"], "/srv/blog/app.py:application"),
        (["chdir = blog", "wsgi-file = app.py"], "/etc/vassals/blog/app.py:application"),
        (["wsgi-file = app.py", "module = blog:app"], "blog:app"),
        (["module = old", "module = new"], "new:application"),
        (["mount = /=blog:app"], "blog:app"),
        (["mount = /shop=shop.py", "callable = app"], "/etc/vassals/shop.py:app"),
    ],
)
def test_the_application_is_the_one_that_uwsgi_would_load(lines: list[str], app: str) -> None:
    found = translated("socket = /run/blog.sock", *lines)

    assert found.problems == ()
    assert found.document.values["app"] == app


def test_a_callable_beside_a_module_that_names_its_own_does_nothing() -> None:
    found = translated("module = blog:app", "callable = other", "http = :80")

    assert found.document.values["app"] == "blog:app"
    assert found.verdicts[1].verdict is Support.IGNORED


def test_mounts_are_kept_by_prefix_beside_the_application() -> None:
    found = values_of("mount = /shop=shop:app", "mount = /blog/=/srv/blog.py", "manage-script-name")

    assert found["app"] == "blog.wsgi:application"
    assert found["mounts"] == {"/shop": "shop:app", "/blog": "/srv/blog.py:application"}


def test_a_mount_that_python_would_not_load_is_an_error() -> None:
    assert problems_of(*APP, "mount = /shop=shop") == [
        f'{FILE}:4: mount: "shop" is neither a file nor MODULE:CALLABLE; write'
        " /shop=shop:application"
    ]


@pytest.mark.parametrize("prefix", ["shop", "www.example.com", "www.example.com/x"])
def test_a_mount_where_no_path_leads_is_told_and_the_site_is_served(prefix: str) -> None:
    line = f"mount = {prefix}=shop.py"
    assert "mounts" not in values_of(line)
    support, text = verdict_of("mount", line)
    assert support is Support.UNSUPPORTED
    assert f"nothing is mounted: write mount = /{prefix}=shop.py; a host has" in text
    (problem,) = problems_of("socket = /run/a.sock", line)  # nor has uWSGI an application then
    assert "no application is named" in problem


def test_a_file_without_application_or_socket_says_so_in_words_of_uwsgi() -> None:
    first, second = problems_of("master = true")

    assert first.startswith(f"{FILE}:1: module: no application is named; write module = ")
    assert second.startswith(f"{FILE}:1: socket: there is no socket; write socket = ")


def test_a_folder_after_loading_is_the_directory_and_the_first_stays_on_the_import_path() -> None:
    found = values_of("chdir2 = /srv/data", "virtualenv = venv")

    assert found["directory"] == "/srv/data"
    assert found["pythonpath"] == ["/etc/vassals"]
    assert found["python"] == "/etc/vassals/venv"


def test_two_folders_cannot_be_had_and_that_is_said() -> None:
    support, text = verdict_of("chdir2", "chdir = /srv/blog", "chdir2 = /srv/data")

    assert support is Support.UNSUPPORTED
    assert "os.chdir()" in text


def test_paths_of_python_are_relative_to_chdir() -> None:
    found = values_of("chdir = /srv/blog", "venv = .venv", "pp = lib", "pythonpath = /srv/more")

    assert found["python"] == "/srv/blog/.venv"
    assert found["pythonpath"] == ["/srv/more", "/srv/blog/lib"]


def test_folders_that_a_pattern_matches_are_each_before_the_one_before_it() -> None:
    lines = ("chdir = /srv/blog", "pythonpath = lib/*", "pythonpath = /srv/more")
    asked: list[str] = []

    def glob(pattern: str) -> list[str]:
        asked.append(pattern)
        return ["/srv/blog/lib/a/", "/srv/blog/lib/b/"]

    found = translate("blog", options(*APP, *lines), FOLDER, FILE, glob)
    assert asked == ["/srv/blog/lib/*"]
    paths = ["/srv/more", "/srv/blog/lib/b", "/srv/blog/lib/a"]
    assert found.document.values["pythonpath"] == paths
    assert values_of(*lines)["pythonpath"] == ["/srv/more", "/srv/blog/lib/*"]


def test_more_folders_than_a_path_has_room_for_are_told() -> None:
    many = [f"/srv/{number:03}/" for number in range(100)]
    found = translate("blog", options(*APP, "pp = /srv/*"), FOLDER, FILE, lambda _: many)
    assert found.problems == ()
    assert found.document.values["pythonpath"] == [path[:-1] for path in reversed(many[:64])]
    assert found.verdicts[-1].verdict is Support.UNSUPPORTED


def test_home_is_no_tilde_and_nothing_is_the_folder_itself() -> None:
    assert values_of("pythonpath = ~/x")["pythonpath"] == ["/etc/vassals/~/x"]
    support, text = verdict_of("pythonpath", "pythonpath = ~/x")
    assert support is Support.UNSUPPORTED
    assert "write the whole path" in text
    assert values_of("pythonpath =")["pythonpath"] == ["/etc/vassals"]


def test_variable_without_a_name_is_left_out_and_told() -> None:
    assert values_of("env = =x", "env = A-B=1")["env"] == {"A-B": "1"}
    assert verdict_of("env", "env = =x")[0] is Support.UNSUPPORTED


def test_environment_for_the_interpreter_goes_where_ours_reads_it() -> None:
    found = values_of("env = PYTHONPATH=/a:b", "env = A=1", "env = A=2=3", "env = B=x", "unenv = B")

    assert found["pythonpath"] == ["/etc/vassals", "/a", "/etc/vassals/b"]
    assert found["env"] == {"A": "2=3"}


# --- sockets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("socket = :3031", "uwsgi://:3031"),
        ("uwsgi-socket = 127.0.0.1:3031", "uwsgi://127.0.0.1:3031"),
        ("socket = *:3031", "uwsgi://:3031"),
        ("http = :8000", "http://:8000"),
        ("http-socket = [::1]:8000", "http://[::1]:8000"),
        ("http11-socket = 0.0.0.0:80", "http://0.0.0.0:80"),
        ("fastcgi-socket = /run/f.sock", "fastcgi+unix:///run/f.sock"),
        ("scgi-socket = run/s.sock", "scgi+unix:///srv/blog/run/s.sock"),
        ("socket = blog.sock", "uwsgi+unix:///srv/blog/blog.sock"),
        ("socket = ../run/blog.sock", "uwsgi+unix:///srv/run/blog.sock"),
    ],
)
def test_addresses_become_urls(line: str, url: str) -> None:
    found = translated("module = blog", "chdir = /srv/blog", line)

    assert found.problems == ()
    assert found.document.values["listen"] == [url]


def test_the_protocol_counts_for_plain_sockets_only() -> None:
    found = values_of("protocol = http", "uwsgi-socket = /run/u.sock")

    assert found["listen"] == ["http+unix:///run/blog.sock", "uwsgi+unix:///run/u.sock"]


def test_a_shared_socket_is_listened_on_by_the_protocol_of_who_names_it() -> None:
    found = values_of("shared-socket = 0.0.0.0:80", "http-socket = =0")

    assert found["listen"] == ["uwsgi+unix:///run/blog.sock", "http://0.0.0.0:80"]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("socket = @", "is no name of a socket"),
        ("socket = fd://3", "binds sockets itself"),
        ("http = 192.168.*:80", "is a pattern"),
        ("http-socket = =1", "no shared-socket 1"),
        ("http-socket = example.com:80", "is not an IP address"),
        ("socket = 127.0.0.1:99999", "is not a port"),
        ("protocol = https", "is not spoken here"),
    ],
)
def test_an_address_that_cannot_be_had_is_an_error_at_its_line(line: str, word: str) -> None:
    name = line.partition(" ")[0]

    (problem,) = problems_of("module = blog", "socket = /run/blog.sock", line)

    assert problem.startswith(f"{FILE}:4: {name}: ")
    assert word in problem


def test_port_that_is_any_is_told_and_left_out() -> None:
    assert values_of("socket = 127.0.0.1:0", "http-socket = :0")["listen"] == [
        "uwsgi+unix:///run/blog.sock"
    ]
    support, text = verdict_of("http-socket", "http-socket = :0")
    assert support is Support.UNSUPPORTED
    assert text.startswith("port 0 is any that is free")
    (problem,) = problems_of("module = blog", "socket = 127.0.0.1:0")
    assert "there is no socket" in problem


def test_router_to_the_applications_own_socket_is_that_address() -> None:
    lines = ("socket = 127.0.0.1:3031", "http = :80,127.0.0.1:3031")
    assert values_of(*lines)["listen"] == [
        "uwsgi+unix:///run/blog.sock",
        "uwsgi://127.0.0.1:3031",
        "http://:80",
    ]


def test_router_to_another_application_is_told_and_left_out() -> None:
    assert len(values_of("http = :80,127.0.0.1:3031")["listen"]) == 1
    support, text = verdict_of("http", "http = :80,127.0.0.1:3031")
    assert support is Support.UNSUPPORTED
    assert text == 'requests would go on to "127.0.0.1:3031": let a web server do that'


@pytest.mark.parametrize("name", ["@blog", "\\0blog"])
def test_abstract_socket_is_everybodys(name: str) -> None:
    found = translated("module = blog", f"socket = {name}", "chmod-socket = 660")

    assert found.problems == ()
    assert found.document.values["listen"] == ["uwsgi+unix://@blog%00"]
    assert "socket" not in found.document.values
    assert "everybody's" in found.verdicts[-1].text


def test_two_sockets_of_one_address_are_an_error_at_the_second() -> None:
    (problem,) = problems_of(*APP, "http = :80", "http-socket = :80")

    assert problem.startswith(f"{FILE}:5: http-socket: ")


@pytest.mark.parametrize(
    ("line", "mode"), [("chmod-socket", "666"), ("chmod-socket = 1", "666"), ("chmod = 660", "660")]
)
def test_a_socket_has_the_mode_that_is_asked_for(line: str, mode: str) -> None:
    assert values_of(line)["socket"] == {"mode": mode}


def test_a_mode_of_four_digits_is_wrong_as_in_uwsgi() -> None:
    (problem,) = problems_of(*APP, "chmod-socket = 0660")

    assert problem == (
        f'{FILE}:4: chmod-socket: "0660" is not three octal digits; write a mode like 660'
    )


def test_a_socket_belongs_to_user_and_group() -> None:
    assert values_of("chown-socket = blog:www-data")["socket"] == {
        "user": "blog",
        "group": "www-data",
    }


def test_rights_queue_and_sizes_of_sockets() -> None:
    found = values_of(
        "listen = 512", "buffer-size = 70000", "socket-timeout = 10", "http-timeout = 90"
    )

    assert found["backlog"] == 512
    assert found["max_head"] == 65535
    assert found["socket_timeout"] == 90


# --- processes ----------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["true", "false", "1", "0"])
def test_keepalive_may_be_a_flag(word: str) -> None:
    assert verdict_of("http-keepalive", f"http-keepalive = {word}")[0] is Support.SATISFIED


def test_numbers_are_what_the_text_begins_with() -> None:
    found = values_of("harakiri = 60 ; a note", "processes = 4 # four", "threads = 2x")

    assert (found["harakiri"], found["workers"], found["threads"]) == (60, 4, 2)


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("harakiri = soon", "harakiri", 0),
        ('harakiri = "30"', "harakiri", 0),
        ("harakiri =", "harakiri", 0),
        ("max-requests = none", "max_requests", 0),
        ("py-autoreload = true", "autoreload", 0),
        ("py-autoreload", "autoreload", 0),
        ("threads = true", "threads", 1),
        ("threads", "threads", 1),
        ("limit-as = x", "limits", None),
        ("log-maxsize = true", "log", None),
        ("idle = true", "on_demand", None),
        ("prio = low", "limits", {"nice": 0}),
    ],
)
def test_a_number_that_is_none_is_uwsgis_0_and_told(line: str, key: str, value: object) -> None:
    name, _, text = (part.strip() for part in line.partition("="))

    assert values_of(line).get(key) == value
    support, said = verdict_of(name, line)
    assert support is Support.UNSUPPORTED
    assert (quoted(text) + " is no number" if text else "has no value") in said
    assert said.endswith(": taken as 0, as uWSGI does; write a number")


def test_slow_that_is_no_number_is_off() -> None:
    lines = ("disable-logging", "log-slow = true")
    assert values_of(*lines)["access_log"] == "off"
    assert verdict_of("log-slow", *lines)[1].startswith('off; "true" is no number')


def test_words_for_workers_are_one_since_without_any_nobody_is_served() -> None:
    for line in ("processes = auto", "workers = true", "processes"):
        name = line.partition(" ")[0]
        assert values_of(line)["workers"] == 1
        support, said = verdict_of(name, line)
        assert support is Support.UNSUPPORTED
        assert said.startswith("workers = 1; ")
        assert said.endswith("taken as 1, where uWSGI takes 0; write a number")
    fixed = values_of("processes = 3", "cheaper = true")
    assert fixed["workers"] == 3


@pytest.mark.parametrize("line", ["listen = max", "listen = 0", "listen"])
def test_no_queue_is_the_usual_one(line: str) -> None:
    assert "backlog" not in values_of(line)
    support, said = verdict_of("listen", line)
    assert support is Support.UNSUPPORTED
    assert "0 is no queue: it has the usual length" in said


@pytest.mark.parametrize(
    ("line", "key", "value", "said"),
    [
        ("processes = 5000", "workers", 1024, "5000 is more than 1024: taken as 1024"),
        ("processes = 0", "workers", 1, "0 is less than 1: taken as 1"),
        ("threads = 2000", "threads", 1024, "write 1024 or less"),
        ("harakiri = 99999999", "harakiri", 31622400, "write 31622400 or less"),
        ("listen = 100000", "backlog", 65535, "write 65535 or less"),
        ("prio = 30", "limits", {"nice": 19}, "30 is more than 19"),
        ("prio = -30", "limits", {"nice": -20}, "-30 is less than -20"),
    ],
)
def test_number_that_is_beyond_what_can_be_is_the_nearest_and_told(
    line: str, key: str, value: object, said: str
) -> None:
    assert values_of(line)[key] == value
    support, text = verdict_of(line.partition(" ")[0], line)
    assert support is Support.UNSUPPORTED
    assert said in text


@pytest.mark.parametrize("line", ["threads = -3", "listen = -1", "processes = -2", "max-fd = -1"])
def test_negative_number_is_an_error_as_in_uwsgi(line: str) -> None:
    (problem,) = problems_of(*APP, line)

    assert problem.startswith(f"{FILE}:4: {line.partition(' ')[0]}: -")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cron = 61 2 -1 -1 -1 a", '"61" is no minute, so it is left out; write numbers from 0'),
        ("cron2 = minute=99 a", '"99" is no minute, so it is left out'),
        ("attach-daemon2 = cmd=a,stopsignal=99", "99 is out of range, so it is left out"),
    ],
)
def test_task_that_never_runs_is_left_out_of_a_site_that_is_served(line: str, said: str) -> None:
    name = line.partition(" ")[0]
    found = values_of(line)
    assert "cron" not in found
    assert "daemon" not in found
    support, text = verdict_of(name, line)
    assert support is Support.UNSUPPORTED
    assert said in text


@pytest.mark.parametrize(
    ("line", "key", "table", "said"),
    [
        (
            "cron2 = minute=5,unique=true,legion=x a",
            "cron",
            {"schedule": "5 * * * *", "command": "a"},
            'legion: there are no legions; unique="true" is no number: taken as 0',
        ),
        ("cron2 = minute=x a", "cron", {"schedule": "0 * * * *", "command": "a"}, 'minute="x" is'),
        (
            "attach-daemon2 = cmd=a,stopsignal=SIGINT",
            "daemon",
            {"command": "a"},
            'stopsignal="SIGINT" is no number',
        ),
    ],
)
def test_words_for_numbers_of_a_task_are_told(
    line: str, key: str, table: dict[str, object], said: str
) -> None:
    assert values_of(line)[key] == [table]
    assert said in verdict_of(line.partition(" ")[0], line)[1]


def test_the_last_of_several_scalars_counts_and_the_others_say_so() -> None:
    found = translated(*APP, "processes = 2", "workers = 3")

    assert found.document.values["workers"] == 3
    assert found.verdicts[2].verdict is Support.IGNORED
    assert "workers in line 5" in found.verdicts[2].text


def test_cheaper_is_the_least_number_of_workers() -> None:
    assert settled(*APP, "processes = 8", "cheaper = 2").workers == Workers(2, 8)


def test_changed_modules_are_looked_for_as_often_as_the_file_says() -> None:
    assert settled(*APP, "py-autoreload = 3").autoreload == 3
    assert settled(*APP, "python-auto-reload = 0").autoreload == 0


def test_cheaper_site_begins_with_its_initial_number_and_grows_by_its_step() -> None:
    found = settled(*APP, "processes = 8", "cheaper = 2", "cheaper-initial = 4", "cheaper-step = 3")

    assert found.workers == Workers(2, 8, initial=4, step=3)


def test_initial_number_outside_of_the_bounds_is_the_nearest_as_in_uwsgi() -> None:
    few = settled(*APP, "processes = 8", "cheaper = 2", "cheaper-initial = 1")
    many = settled(*APP, "processes = 8", "cheaper = 2", "cheaper-initial = 20")

    assert (few.workers.initial, many.workers.initial) == (2, 8)


def test_initial_number_and_step_without_cheaper_do_nothing() -> None:
    found = translated(*APP, "processes = 8", "cheaper-initial = 2", "cheaper-step = 2")

    assert found.document.values["workers"] == 8
    assert [one.verdict for one in found.verdicts[-2:]] == [Support.IGNORED] * 2


def test_cheaper_must_be_less_than_processes_as_in_uwsgi() -> None:
    assert problems_of(*APP, "processes = 2", "cheaper = 2") == [
        f"{FILE}:5: cheaper: 2 is not less than processes, which is 2; write processes = 3 or more"
    ]


def test_an_idle_vassal_sleeps() -> None:
    found = settled(*APP, "idle = 600", "die-on-idle = true")

    assert (found.on_demand, found.idle_stop) == (True, 600)


def test_a_cheap_vassal_starts_with_its_first_connection() -> None:
    assert settled(*APP, "cheap = true").on_demand
    assert not settled(*APP, "cheap = no").on_demand


def test_a_graceful_harakiri_is_an_exception_before_the_kill() -> None:
    found = settled(*APP, "harakiri = 30", "harakiri-graceful-timeout = 5")

    assert (found.harakiri_soft, found.harakiri) == (30, 35)


def test_sizes_of_memory_are_megabytes() -> None:
    found = settled(*APP, "limit-as = 512", "reload-on-rss = 200M", "reload-on-as = 900")

    assert found.limits.rlimits["as"] == (512 << 20, 512 << 20)
    assert found.reload_on_as == 900 << 20
    assert found.reload_on_rss == 200 << 20


def test_the_evil_kind_counts_where_the_usual_one_is_missing() -> None:
    assert settled(*APP, "evil-reload-on-rss = 300").reload_on_rss == 300 << 20
    assert (
        settled(*APP, "evil-reload-on-rss = 300", "reload-on-rss = 200").reload_on_rss == 200 << 20
    )


def test_recycling_and_limits() -> None:
    found = settled(
        *APP,
        "processes = 4",
        "max-requests = 1000",
        "max-requests-delta = 50",
        "max-worker-lifetime = 3600",
        "worker-reload-mercy = 10",
        "limit-nproc = 50",
        "max-fd = 2048",
        "prio = 5",
        "cpu-affinity = 2",
        "umask = 077",
    )

    assert (found.max_requests, found.max_requests_jitter) == (1000, 150)
    assert (found.max_worker_lifetime, found.stop_timeout) == (3600, 10)
    assert found.limits.rlimits == {"nproc": (50, 50), "nofile": (2048, 2048)}
    assert (found.limits.nice, found.limits.umask) == (5, 0o077)
    assert (found.worker_cpus, found.limits.cpu_affinity) == (2, None)


@pytest.mark.parametrize("written", ["umask = 027", "umask = 0027"])
def test_umask_may_have_a_fourth_digit_in_front(written: str) -> None:
    assert settled(*APP, written).limits.umask == 0o027


@pytest.mark.parametrize(("written", "mask"), [("22", 0o022), ("2", 0o002), ("77", 0o077)])
def test_umask_of_fewer_digits_is_what_is_meant_by_it_and_told(written: str, mask: int) -> None:
    assert settled(*APP, f"umask = {written}").limits.umask == mask
    support, text = verdict_of("umask", f"umask = {written}")
    assert support is Support.UNSUPPORTED
    assert f"taken as {mask:03o}, where uWSGI takes 000" in text


@pytest.mark.parametrize("written", ["umask = rw", "umask = 999", "umask", "umask = 00022"])
def test_umask_that_is_no_mode_is_left_out_and_told(written: str) -> None:
    assert settled(*APP, written).limits.umask == 0o022
    support, text = verdict_of("umask", written)
    assert support is Support.UNSUPPORTED
    assert "is no mode: it has the usual one" in text


def test_a_jitter_is_never_more_than_the_requests() -> None:
    found = settled(*APP, "processes = 100", "max-requests = 100", "max-requests-delta = 50")

    assert found.max_requests_jitter == 100


def test_touched_files_are_relative_to_chdir() -> None:
    found = settled(*APP, "chdir = /srv/blog", "touch-reload = a", "touch-chain-reload = /b")

    assert found.touch_reload == ("/srv/blog/a", "/b")


def test_accounts_are_names_or_numbers() -> None:
    found = settled(*APP, "uid = www-data", "gid = 33")

    assert (found.user, found.group) == ("www-data", "33")


# --- logs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "target"),
    [
        (["logto = /var/log/a.log"], "/var/log/a.log"),
        (["chdir = /srv/blog", "logto = a.log"], "/etc/vassals/a.log"),
        (["daemonize = /var/log/d.log"], "/var/log/d.log"),
        (["logto = /a.log", "logto2 = /b.log"], "/b.log"),
        (["logger = file:/var/log/l.log"], "/var/log/l.log"),
        (["logger = one file:logfile=/l.log"], "/l.log"),
        (["logger = syslog"], "journal"),
        (["log-syslog"], "journal"),
        (["logto = /dev/stdout"], "inherit"),
    ],
)
def test_the_log_goes_where_the_file_says(lines: list[str], target: str) -> None:
    assert values_of(*lines)["log"] == {"target": target}


def test_a_loggers_own_size_counts_where_log_maxsize_is_not_there() -> None:
    logger = "logger = file:logfile=/l.log,maxsize=100000"
    assert values_of(logger)["log"] == {"target": "/l.log", "max_size": 100000}
    assert values_of(logger, "log-maxsize = 5000")["log"]["max_size"] == 5000


def test_requests_have_a_log_of_their_own_where_the_file_says_so() -> None:
    lines = ("logger = file:/var/log/a.log", "req-logger = file:requests.log")
    found = values_of(*lines, "log-4xx = true")
    assert found["log"] == {"target": "/var/log/a.log", "requests": "/etc/vassals/requests.log"}
    assert values_of("logger-req = syslog")["log"] == {"requests": "journal"}
    quiet = verdict_of("req-logger", *lines, "disable-logging")
    assert quiet == (Support.IGNORED, "no request is in the log")
    assert "requests" in values_of(*lines, "disable-logging", "log-5xx")["log"]
    assert verdict_of("req-logger", "req-logger = socket:/a")[0] is Support.UNSUPPORTED


@pytest.mark.parametrize("word", ["", "true", "1", "yes"])
def test_dates_of_uwsgi_are_those_of_ctime_or_as_the_file_says(word: str) -> None:
    assert values_of(f"log-date = {word}")["log"] == {"date": "%a %b %e %H:%M:%S %Y -"}
    assert values_of("log-prefix = %Y")["log"] == {"date": "%Y -"}
    assert verdict_of("log-date", "log-date = false")[0] is Support.IGNORED


def test_a_log_across_the_network_is_not_kept_silent_about() -> None:
    support, text = verdict_of("logto", "logto = 192.0.2.1:514")

    assert support is Support.UNSUPPORTED
    assert "syslog" in text


def test_requests_are_logged_in_the_form_that_is_asked_for_or_not_at_all() -> None:
    assert values_of("log-format = %(addr) %(uri)")["access_log"] == {"format": "%(addr) %(uri)"}
    assert values_of("disable-logging")["access_log"] == "off"
    assert "access_log" not in values_of("disable-logging = false")


def test_without_a_format_the_line_is_uwsgis_own() -> None:
    usual = {"format": "uwsgi"}
    assert native_values(translated("processes = 2").document)["access_log"] == usual
    for more, line in (
        ("log-micros", "uwsgi+micros"),
        ("memory-report", "uwsgi+memory"),
        ("log-micros = false", "uwsgi"),
    ):
        assert native_values(translated(more).document)["access_log"] == {"format": line}
    for more, why in (
        ("log-format = %(uri)", "log-format says what is in the line"),
        ("disable-logging", "no request is in the log"),
    ):
        assert verdict_of("log-micros", "log-micros", more) == (Support.IGNORED, why)


def test_some_requests_only_can_be_logged() -> None:
    assert verdict_of("log-5xx", "log-5xx = true")[0] is Support.SATISFIED
    quiet = ("disable-logging", "log-5xx", "log-4xx = false", "log-slow = 1500")
    assert verdict_of("log-5xx", *quiet)[0] is Support.SUPPORTED
    assert verdict_of("log-4xx", *quiet)[0] is Support.IGNORED
    found = {"log_5xx": True, "log_slow": 1.5, "format": "uwsgi"}
    assert values_of(*quiet)["access_log"] == found
    formed = values_of(*quiet, "log-format = %(uri) %(mine) %(var.X)")["access_log"]
    assert formed == {"log_5xx": True, "log_slow": 1.5, "format": "%(uri) %(logvar.mine) %(var.X)"}
    assert verdict_of("log-big", "disable-logging", "log-big = 5")[0] is Support.UNSUPPORTED


def test_static_maps_are_folders_by_prefix() -> None:
    found = values_of(
        "chdir = /srv/blog", "static-map = /static=static", "static-map2 = /media=/srv/files"
    )

    assert found["static"] == {"/static": "/srv/blog/static", "/media": "/srv/files/media"}


# --- verdicts and files -------------------------------------------------------------------


def test_static_map_that_no_path_begins_with_leaves_the_site_as_it_is() -> None:
    lines = ("static-map = static=/srv/static", "static-map = /media=/srv/media")
    assert values_of(*lines)["static"] == {"/media": "/srv/media"}
    said = verdict_of("static-map", lines[0])
    assert said == (
        Support.UNSUPPORTED,
        "no path begins so: write static-map = /static=/srv/static",
    )


def test_a_verdict_shows_what_the_option_became() -> None:
    assert verdict_of("harakiri", "harakiri = 30") == (Support.SUPPORTED, "harakiri = 30")
    assert verdict_of("env", "env = A=1") == (Support.SUPPORTED, 'env.A = "1"')


def test_a_flag_that_is_off_asks_for_the_contrary() -> None:
    assert verdict_of("master", "master = false")[0] is Support.IGNORED
    assert verdict_of("no-site", "no-site = off")[0] is Support.SATISFIED


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("vaccum", "vacuum"),
        ("vacum", "vacuum"),
        ("process", "processes"),
        ("worker", "workers"),
        ("mod-socket", "chmod-socket"),
        ("gui", "uid or gid"),
        ("py-callos-afterfork", "py-call-osafterfork"),
        ("max_requests", "max-requests"),
        ("buffersize", "buffer-size"),
    ],
)
def test_a_typo_is_recognised(typo: str, meant: str) -> None:
    support, text = verdict_of(typo, f"{typo} = 1")

    assert support is Support.UNKNOWN
    assert text.endswith(f"did you mean {meant}?")


def test_a_placeholder_is_no_typo() -> None:
    assert "did you mean" not in verdict_of("project", "project = blog")[1]


def test_in_a_strict_file_an_unknown_option_is_an_error() -> None:
    (problem,) = problems_of(*APP, "strict = true", "vaccum = true")

    assert problem == (
        f"{FILE}:5: vaccum: is no option of uWSGI, and the file is strict; did you mean vacuum?"
    )


def test_plugins_of_python_are_built_in_and_others_are_missing() -> None:
    assert verdict_of("plugins", "plugins = python3,http")[0] is Support.IGNORED
    assert verdict_of("plugin", "plugin = php")[0] is Support.UNSUPPORTED


def test_lines_are_those_of_the_vassals_own_file_only() -> None:
    other = options("harakiri = 30", file="/etc/base.ini")
    found = translate("blog", [*other, *options(*APP)], FOLDER, FILE)

    assert found.document.lines[("app",)] == 2
    assert ("harakiri",) not in found.document.lines


def test_a_problem_names_the_file_in_which_the_option_stands() -> None:
    other = options("harakiri = -1", file="/etc/base.ini")
    found = translate("blog", [*other, *options(*APP)], FOLDER, FILE)

    assert str(found.problems[0]).startswith("/etc/base.ini:2: harakiri: ")


# --- what uWSGI does without a word -------------------------------------------------------


def test_without_a_word_no_request_is_killed_and_files_can_be_read_by_others() -> None:
    found = settled(*APP)

    assert (found.harakiri, found.stop_timeout, found.limits.umask) == (0, 60, 0o022)


def test_the_provider_s_word_counts_more_than_what_uwsgi_does() -> None:
    assert settled(*APP, emperor=EmperorSettings(defaults={"harakiri": 20})).harakiri == 20


def test_a_provider_s_umask_counts_more_than_that_of_uwsgi() -> None:
    emperor = EmperorSettings(defaults={"limits": {"umask": "077", "tasks_max": 9}})

    found = settled(*APP, emperor=emperor)

    assert (found.limits.umask, found.limits.tasks_max) == (0o077, 9)


def test_a_plan_that_bounds_harakiri_does_not_refuse_a_file_that_says_nothing() -> None:
    emperor = EmperorSettings(
        policy=Policy(default_plan="small"), plans={"small": Layer(values={"harakiri": 20})}
    )
    tenant = Owner(name="blog", tenant=True)

    silent = settle_translation(translated(*APP), "blog", FOLDER, emperor, tenant)

    assert isinstance(silent, VassalSettings)
    assert silent.harakiri == 20


PLANNED = EmperorSettings(
    policy=Policy(default_plan="small"),
    plans={
        "small": Layer(
            values={
                "harakiri": 20,
                "workers": 2,
                "threads": 4,
                "limits": {"limit_nofile": "200:300"},
            }
        )
    },
)


def tenants(*lines: str, among: EmperorSettings = PLANNED) -> VassalSettings:
    tenant = Owner(name="blog", tenant=True)
    found = settle_translation(translated(*APP, *lines), "blog", FOLDER, among, tenant)
    assert isinstance(found, VassalSettings), found
    return found


@pytest.mark.parametrize(
    ("line", "said", "grant"),
    [
        ("harakiri = 60", "60 is more than {}, 20", "harakiri = 60 under [plan.small]"),
        ("processes = 9", "9 is more than {}, 2", "workers = 9 under [plan.small]"),
        ("threads = 9", "9 is more than {}, 4", "threads = 9 under [plan.small]"),
        ("prio = -5", "-5 is more than {}, nothing", "nice = -5 under [owner.blog.limits]"),
    ],
)
def test_tenant_has_what_is_granted_where_its_file_asks_for_more_and_is_told(
    line: str, said: str, grant: str
) -> None:
    found = tenants(line, "env = A=1")
    plain = tenants("env = A=1")

    said = said.format('plan "small" grants')
    more = f"to grant more, write {grant} in emperor.toml"
    reason = f"line 4: {said}: it has what is granted; {more}"
    assert found.remarks == (Remark(key=line.partition(" ")[0], reason=reason),)
    assert msgspec.structs.replace(found, remarks=()) == plain


def test_tenant_has_the_most_of_an_rlimit_that_is_granted() -> None:
    found = tenants("max-fd = 65536")
    # Any of its processes may raise a soft limit to the hard one.
    assert found.limits.all_rlimits()["nofile"] == (300, 300)
    assert found.remarks[0].reason == (
        'line 4: "65536:65536" is more than plan "small" grants, "200:300": it has 300:300; '
        'to grant more, write limit_nofile = "65536:65536" under [owner.blog.limits] in '
        "emperor.toml"
    )
    assert tenants("max-fd = 250").limits.all_rlimits()["nofile"] == (250, 250)
    assert tenants("max-fd = 250").remarks == ()


@pytest.mark.parametrize(
    ("file", "owners", "more"),
    [
        ("/etc/a.toml", {"*": {}}, 'write nice = -5 under [owner."*".limits] in /etc/a.toml'),
        ("/etc/a.toml", {"*": {}, "blog": {}}, "write nice = -5 under [owner.blog.limits] in /etc"),
        ("/run/uwsgi-emperor.toml", {}, "write it in an emperor.toml, for emperor run --config"),
    ],
)
def test_remark_says_where_the_provider_grants_it(
    file: str, owners: dict[str, dict[str, object]], more: str
) -> None:
    policies = {name: OwnerPolicy() for name in owners}
    emperor = msgspec.structs.replace(PLANNED, file=file, owners=policies)
    assert f"to grant more, {more}" in tenants("prio = -5", among=emperor).remarks[0].reason


def test_where_options_are_the_settings_the_emperors_own_max_fd_grants_files() -> None:
    emperor = msgspec.structs.replace(PLANNED, file="/run/uwsgi-emperor.toml")
    found = tenants("max-fd = 400", among=emperor)
    assert "to grant more, write max-fd = 400 for the emperor itself" in found.remarks[0].reason


@pytest.mark.parametrize(
    ("line", "log"),
    [
        ("logto = /dev/stdout", LogConfig()),
        ("logger = stdio", LogConfig()),
        ("req-logger = stdio", LogConfig()),
        ("logger = syslog", LogConfig(target="journal")),
    ],
)
def test_tenants_lines_do_not_get_into_the_emperors_log(line: str, log: LogConfig) -> None:
    found = tenants(line)
    assert found.log == log
    reasons = [remark.reason for remark in found.remarks]
    expected = [] if log.target == "journal" else ["is the emperor's own log"]
    assert len(reasons) == len(expected)
    assert all(said in reason for said, reason in zip(expected, reasons, strict=True)), reasons


def test_soft_deadline_goes_with_one_that_is_not_granted() -> None:
    found = tenants("harakiri = 30", "harakiri-graceful-timeout = 5")
    assert (found.harakiri, found.harakiri_soft) == (20, 0)


def test_addresses_that_are_not_granted_are_refused_in_every_dialect() -> None:
    emperor = EmperorSettings(owners={"blog": OwnerPolicy(listen_tcp=False)})
    lines = ("module = blog", "http-socket = 127.0.0.1:8000", "processes = 3")
    tenant = Owner(name="blog", tenant=True)
    found = settle_translation(translated(*lines), "blog", FOLDER, emperor, tenant)
    assert isinstance(found, ConfigError)
    assert "only unix sockets are granted" in str(found)


def test_a_default_for_the_soft_limit_does_not_contradict_a_file_without_harakiri() -> None:
    emperor = EmperorSettings(defaults={"harakiri_soft": 10})

    assert settled(*APP, emperor=emperor).harakiri == 30


# --- hostile files ------------------------------------------------------------------------

NAMES = st.sampled_from(sorted(KNOWN)) | st.text(max_size=12)
VALUES = st.text(max_size=40) | st.sampled_from(
    [
        "true",
        "",
        "\udcff",
        "/srv/\udcff:80",
        "0",
        "-1",
        "9" * 40,
        "/x=y",
        "=0",
        ":80",
        "a:b",
        "\0",
        "x=1",
        "/" * 5000,
        "*:1",
        "@a",
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=30))
def test_no_file_makes_it_raise_and_every_option_has_a_verdict(
    pairs: list[tuple[str, str]],
) -> None:
    given_options = [Option(name, value, FILE, 2) for name, value in pairs]

    found = translate("blog", given_options, FOLDER, FILE)

    assert [each.option for each in found.verdicts] == given_options
    assert all(each.text for each in found.verdicts)
    if not found.problems:
        settle_translation(found, "blog", FOLDER, EmperorSettings(), Owner(name="b", tenant=True))


def test_a_value_that_is_not_utf8_is_an_error() -> None:
    (problem,) = problems_of(*APP, "logto = /var/log/\udcff.log")

    assert problem.startswith(f"{FILE}:4: logto: its value is not UTF-8")


def test_thousands_of_unknown_options_take_no_long_time() -> None:
    found = translate("blog", options(*(f"nonsense-{n} = 1" for n in range(5000))), FOLDER, FILE)

    assert len(found.verdicts) == 5000


# --- whole files, as people have them -----------------------------------------------------

DJANGO = """
master = true
plugins = python3
chdir = /srv/shop
module = shop.wsgi:application
home = /srv/shop/.venv
env = DJANGO_SETTINGS_MODULE=shop.settings
uid = www-data
gid = www-data
socket = /run/uwsgi/shop.sock
chmod-socket = 660
chown-socket = www-data:www-data
processes = 8
threads = 2
enable-threads = true
harakiri = 60
max-requests = 5000
buffer-size = 32768
vacuum = true
die-on-term = true
need-app = true
single-interpreter = true
thunder-lock = true
no-orphans = true
logto = /var/log/uwsgi/shop.log
log-maxsize = 20971520
touch-reload = /srv/shop/reload
"""
FLASK = """
module = wsgi
callable = app
master = true
workers = 4
cheaper = 1
cheaper-algo = busyness
http-socket = :5000
lazy-apps = true
ignore-sigpipe = true
ignore-write-errors = true
disable-write-exception = true
reload-on-rss = 256
worker-reload-mercy = 30
auto-procname = true
procname-prefix-spaced = flask
py-call-osafterfork = true
"""
SLEEPER = """
strict = true
chdir = /home/me/blog
virtualenv = /home/me/blog/venv
wsgi = blog:app
socket = 127.0.0.1:3031
idle = 900
die-on-idle = true
cheap = true
limit-as = 512
memory-report = true
"""


@pytest.mark.parametrize("text", [DJANGO, FLASK, SLEEPER], ids=["django", "flask", "sleeper"])
def test_a_usual_file_leaves_nothing_to_a_person(text: str) -> None:
    found = translated(*text.split("\n")[1:-1])

    assert found.problems == ()
    left = [each for each in found.verdicts if each.verdict in NEEDS_A_PERSON]
    assert left == []


def test_a_usual_file_becomes_the_settings_that_its_author_meant() -> None:
    found = settled(*DJANGO.split("\n")[1:-1])

    assert found.app == "shop.wsgi:application"
    assert (found.directory, found.python) == ("/srv/shop", "/srv/shop/.venv")
    assert found.env == {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    assert (found.user, found.group) == ("www-data", "www-data")
    assert [address.url for address in found.listen] == ["uwsgi+unix:///run/uwsgi/shop.sock"]
    assert (found.socket.user, found.socket.group, found.socket.mode) == (
        "www-data",
        "www-data",
        0o660,
    )
    assert (found.workers, found.threads, found.harakiri) == (Workers(8, 8), 2, 60)
    assert (found.max_requests, found.max_head) == (5000, 32768)
    assert (found.log.target, found.log.max_bytes) == ("/var/log/uwsgi/shop.log", 20971520)
    assert found.touch_reload == ("/srv/shop/reload",)


# --- how the master is told things --------------------------------------------------------


def test_letters_signals_and_touched_files_of_the_log() -> None:
    found = settled(
        *APP,
        "chdir = /srv/blog",
        "master-fifo = a.fifo",
        "master-fifo = /run/b.fifo",
        "touch-logreopen = reopen",
        "touch-logrotate = /rotate",
        "die-on-term = true",
    )

    assert found.fifo == ("/srv/blog/a.fifo", "/run/b.fifo")
    assert found.log.touch_reopen == ("/srv/blog/reopen",)
    assert found.log.touch_rotate == ("/rotate",)
    assert found.signals == "uwsgi-die-on-term"


def test_signals_are_uwsgis_in_its_files_alone() -> None:
    assert settled(*APP).signals == "uwsgi"
    assert VassalSettings(name="", app="", directory="/", listen=()).signals == "ignore"


def test_there_are_as_many_fifos_as_digits() -> None:
    lines = [f"master-fifo = {number}" for number in range(11)]

    assert problems_of(*APP, *lines) == [
        f"{FILE}:14: master-fifo: 11 are too many; write at most 10"
    ]


# --- commands around the application ------------------------------------------------------


def test_commands_before_the_load_are_in_the_order_of_uwsgis_phases() -> None:
    found = values_of(
        "exec-pre-app = f",
        "exec-as-user = d",
        "hook-pre-app = exec:e",
        "exec-as-user = d2",
        "hook-as-user = exec:c",
        "exec-asap = a",
        "exec-in-jail = b",
    )
    assert found["exec_start_pre"] == ["a", "b", "c", "d", "d2", "e", "f"]


def test_commands_behind_the_load_and_at_the_end() -> None:
    found = values_of(
        "exec-post-app = b",
        "hook-post-app = safeexec:a",
        "exec-as-user-atexit = d",
        "hook-as-user-atexit = safeexec:c",
    )
    assert found["exec_start_post"] == ["-a", "b"]
    assert found["exec_stop_post"] == ["-c", "-d"]


@pytest.mark.parametrize(
    ("action", "line"),
    [
        ("mkdir:a b", "mkdir -- 'a b'"),
        ("unlink:-a", "rm -- -a"),
        ("creat:it's", """: > 'it'"'"'s'"""),
        ("chmod:a.sock 660", "chmod 660 a.sock"),
        ("write:a b  c", "printf '%s' 'b  c' > a"),
        ("appendn:a", "printf '%s\\n' '' >> a"),
        ("print:$(id)", "printf '%s\\n' '$(id)'"),
        ("!exec:a:b", "a:b"),
    ],
)
def test_actions_are_lines_for_the_shell(action: str, line: str) -> None:
    assert values_of(f"hook-as-user = {action}")["exec_start_pre"] == [line]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("exec-as-user", "is no command"),
        ("exec-as-user = -a", "is no command"),
        ("exec-pre-app = +/bin/a", "only systemd knows"),
        ("hook-as-user = a", "has no action"),
        ("hook-as-user = tcc:a", "is no action of uWSGI's"),
        ("hook-as-user = write:a", "has no text"),
        ("hook-as-user = chmod:a 0660", "not three octal digits"),
    ],
)
def test_what_is_no_command_is_a_problem_of_its_line(line: str, problem: str) -> None:
    (found,) = problems_of(*APP, line)
    assert found.startswith(f"{FILE}:4: {line.partition(' ')[0]}: ")
    assert problem in found


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("hook-as-user = chdir:/srv", "write chdir"),
        ("hook-as-user = putenv:A=b", "write env"),
        ("hook-pre-app = mount:none /tmp", "[sandbox]"),
        ("hook-pre-app = callret:f", "module"),
        ("exec-as-root = a", "nothing of a vassal's file is run as root"),
        ("hook-touch = a exec:b", "path unit"),
        ("hook-post-fork = exec:a", "@postfork"),
    ],
)
def test_what_is_no_command_of_the_user_names_what_to_use(line: str, instead: str) -> None:
    assert not values_of(line).keys() & {"exec_start_pre", "exec_start_post"}
    support, text = verdict_of(line.partition(" ")[0], line)
    assert support is Support.UNSUPPORTED
    assert instead in text


# --- caches -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name=a,items=10", ""),
        ("name=a,maxitems=10,key_size=64,blocksize=100,purge_lru=1,hash=murmur2", ""),
        ("name=a,items=10,store=/srv/a,store_sync=5", "store: it is empty after a restart"),
        ("name=a,items=10,udp=10.0.0.1:3", "udp: it is this vassal's alone"),
        ("name=a,items=10,bitmap=1", "bitmap: a value is at most one block long"),
        ("name=a,items=10,purgelru=1", "purgelru: it is no key of cache2"),
    ],
)
def test_what_of_a_cache_is_not_done_is_said(text: str, reason: str) -> None:
    support, said = verdict_of("cache2", f"cache2 = {text}")
    assert support is (Support.UNSUPPORTED if reason else Support.SATISFIED)
    assert reason in said


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("cache2 = items=10", "name is missing"),
        ("cache2 = name=a", "items is missing"),
        ("cache2 = name=a,items=0", "out of range"),
        ("cache2 = name=a,items=3,keysize=65536", "out of range"),
        ("cache2 = name=a,items=x", 'items="x" is out of range'),
    ],
)
def test_what_is_no_cache_is_a_problem(line: str, problem: str) -> None:
    (found,) = problems_of(*APP, line)
    assert problem in found


def test_cache_of_no_number_is_none() -> None:
    assert verdict_of("cache", "cache = true") == (
        Support.UNSUPPORTED,
        '0 is no cache; "true" is no number: taken as 0, as uWSGI does; write a number',
    )


def test_mount_that_uwsgi_would_not_choose_by_the_path_says_that_it_is_here() -> None:
    mount = "mount = /shop=shop:app"
    managed = translated(*APP, mount, "manage-script-name = true").verdicts
    assert "manage-script-name" not in managed[-2].text
    assert managed[-1].verdict is Support.SATISFIED
    for more in ((), ("manage-script-name = false",)):
        verdicts = translated(*APP, mount, *more).verdicts
        assert verdicts[len(verdicts) - 1 - len(more)].text.endswith(
            "chosen by the path too, where uWSGI would need manage-script-name for that"
        )
    assert verdicts[-1].verdict is Support.IGNORED
    assert verdicts[-1].text.startswith("it cannot be turned off: ")

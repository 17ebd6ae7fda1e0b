"""The emperor's own file."""

import json

import msgspec
import pytest

from emperor.config.default_places import Places, default_places
from emperor.config.emperor_file import EMPEROR_KEYS, load_emperor
from emperor.config.problems import ConfigError
from emperor.config.settings import EmperorSettings, Policy, WatchMode
from emperor.config.vassal_file import load_vassal

ROOT = Places("/run/emperor", "/var/log/emperor", "/var/lib/emperor")


def problems(text):
    result = load_emperor(text, "emperor.toml", "/etc/emperor", ROOT)
    assert isinstance(result, ConfigError), result
    return [str(problem) for problem in result.problems]


def test_empty_file_gives_the_defaults():
    assert load_emperor("", "emperor.toml", "/etc/emperor", ROOT) == EmperorSettings()


def test_everything_can_be_said():
    text = """
directories = ["vassals", "/srv/vassals"]
runtime_dir = "run"
log_dir = "/var/log/e"
spawn_concurrency = 8
shutdown_timeout = "1m"
watch = "poll"
poll_interval = "500ms"
[policy]
default_user = "www-data"
allow_root = true
[defaults]
workers = 3
socket.mode = 0o666
[defaults.limits]
umask = 0o27
limit_core = 0o0
"""
    assert load_emperor(text, "emperor.toml", "/etc/emperor", ROOT) == EmperorSettings(
        directories=("/etc/emperor/vassals", "/srv/vassals"),
        runtime_dir="/etc/emperor/run",
        log_dir="/var/log/e",
        spawn_concurrency=8,
        shutdown_timeout=60.0,
        watch=WatchMode.POLL,
        poll_interval=0.5,
        policy=Policy(default_user="www-data", allow_root=True),
        defaults={
            "workers": 3,
            "socket": {"mode": "666"},
            "limits": {"umask": "027", "limit_core": 0},
        },
        defaults_lines={
            "workers": 13,
            "socket": 14,
            "socket.mode": 14,
            "limits": 15,
            "limits.umask": 16,
            "limits.limit_core": 17,
        },
        file="emperor.toml",
    )


def test_settings_survive_json_and_still_load_vassals():
    text = '[defaults]\nsocket.mode = 0o666\nenv = { A = "1" }\nharakiri = 1.5\nlog = "journal"\n'
    emperor = load_emperor(text, "emperor.toml", "/etc/emperor", ROOT)
    assert isinstance(emperor, EmperorSettings)
    copy = msgspec.json.decode(msgspec.json.encode(emperor), type=EmperorSettings)
    vassal = 'app = "a:b"\nlisten = "http://:80"\n'
    results = [load_vassal("a", vassal, "a.toml", "/v", each) for each in (emperor, copy)]
    assert results[0] == results[1]
    assert results[0].socket.mode == 0o666
    json.dumps(emperor.defaults)


def test_everything_wrong_is_reported_at_once():
    assert problems(
        """directory = ["vassals"]
watch = "never"
directories = ["a", "a"]
runtime_dir = 5
[defaults]
listen = "http://:80"
worker = 3
workers = 0
harakiri_soft = 60
[policy]
allow_roo = true
default_user = "a b"
"""
    ) == [
        "emperor.toml:1: directory: unknown key; did you mean directories?",
        'emperor.toml:2: watch: "never" is not one of the choices; '
        'write "auto", "inotify" or "poll"',
        "emperor.toml:3: directories[1]: is in the list twice; remove one",
        'emperor.toml:4: runtime_dir: 5 is not a path; write "/srv/blog"',
        "emperor.toml:6: defaults.listen: two vassals cannot share it; "
        "write it in the vassals' files",
        "emperor.toml:7: defaults.worker: unknown key; did you mean workers?",
        "emperor.toml:8: defaults.workers: 0 is out of range; write a whole number from 1 to 1024",
        "emperor.toml:9: defaults.harakiri_soft: harakiri_soft = 60 is not shorter than "
        "harakiri = 30; write less than harakiri, or 0 to turn it off",
        "emperor.toml:11: policy.allow_roo: unknown key; did you mean allow_root?",
        'emperor.toml:12: policy.default_user: "a b" is not a name of a user or group; '
        "write the name as it is in /etc/passwd or /etc/group",
    ]


def test_runtime_directory_must_leave_room_for_sockets():
    assert problems(f'runtime_dir = "/{"x" * 94}"') == [
        "emperor.toml:1: runtime_dir: is 95 bytes long, too long for the sockets in it; "
        "write at most 94"
    ]


def test_defaults_must_be_a_table():
    assert problems("defaults = 3") == [
        "emperor.toml:1: defaults: is not a table; write [defaults] on a line of its own"
    ]


@pytest.mark.parametrize(
    ("uid", "environ", "places"),
    [
        (0, {"XDG_RUNTIME_DIR": "/run/user/0"}, ROOT),
        (
            1000,
            {"XDG_RUNTIME_DIR": "/run/user/1000", "HOME": "/home/a"},
            Places(
                "/run/user/1000/emperor",
                "/home/a/.local/state/emperor/log",
                "/home/a/.local/state/emperor/state",
            ),
        ),
        (
            1000,
            {"HOME": "/home/a", "XDG_STATE_HOME": "/s"},
            Places("/s/run/emperor", "/s/emperor/log", "/s/emperor/state"),
        ),
    ],
)
def test_places_depend_on_who_runs_the_emperor(uid, environ, places):
    assert default_places(uid, environ) == places


def test_every_key_has_help():
    assert all(key.help.endswith(".") for key in EMPEROR_KEYS.values())

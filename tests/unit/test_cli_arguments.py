import errno
from pathlib import Path

import pytest

from emperor.cli.errors import UsageError
from emperor.cli.main import build_parser, main
from emperor.cli.runtime_dir import named_runtime_dir, runtime_dir
from emperor.cli.serve_options import ServeOptions, parse
from emperor.config.default_places import default_places
from emperor.config.settings import AccessLog, LogConfig, VassalSettings, Workers
from emperor.control.client import refusal, unreachable


def arguments(*words: str):
    return build_parser(words).parse_args(words)


def served(*words: str) -> ServeOptions:
    return parse(arguments("serve", *words), "/srv")


def test_serve_without_options_has_the_defaults_of_a_vassal_file():
    options = served("blog.wsgi:application", "--listen", "http://127.0.0.1:8000")
    [address] = options.settings.listen
    assert options == ServeOptions(
        VassalSettings(
            name="blog",
            app="blog.wsgi:application",
            directory="/srv",
            listen=(address,),
            log=LogConfig(target="inherit"),
        )
    )
    assert (address.protocol, address.host, address.port) == ("http", "127.0.0.1", 8000)


def test_serve_takes_every_option():
    options = served(
        *(
            "blog.wsgi:make('x')",
            "--listen",
            "http://:8000",
            "--listen",
            "uwsgi+unix:///run/b.sock",
        ),
        *("--workers", "4", "--threads", "2", "--harakiri", "30", "--harakiri-max", "10m"),
        *("--harakiri-soft", "20", "--python", ".venv", "--directory", "blog"),
        *("--pythonpath", "lib", "--pythonpath", "/opt/lib", "--env", "A=1", "--env", "B=x=y"),
        *("--max-requests", "1000", "--max-requests-jitter", "0", "--max-worker-lifetime", "6h"),
        *("--reload-on-rss", "300M", "--spawn-timeout", "5", "--stop-timeout", "0.5"),
        *("--socket-timeout", "7", "--keepalive-timeout", "3", "--max-head", "64K"),
        *("--max-body", "20M", "--backlog", "99"),
    )
    settings = options.settings
    assert [address.key for address in settings.listen][1] == "unix:/run/b.sock"
    assert (settings.workers, settings.threads, settings.backlog) == (Workers(4, 4), 2, 99)
    assert (settings.harakiri, settings.harakiri_max, settings.harakiri_soft) == (30, 600, 20)
    assert (settings.directory, settings.python) == ("/srv/blog", "/srv/.venv")
    assert settings.pythonpath == ("/srv/lib", "/opt/lib")
    assert settings.env == {"A": "1", "B": "x=y"}
    assert (settings.max_requests, settings.max_requests_jitter) == (1000, 0)
    assert (settings.max_worker_lifetime, settings.reload_on_rss) == (21600, 300 * 2**20)
    assert (settings.spawn_timeout, settings.stop_timeout) == (5, 0.5)
    assert (settings.socket_timeout, settings.keepalive_timeout) == (7, 3)
    assert (settings.max_head, settings.max_body) == (64 * 1024, 20 * 2**20)
    assert options.master


def test_zero_turns_a_limit_off():
    settings = served(
        "b:a", "--listen", "http://:80", "--harakiri", "0", "--reload-on-rss", "0"
    ).settings
    assert (settings.harakiri, settings.reload_on_rss) == (0, 0)


def test_serve_names_everything_that_is_wrong_at_once():
    with pytest.raises(UsageError) as caught:
        served(
            *("my-blog", "--listen", "8000", "--workers", "many", "--max-body", "5MB"),
            *("--env", "NAME", "--harakiri", "-1"),
        )
    faults = str(caught.value).split("\n")
    assert [fault.partition(":")[0] for fault in faults] == [
        "--env", "APP", "--listen", "--workers", "--harakiri", "--max-body"
    ]  # fmt: skip
    assert faults[0] == "--env: 'NAME' has no value; write --env NAME=VALUE"
    assert faults[-1].endswith('write "5M"')


def test_serve_without_master_is_one_process():
    assert not served("b:a", "--listen", "http://:80", "--no-master").master
    with pytest.raises(UsageError, match="--no-master: one process serves"):
        served("b:a", "--listen", "http://:80", "--no-master", "--workers", "2")
    with pytest.raises(UsageError, match="--no-master: nobody loads it anew"):
        served("b:a", "--no-master", "--autoreload", "1")


def test_serve_without_an_address_listens_where_gunicorn_does():
    [address] = served("b:a").settings.listen
    assert address.url == "http://127.0.0.1:8000"


def test_who_comes_from_gunicorn_is_told_what_to_write(capsys):
    words = ("b:a", "-w", "4", "-b:80", "--timeout=30", "--reload", "--access-logfile", "-", "--x")
    assert main(["serve", *words]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "emperor serve: -w: unknown option; write --workers N",
        "emperor serve: -b: unknown option; write --listen http://HOST:PORT",
        "emperor serve: --timeout: unknown option; write --harakiri S",
        "emperor serve: --reload: unknown option; write --autoreload S",
        "emperor serve: --access-logfile: unknown option; write --access-log on",
        "emperor serve: --x: unknown option; see: emperor serve --help",
    ]


def test_words_that_are_too_much_are_told_with_their_command(capsys):
    assert main(["status", "blog", "shop", "--jsn"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "emperor status: shop: is too much; see: emperor status --help",
        "emperor status: --jsn: is no option here (options stand behind the command); "
        "see: emperor status --help",
    ]


def test_serve_takes_a_log_of_requests_and_looks_for_changed_files():
    settings = served("b:a", "--access-log", "on", "--autoreload", "1").settings
    assert (settings.access_log, settings.autoreload) == (AccessLog(), 1)


def test_run_takes_directories_config_and_runtime_dir():
    given = arguments("run", "--config", "e.toml", "--runtime-dir", "/r", "a", "b")
    assert (given.config, given.runtime_dir, given.directories) == ("e.toml", "/r", ["a", "b"])


def test_logs_takes_a_number_of_lines_within_bounds(capsys):
    assert arguments("logs", "blog").lines == 100
    assert arguments("logs", "blog", "-f", "-n", "0").follow
    for wrong in ("-1", "10001", "all", "99999999999999999999", "²"):
        with pytest.raises(SystemExit):
            arguments("logs", "blog", f"-n={wrong}")
    assert "whole number from 0 to 10000" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["restart", "status", "logs", "explain", "reopen"])
def test_empty_name_of_a_vassal_is_refused(command, capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(command, "")
    assert ended.value.code == 2
    assert "NAME: is empty; write the name of a vassal" in capsys.readouterr().err


def test_help_tells_the_exit_statuses(capsys):
    with pytest.raises(SystemExit) as caught:
        arguments("--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "3  no emperor could be reached" in shown
    assert "EMPEROR_RUNTIME_DIR" in shown


def test_help_of_serve_has_the_help_of_the_vassal_file(capsys):
    with pytest.raises(SystemExit):
        arguments("serve", "--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "A request that runs longer is killed with its worker. 0 = never. Default: 30." in shown
    assert "--workers N Processes. Default: 1." in shown, "bounds are for files"


@pytest.mark.parametrize(
    ("option", "environ", "euid", "chosen"),
    [
        ("/r", {"EMPEROR_RUNTIME_DIR": "/e"}, 0, "/r"),
        (None, {"EMPEROR_RUNTIME_DIR": "/e"}, 0, "/e"),
        (None, {"EMPEROR_RUNTIME_DIR": ""}, 0, "/run/emperor"),
        (None, {"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run/emperor"),
        (None, {"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7/emperor"),
    ],
)
def test_runtime_dir_is_the_named_one_or_the_users(option, environ, euid, chosen):
    assert runtime_dir(option, environ, euid) == Path(chosen)


@pytest.mark.parametrize("environ", [{}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "here"}])
def test_without_a_runtime_dir_it_is_where_emperor_run_has_it(environ):
    environ = {**environ, "HOME": "/home/a"}
    chosen = runtime_dir(None, environ, 7)
    assert chosen == Path("/home/a/.local/state/run/emperor")
    assert str(chosen) == default_places(7, environ).runtime_dir
    assert named_runtime_dir(None, environ) is None


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (FileNotFoundError(errno.ENOENT, "no"), "no emperor runs at /r/control.sock"),
        (ConnectionRefusedError(), "no emperor runs at /r/control.sock any more"),
        (PermissionError(), "permission denied at /r/control.sock"),
        (TimeoutError(), "the emperor at /r/control.sock does not answer"),
        (BlockingIOError(), "the emperor at /r/control.sock does not answer"),
        (ConnectionResetError(), "the emperor at /r/control.sock hung up"),
        (OSError("AF_UNIX path too long"), "/r/control.sock: AF_UNIX path too long"),
    ],
)
def test_unreachable_emperor_is_explained_with_what_to_do(error, what):
    explained = unreachable(Path("/r/control.sock"), error)
    assert explained.what == what
    assert explained.remedy


def test_emperor_of_the_system_is_pointed_out(tmp_path):
    system_socket = tmp_path / "control.sock"
    system_socket.touch()
    explained = unreachable(Path("/r/control.sock"), FileNotFoundError(), system_socket)
    assert f"there is one at --runtime-dir {tmp_path}" in explained.remedy


def test_refusal_without_reasons_names_the_status():
    assert refusal(404, b'{"error":{"what":"no vassal","remedy":"Look."}}').remedy == "Look."
    for body in (b"Bad Request", b"{}", b'{"error":{}}', b""):
        assert refusal(400, body).what == "the emperor answered with HTTP status 400"


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_of_uwsgi_is_ours_though_its_words_are_uwsgis(capsys, word):
    with pytest.raises(SystemExit) as ended:
        main(["uwsgi", word])
    assert ended.value.code == 0
    assert "--emperor-tyrant" in capsys.readouterr().out

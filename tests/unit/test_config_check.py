"""`emperor check`: files by themselves, and together."""

import pytest

from emperor.cli.check import check_files, read_emperor
from emperor.cli.main import main
from emperor.config.settings import EmperorSettings

GOOD = 'app = "a:b"\nlisten = "http+unix:///run/{}.sock"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(*paths):
    return [str(problem) for problem in check_files(paths)]


def test_good_files_have_no_problems(folder):
    (folder / "a.toml").write_text(GOOD.format("a"))
    (folder / "b.toml").write_text(GOOD.format("b"))
    assert lines("a.toml", str(folder / "b.toml"), "a.toml") == []


def test_problems_of_all_files_are_reported_under_the_names_that_were_given(folder):
    (folder / "a.toml").write_text("app = 1\n" + GOOD.format("a").partition("\n")[2])
    (folder / "b.toml").write_text("workers = none\n")
    (folder / "c.conf").write_text(GOOD)
    (folder / "d.toml").mkdir()
    (folder / "e.toml").touch()
    assert lines("./a.toml", "b.toml", "c.conf", "d.toml", "e.toml", "f.toml") == [
        './a.toml:1: app: 1 is not an application; write "blog.wsgi:application"',
        'b.toml:1: syntax: none is no TOML value; write workers = "none"',
        'c.conf:1: file: "c.conf" is no name of a vassal file; '
        "write a name like blog.toml: letters, digits, -, _, @, + and single dots, at most 63",
        "d.toml:1: file: is a folder; write a regular file",
        "e.toml:1: file: is empty; write app and listen",
        "f.toml:1: file: does not exist; write the path of a vassal file",
    ]


def test_two_files_cannot_have_one_address_host_or_name(folder):
    (folder / "a.toml").write_text(
        'app = "a:b"\nlisten = ["http://:8000", "http+unix:///run/a"]\nhosts = ["a.b"]\n'
    )
    (folder / "b.toml").write_text(
        'app = "a:b"\nhosts = [\n"c.d",\n"A.B"]\n'
        'listen = [\n"uwsgi+unix:///run/b",\n"uwsgi://127.0.0.1:8000"\n]\n'
    )
    (folder / "x").mkdir()
    (folder / "x" / "a.toml").write_text(GOOD.format("other"))
    assert lines("a.toml", "b.toml", "x/a.toml") == [
        'b.toml:7: listen[1]: "uwsgi://127.0.0.1:8000" is taken: '
        'a.toml listens on "http://:8000"; write another address',
        'b.toml:4: hosts[1]: "a.b" is taken by a.toml; write it in one file only',
        "x/a.toml:1: file: a.toml describes a already; rename one of them",
    ]


def test_emperors_own_file_is_checked_as_such(folder):
    (folder / "emperor.toml").write_text('directories = ["v"]\nwatc = "poll"\n')
    assert lines("emperor.toml") == ["emperor.toml:2: watc: unknown key; did you mean watch?"]


def test_empty_file_of_the_emperors_says_that_all_is_as_usual(folder):
    (folder / "emperor.toml").write_text("\n")
    assert lines("emperor.toml") == []
    assert isinstance(read_emperor("emperor.toml"), EmperorSettings)


def test_file_of_the_emperors_that_is_missing_is_not_taken_for_a_vassals(folder):
    assert [str(problem) for problem in read_emperor("none.toml")] == [
        "none.toml:1: file: does not exist; write the path of the emperor's own file"
    ]


POLICY = """
[plan.small]
workers = 2
[plan.small.limits]
memory_max = "256M"
[owner.blog]
plan = "small"
"""


def test_files_are_judged_as_if_the_named_account_owned_them(folder):
    (folder / "emperor.toml").write_text(POLICY)
    (folder / "a.toml").write_text(GOOD.format("a") + "workers = 3\n")
    emperor = read_emperor("emperor.toml")
    assert isinstance(emperor, EmperorSettings)
    as_blog = [str(problem) for problem in check_files(["a.toml"], emperor, "blog")]
    assert as_blog == ['a.toml:3: workers: 3 is more than plan "small" grants, 2; write at most 2']
    for owner in ("other", "root", None):
        assert check_files(["a.toml"], emperor, owner) == []


def test_customer_that_the_emperors_file_does_not_have_is_told_of(folder):
    (folder / "emperor.toml").write_text("[customer.acme]\n")
    (folder / "a.toml").write_text(GOOD.format("a") + '[limits]\nslice = "acm"\n')
    (folder / "b.toml").write_text(GOOD.format("b") + '[limits]\nslice = "acme"\n')
    assert lines("a.toml", "b.toml") == [], "whom an emperor that is not named has is not known"
    found = check_files(["a.toml", "b.toml"], read_emperor("emperor.toml"), "nobody-at-all")
    assert [str(problem).partition("; ")[0] for problem in found] == [
        "a.toml:4: limits.slice: is for the provider to say",
        "b.toml:4: limits.slice: is for the provider to say",
    ]
    found = check_files(["a.toml", "b.toml"], read_emperor("emperor.toml"))
    assert str(found[0]) == (
        'a.toml:4: limits.slice: there is no customer "acm"; '
        'did you mean "acme"? If not, write [customer.acm] in emperor.toml (it may be empty)'
    )
    assert not any("b.toml" in str(problem) for problem in found)


def test_with_a_policy_root_is_told_whom_the_vassal_may_not_run_as(folder, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    (folder / "a.toml").write_text(GOOD.format("a") + 'user = "no-such-account"\n')
    (folder / "b.toml").write_text(GOOD.format("b") + 'user = "root"\n')
    (folder / "c.toml").write_text(GOOD.format("c") + 'user = "nobody"\n')
    paths = ["a.toml", "b.toml", "c.toml"]
    assert lines(*paths) == [], "files may be checked on another machine"
    (folder / "emperor.toml").write_text("[policy]\n")
    found = check_files(paths, read_emperor("emperor.toml"), "root")
    assert [str(problem).partition("; ")[0] for problem in found] == [
        'a.toml:3: user: there is no user "no-such-account"',
        'b.toml:3: user: "root" is root',
    ]
    (folder / "emperor.toml").write_text("[policy]\nallow_root = true\n")
    assert check_files(["b.toml"], read_emperor("emperor.toml"), "root") == []


def test_with_a_policy_root_is_told_what_this_host_does_not_have(folder, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    missing = 'directory = "/no/folder"\npython = "/no/python"\nuser = "nobody"\n'
    (folder / "a.toml").write_text(GOOD.format("a") + missing)
    assert lines("a.toml") == [], "files may be checked on another machine"
    (folder / "emperor.toml").write_text("[policy]\n")
    found = check_files(["a.toml"], read_emperor("emperor.toml"), "root")
    assert [str(problem) for problem in found] == [
        "a.toml:3: directory: /no/folder does not exist; create it, or correct the path",
        "a.toml:4: python: /no/python does not exist; "
        "write a virtualenv's folder or an interpreter",
    ]


def test_accounts_places_and_sockets_are_all_told_of_at_once(folder, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    missing = (
        'directory = "/no/folder"\npython = "/no/python"\nuser = "no-such-user"\n'
        'group = "no-such-group"\n[socket]\nuser = "no-such-owner"\ngroup = "no-such-friends"\n'
    )
    (folder / "a.toml").write_text(GOOD.format("a") + missing)
    (folder / "emperor.toml").write_text("[policy]\n")
    found = check_files(["a.toml"], read_emperor("emperor.toml"), "root")
    assert [str(problem).partition("; ")[0] for problem in found] == [
        'a.toml:5: user: there is no user "no-such-user"',
        'a.toml:6: group: there is no group "no-such-group"',
        'a.toml:8: socket.user: there is no user "no-such-owner"',
        'a.toml:9: socket.group: there is no group "no-such-friends"',
        "a.toml:3: directory: /no/folder does not exist",
        "a.toml:4: python: /no/python does not exist",
    ]


def test_command_reads_the_policy_first(folder, capsys):
    (folder / "emperor.toml").write_text(POLICY + "[plan.small.sandbox]\nuser = 1\n")
    (folder / "a.toml").write_text(GOOD.format("a") + "workers = 3\n")
    assert main(["check", "--config", "emperor.toml", "a.toml"]) == 1
    assert capsys.readouterr().err == (
        "emperor.toml:9: plan.small.sandbox.user: the user is not a part of the sandbox; "
        "write user at the top of the file\n"
    )
    (folder / "emperor.toml").write_text(POLICY)
    assert main(["check", "--config", "emperor.toml", "--owner", "blog", "a.toml"]) == 1
    assert "write at most 2" in capsys.readouterr().err
    assert main(["check", "--config", "emperor.toml", "--owner", "root", "a.toml"]) == 0


def test_who_wrote_another_servers_name_is_not_told_twice_what_to_write(folder):
    (folder / "a.toml").write_text('bind = ":8000"\nwsgi_app = "blog:app"\nworker_class = "sync"\n')
    assert lines("a.toml") == [
        "a.toml:1: bind: unknown key; write listen",
        "a.toml:2: wsgi_app: unknown key; write app",
        "a.toml:3: worker_class: unknown key; "
        "remove it: workers are processes, with as many threads as threads says",
    ]


def test_file_of_uwsgis_with_the_name_of_ours_is_told_its_own(folder):
    (folder / "a.toml").write_text("[uwsgi]\nmodule = blog:app\n")
    assert lines("a.toml") == [
        "a.toml:1: syntax: this is a file of uWSGI's, and no TOML; let its name end with .ini"
    ]


def test_keys_of_vassals_in_the_emperors_file_are_sent_where_they_belong(folder):
    (folder / "emperor.toml").write_text(
        'workers = 3\nuser = "blog"\nlisten = "http://:1"\n[limits]\n[plan.small]\nuser = "blog"\n'
    )
    assert lines("emperor.toml") == [
        "emperor.toml:1: workers: this file has no such key; "
        "write workers under [defaults], or in a vassal's file",
        "emperor.toml:2: user: this file has no such key; write default_user under [policy]",
        "emperor.toml:3: listen: this file has no such key; write listen in a vassal's file",
        "emperor.toml:4: limits: this file has no such key; "
        "write [defaults.limits], or do so in a vassal's file",
        "emperor.toml:6: plan.small.user: this file has no such key; "
        "remove it, or see: emperor schema",
    ]


def test_minus_of_systemds_before_a_path_is_told_what_to_write(folder):
    (folder / "a.toml").write_text(GOOD.format("a") + '[sandbox]\nread_only_paths = ["-/srv"]\n')
    assert lines("a.toml") == [
        'a.toml:4: sandbox.read_only_paths[0]: "-/srv" is not a path; write "/srv"'
    ]

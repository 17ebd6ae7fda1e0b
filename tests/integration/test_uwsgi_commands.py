"""The commands show-config and migrate."""

import os
import tomllib
from argparse import Namespace
from pathlib import Path

import pytest

from emperor.cli.errors import DONE, FAILED, UsageError
from emperor.cli.main import main
from emperor.cli.uwsgi_commands import migrate, show_config
from tests.support.need import need_root

GOOD = "[uwsgi]\nmodule = blog\nhttp-socket = 127.0.0.1:8000\ncron = 1 2 3 4 5 a\n"
NOBODY = 65534


def test_show_config_prints_what_a_file_comes_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "blog.ini"
    file.write_text(GOOD)

    assert show_config(Namespace(file=str(file))) == DONE

    found = tomllib.loads(capsys.readouterr().out)
    assert found["app"] == "blog:application"
    assert found["directory"] == str(tmp_path)
    assert found["harakiri"] == 0


def test_show_config_prints_a_native_file_with_all_its_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "blog.toml"
    file.write_text('app = "blog:app"\nlisten = "http://:80"\n')

    assert show_config(Namespace(file=str(file))) == DONE

    found = tomllib.loads(capsys.readouterr().out)
    assert (found["app"], found["harakiri"], found["workers"]) == ("blog:app", 30, 1)


@pytest.mark.parametrize(
    ("name", "text"), [("blog.ini", "[uwsgi]\nmaster = 1\n"), ("blog.toml", "master = 1\n")]
)
def test_show_config_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    file = tmp_path / name
    file.write_text(text)

    assert show_config(Namespace(file=str(file))) == FAILED

    seen = capsys.readouterr()
    assert seen.out == ""
    assert f"{file}:1: " in seen.err


def test_migrate_writes_a_native_file_beside_what_is_watched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blog.ini").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("none")

    assert migrate(Namespace(folder=str(tmp_path), to=None)) == DONE

    made = tmp_path / "native" / "blog.toml"
    assert tomllib.loads(made.read_text())["app"] == "blog:application"
    assert "# uwsgi: line 4: cron = 1 2 3 4 5 a: unsupported:" in made.read_text()
    assert made.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().out == f"{made}: 3 options: 2 supported, 1 unsupported\n"
    assert os.listdir(tmp_path / "native") == ["blog.toml"]


def test_migrate_leaves_out_what_cannot_be_translated_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blog.ini").write_text(GOOD)
    (tmp_path / "empty.yaml").write_text("uwsgi:\n  master: 1\n")
    (tmp_path / "broken.xml").write_text("<uwsgi>")
    (tmp_path / "no name.ini").write_text(GOOD)

    assert migrate(Namespace(folder=str(tmp_path), to=None)) == FAILED

    assert os.listdir(tmp_path / "native") == ["blog.toml"]
    seen = capsys.readouterr().err
    assert "no application is named" in seen
    assert f"{tmp_path}/broken.xml:1: syntax: " in seen
    assert '"no name" is no name of a vassal' in seen


def test_migrate_leaves_a_file_that_exists_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blog.ini").write_text(GOOD)
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "blog.toml").symlink_to(tmp_path / "made.toml")

    assert migrate(Namespace(folder=str(tmp_path), to=str(target))) == FAILED

    assert not (tmp_path / "made.toml").exists()
    assert "not written: File exists" in capsys.readouterr().err


def test_migrate_wants_a_folder_with_files_of_uwsgi(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no files of uWSGI"):
        migrate(Namespace(folder=str(tmp_path), to=None))
    (tmp_path / "blog.ini").write_text(GOOD)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="exists"):
        migrate(Namespace(folder=str(tmp_path), to=str(tmp_path / "file")))
    with pytest.raises(UsageError, match="no such folder"):
        migrate(Namespace(folder=str(tmp_path / "none"), to=None))


def test_a_placeholder_is_replaced_and_is_no_typo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blog.ini").write_text(
        "[uwsgi]\nvhosts = /srv\nchdir = %(vhosts)/blog\n" + GOOD[8:]
    )

    assert migrate(Namespace(folder=str(tmp_path), to=None)) == DONE

    made = (tmp_path / "native" / "blog.toml").read_text()
    assert tomllib.loads(made)["directory"] == "/srv/blog"
    assert "vhosts" not in made
    capsys.readouterr()


def test_a_tenant_s_file_gets_nothing_that_the_tenant_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_root()
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    secret, file = tmp_path / "secret", tmp_path / "blog.ini"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    file.write_text(GOOD + f"env = A=@({secret})\n")

    assert migrate(Namespace(folder=str(tmp_path), to=str(tmp_path / "roots"))) == DONE
    assert "s3cret" in (tmp_path / "roots" / "blog.toml").read_text()
    os.chown(file, NOBODY, NOBODY)
    assert migrate(Namespace(folder=str(tmp_path), to=str(tmp_path / "theirs"))) == FAILED

    assert os.listdir(tmp_path / "theirs") == []
    assert os.geteuid() == 0
    assert "cannot be read" in capsys.readouterr().err


def test_a_migrated_file_belongs_to_the_owner_of_its_source(tmp_path: Path) -> None:
    need_root()
    file = tmp_path / "blog.ini"
    file.write_text(GOOD)
    os.chown(file, NOBODY, NOBODY)

    assert migrate(Namespace(folder=str(tmp_path), to=None)) == DONE

    status = (tmp_path / "native" / "blog.toml").stat()
    assert (status.st_uid, status.st_gid) == (NOBODY, NOBODY)


def test_the_commands_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "blog.ini").write_text(GOOD)

    assert main(["show-config", str(tmp_path / "blog.ini")]) == DONE
    assert tomllib.loads(capsys.readouterr().out)["app"] == "blog:application"
    assert main(["migrate", str(tmp_path)]) == DONE

"""The application in a file of its own, as uWSGI's wsgi-file has it."""

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vassal.runtime.apploader import AppError, find


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


APP = "class Word: pass\ndef application(e, s): return [__file__.encode()]\nother = application\n"


@pytest.mark.parametrize("name", ["wsgi.py", "blog.wsgi", "my-app", "json.py"])
def test_file_is_loaded_as_a_module_that_knows_its_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, APP)
    application = find(f"{path}:other")
    assert application(None, None) == [path.encode()]
    module = sys.modules[application.__module__]
    assert (module.__file__, module.__name__) == (path, application.__module__)
    assert module.__spec__ is not None
    assert module.__spec__.origin == path
    assert find(path) is application, "a file runs once"
    assert not (tmp_path / "__pycache__").exists()


def test_what_a_file_defines_can_be_pickled(tmp_path: Path) -> None:
    find(write(tmp_path, "wsgi.py", APP))
    word = next(m for n, m in sys.modules.items() if n.startswith("wsgi_file_")).Word()
    assert type(pickle.loads(pickle.dumps(word))) is type(word)


def test_two_files_whose_names_look_alike_are_two_modules(tmp_path: Path) -> None:
    first = find(write(tmp_path, "a-b.py", APP))
    second = find(write(tmp_path, "a_b.py", APP))
    assert first is not second
    assert first.__module__ != second.__module__


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AppError, match=r"nothing\.py cannot be read: No such file"):
        find(f"{tmp_path}/nothing.py:application")
    with pytest.raises(AppError, match=r"cannot be read: Is a directory"):
        find(f"{tmp_path}/:application")


def test_a_callable_that_is_missing_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = write(tmp_path, "wsgi.py", APP)
    with pytest.raises(AppError, match=r"file '.*wsgi\.py' has no attribute 'app'.*application"):
        find(f"{path}:app")


def test_a_module_of_that_name_that_is_another_one_is_named_with_its_file() -> None:
    with pytest.raises(AppError, match=r"module 'site' \(.*/site\.py\) has no attribute 'app'"):
        find("site:app")


def test_a_module_that_is_not_there_is_named_with_the_folders_it_was_looked_for_in(
    tmp_path: Path,
) -> None:
    with pytest.raises(AppError, match=r"^No module named 'no_such' in /srv/lib or /srv/blog; "):
        find("no_such.wsgi:app", ["/srv/lib", "/srv/blog"])
    needs = write(tmp_path, "needs.py", "import no_such\n")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such'$"):
        find(f"{needs}:app", ["/srv/blog"])


def test_a_file_that_fails_leaves_no_module_behind(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError) as caught:
        find(write(tmp_path, "wrong.py", "def (:\n"))
    assert caught.value.filename == str(tmp_path / "wrong.py")
    with pytest.raises(ZeroDivisionError):
        find(write(tmp_path, "fails.py", "1 / 0\n"))
    assert not [name for name in sys.modules if name.startswith("wsgi_file_")]

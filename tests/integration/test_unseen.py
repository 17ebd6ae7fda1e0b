"""What a vassal serves from, and cannot see, is told: with what to write, and that works."""

from pathlib import Path

from tests.support.emperor import Emperor, get
from tests.support.need import need_root

FILES = '[static]\n"/static" = "{}"\n'


def beside_the_settings(emperor: Emperor, name: str) -> Path:
    """Return a new folder, with a file, in the folder of emperor.toml."""
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text("")
    folder = emperor.base / name
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "a.txt").write_text("from a file")
    return folder


def test_static_files_in_the_emperors_own_folder_are_told_of(emperor: Emperor) -> None:
    need_root()
    folder = beside_the_settings(emperor, "static")
    port = emperor.serve(text=FILES.format(folder))
    reason = emperor.unsupported("blog")["static"]
    assert f"{folder} is not seen: {emperor.base} is hidden by the emperor" in reason
    assert b"from a file" not in get(port, "/static/a.txt")[1]
    # What it says to write is enough.
    remedy = f'[sandbox]\nbind_read_only_paths = ["{folder}"]\n'
    assert f'bind_read_only_paths = ["{folder}"] under [sandbox]' in reason
    port = emperor.drop("shop", text=FILES.format(folder) + remedy)
    emperor.wait_state("shop", "ready")
    assert "static" not in emperor.unsupported("shop")
    assert get(port, "/static/a.txt")[1] == b"from a file"


def test_what_is_below_the_directory_is_seen_and_not_told_of(emperor: Emperor) -> None:
    need_root()
    beside_the_settings(emperor, "unused")
    emperor.app("hello")
    (emperor.apps / "static").mkdir()
    (emperor.apps / "static/a.txt").write_text("from a file")
    port = emperor.drop("blog", text=FILES.format("static"))
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert "static" not in emperor.unsupported("blog")
    assert get(port, "/static/a.txt")[1] == b"from a file"


def test_code_in_the_emperors_own_folder_is_refused_with_its_line(emperor: Emperor) -> None:
    need_root()
    folder = beside_the_settings(emperor, "code")
    emperor.app("hello")
    mounts = f'[mounts]\n"/shop" = "{folder}/shop.py:application"\n'
    emperor.drop("blog", text=mounts)
    emperor.start()
    message = emperor.wait_state("blog", "parked")["last_failure"]["message"]
    assert f"blog.toml:4: mounts: the vassal cannot see {folder}/shop.py" in message
    assert f'bind_read_only_paths = ["{folder}"]' in message


def test_static_files_that_the_file_hides_itself_are_told_of(emperor: Emperor) -> None:
    need_root()
    emperor.app("hello")
    folder = emperor.apps / "static"
    folder.mkdir()
    emperor.drop(
        "blog", text=FILES.format(folder) + f'[sandbox]\ninaccessible_paths = ["{folder}"]\n'
    )
    emperor.start()
    emperor.wait_state("blog", "ready")
    reason = emperor.unsupported("blog")["static"]
    assert f"{folder} is hidden by inaccessible_paths; keep it elsewhere, or hide less" in reason

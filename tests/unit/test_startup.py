"""What keeps an emperor from starting is told with what to do."""

from pathlib import Path

import pytest

from emperor.brain.startup import CannotStart, read_settings


def why(config_file: Path) -> str:
    with pytest.raises(CannotStart) as caught:
        read_settings(str(config_file), None, [])
    return str(caught.value)


def test_file_of_settings_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    assert why(tmp_path / "gone.toml") == (
        f"{tmp_path}/gone.toml: No such file or directory; write the path of the emperor's own file"
    )
    (tmp_path / "emperor.toml").write_bytes(b"\xff")
    assert why(tmp_path / "emperor.toml") == (
        f"{tmp_path}/emperor.toml: is not UTF-8; save it as UTF-8"
    )


def test_empty_file_of_settings_lacks_directories_only(tmp_path: Path) -> None:
    (tmp_path / "emperor.toml").write_text("")
    assert why(tmp_path / "emperor.toml").startswith(
        f"{tmp_path}/emperor.toml: no directories; write directories ="
    )
    assert read_settings(str(tmp_path / "emperor.toml"), None, ["/v"]).directories == ("/v",)

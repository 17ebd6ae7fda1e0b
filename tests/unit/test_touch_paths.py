"""What is remembered of the files that vassals want to be touched at."""

from pathlib import Path

from emperor.brain.patience import Patience
from emperor.brain.touch_files import TouchFiles
from emperor.touches import Touch


def test_paths_that_nobody_names_any_more_are_forgotten(tmp_path: Path) -> None:
    files = TouchFiles(Patience(lambda: None))
    for number in range(50):
        path = str(tmp_path / str(number))
        files.want("blog", 0, frozenset({(path, Touch.RELOAD)}))
        assert files.near() == {path}
    assert len(files._stamps) == 1
    (tmp_path / "49").write_text("")
    assert files.touched(path) == [("blog", Touch.RELOAD)]

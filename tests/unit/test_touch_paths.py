"""What is remembered of the files that vassals want to be touched at."""

from pathlib import Path

from emperor.brain.patience import Patience
from emperor.brain.touch_files import REMEMBERED_MAX, TouchFiles
from emperor.touches import Touch, stamp


def test_paths_that_nobody_names_any_more_are_forgotten(tmp_path: Path) -> None:
    files = TouchFiles(Patience(lambda: None), lambda path: None)
    for number in range(50):
        path = str(tmp_path / str(number))
        files.want("blog", 0, frozenset({(path, Touch.RELOAD)}))
        assert files.near() == {path}
    assert len(files._stamps) == 1
    (tmp_path / "49").write_text("")
    assert files.touched(path) == [("blog", Touch.RELOAD)]


def test_file_that_looks_otherwise_than_to_the_brain_before_was_touched(tmp_path: Path) -> None:
    touched, same, new = (tmp_path / name for name in ("touched", "same", "new"))
    for path in (touched, same, new):
        path.touch()
    before = {str(touched): (1, 1), str(same): stamp(str(same))}
    files = TouchFiles(Patience(lambda: None), before.get)
    wanted = frozenset((str(path), Touch.RELOAD) for path in (touched, same, new))
    files.want("blog", 0, wanted)
    files.near()
    assert files.take_unwatched() == {str(touched), str(same), str(new)}
    assert files.take_unwatched() == set()
    found = {path: files.touched(str(path)) for path in (touched, same, new)}
    assert found == {touched: [("blog", Touch.RELOAD)], same: [], new: []}


def test_next_brain_is_told_of_so_many_files_of_a_vassal_only(tmp_path: Path) -> None:
    files = TouchFiles(Patience(lambda: None), lambda path: None)
    paths = [str(tmp_path / str(number)) for number in range(2 * REMEMBERED_MAX)]
    files.want("blog", 0, frozenset((path, Touch.RELOAD) for path in paths))
    files.near()
    told = [path for path, _ in files.stamps({})]
    assert told == sorted(paths)[:REMEMBERED_MAX]

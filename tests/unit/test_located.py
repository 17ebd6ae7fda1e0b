"""Lines of what turns out to be wrong only after a file was read."""

from emperor.config.problems import Problem
from emperor.parsing.located import lines_of, located

TEXT = """app = "a:b"
listen = [
    "http://:8000",
]
user = "nobody-knows"
log = "/var/log/x.log"
[socket]
user = "www"
"""


def problem(key: str, file: str = "blog.toml") -> Problem:
    return Problem(file=file, line=1, key=key, problem="is wrong", remedy="correct it")


def test_keys_have_the_lines_of_what_the_file_says_of_them() -> None:
    keys = ("user", "socket.user", "listen", "log.target", "python", "file")
    found = {"user": 5, "socket.user": 8, "listen": 2, "log.target": 6}
    assert lines_of(TEXT, "blog.toml", keys) == found


def test_text_that_cannot_be_read_has_no_lines() -> None:
    assert lines_of("user = ", "blog.toml", ("user",)) == {}


def test_problems_are_told_in_the_order_of_the_file() -> None:
    problems = [problem("socket.user"), problem("user"), problem("user", "emperor.toml")]
    moved = located(problems, "blog.toml", {"user": 5, "socket.user": 8})
    assert [(each.file, each.line) for each in moved] == [
        ("blog.toml", 5),
        ("blog.toml", 8),
        ("emperor.toml", 1),
    ]

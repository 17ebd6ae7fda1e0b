"""Single values: what is taken, and the words for what is not."""

import pytest

from emperor.config import values
from emperor.config.directives import Share, count, hugetlb, memory
from emperor.config.document import Octal
from emperor.config.problems import Invalid, described, dotted, key_text, quoted


def faults_of(parse, *arguments, **options):
    with pytest.raises(Invalid) as caught:
        parse(*arguments, **options)
    return [f"{fault.problem}; {fault.remedy}" for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30.0),
        (0, 0.0),
        (1.5, 1.5),
        ("30", 30.0),
        ("10m", 600.0),
        ("1h 30m", 5400.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),
        ("2 days", 172800.0),
        (" 5 s ", 5.0),
        ("1.5h", 5400.0),
    ],
)
def test_durations_are_seconds(written, seconds):
    assert values.duration(written) == seconds


HOW_LONG = 'write seconds like 30, or "500ms", "10m", "1h 30m"'


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("30x", f'"30x": unknown unit "x"; {HOW_LONG}'),
        ("5M", f'"5M": unknown unit "M"; {HOW_LONG}'),
        ("soon", f'"soon" is not a duration; {HOW_LONG}'),
        ("1.5.2", f'"1.5.2" is not a duration; {HOW_LONG}'),
        ("", f"is empty; {HOW_LONG}"),
        (True, f"true is not a duration; {HOW_LONG}"),
        ([], f"an array is not a duration; {HOW_LONG}"),
        (float("inf"), f"inf is not a duration; {HOW_LONG}"),
        (float("nan"), f"nan is not a duration; {HOW_LONG}"),
        (-1, "-1 is too short; write at least 0"),
        (0.0001, "0.0001 is too short; write at least 0.001"),
        (10**400, 'a huge number is too long; write at most "366d"'),
        ("99999w", '"99999w" is too long; write at most "366d"'),
    ],
)
def test_what_is_no_duration_is_explained(written, message):
    assert faults_of(values.duration, written) == [message]


@pytest.mark.parametrize(
    ("written", "size"),
    [(5, 5), ("5", 5), ("256M", 2**28), ("1G", 2**30), ("1.5K", 1536), ("64 K", 65536)],
)
def test_sizes_are_bytes_of_base_1024(written, size):
    assert values.size(written) == size


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("2GB", '"2GB": unknown unit "GB"; write "2G"'),
        ("2gib", '"2gib": unknown unit "gib"; write "2G"'),
        ("3m", '"3m": unknown unit "m"; write "3M"'),
        ("3x", '"3x": unknown unit "x"; write a size like "256M" or "1G"'),
        ("big", '"big" is not a size; write a size like "256M" or "1G"'),
        (2.5, '2.5 is not a size; write a size like "256M" or "1G"'),
        (-5, "-5 is too small; write at least 0"),
    ],
)
def test_what_is_no_size_is_explained(written, message):
    assert faults_of(values.size, written) == [message]


def test_size_below_its_minimum_names_the_unit_that_was_forgotten():
    assert faults_of(values.size, 200, minimum=2**20) == [
        '200 is too small; write at least "1M" '
        '(a number without unit is bytes: for megabytes write "…M")'
    ]


@pytest.mark.parametrize("written", ["660", "0660", Octal(0o660)])
def test_file_mode_is_octal(written):
    assert values.file_mode(written) == 0o660


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (660, '660 is a decimal number; write "660" or 0o660'),
        (432, '432 is a decimal number; write "432" or 0o432'),
        ("888", '"888" is not a file mode; write "660" or 0o660'),
        (Octal(0o7777), '0o7777 is not a file mode; write "660" or 0o660'),
        (True, 'true is not a file mode; write "660" or 0o660'),
    ],
)
def test_what_is_no_file_mode_is_explained(written, message):
    assert faults_of(values.file_mode, written) == [message]


@pytest.mark.parametrize(
    ("written", "unit", "pair"),
    [
        ("1024:4096", "count", (1024, 4096)),
        (1024, "count", (1024, 1024)),
        ("infinity", "bytes", (-1, -1)),
        ("64K:infinity", "bytes", (65536, -1)),
        ("64K", "bytes", (65536, 65536)),
        ("10m", "seconds", (600, 600)),
        ("500ms", "seconds", (1, 1)),
        ("200ms", "microseconds", (200_000, 200_000)),
        (5, "microseconds", (5, 5)),
    ],
)
def test_rlimits_are_pairs_in_the_units_of_the_kernel(written, unit, pair):
    assert values.rlimit(written, unit) == pair


COUNTS = 'write a number like 1024, a pair "1024:4096", or "infinity"'


@pytest.mark.parametrize(
    ("written", "unit", "message"),
    [
        (
            "4096:1024",
            "count",
            '"4096:1024": the soft limit is above the hard one; write "1024:4096"',
        ),
        (
            "infinity:1M",
            "bytes",
            '"infinity:1M": the soft limit is above the hard one; write "1M:infinity"',
        ),
        ("unlimited", "bytes", '"unlimited" is not a limit; write "infinity"'),
        (-1, "count", '-1 is not a limit; write "infinity"'),
        ("64K", "count", f'"64K" is not a limit; {COUNTS}'),
        ("1:2:3", "count", f'"2:3" is not a limit; {COUNTS}'),
        (True, "count", f"true is not a limit; {COUNTS}"),
        (
            "²",
            "microseconds",
            '"²" is not a limit; write a duration like "200ms", a pair, or "infinity"',
        ),
    ],
)
def test_what_is_no_rlimit_is_explained(written, unit, message):
    assert faults_of(values.rlimit, written, unit) == [message]


def test_variables_have_names_that_a_shell_cannot_have():
    named = {"A-B": "1", "1X": "2", "A B": "3", "Ä": "4", "a.b": "5"}
    assert values.environment(named) == named
    for name in ("", "A=B", "A\n", "A\0", "A" * 129):
        assert len(faults_of(values.environment, {name: "x"})) == 1


def test_every_wrong_variable_is_reported():
    assert faults_of(
        values.environment,
        {"A": "x", "B": 1, "PYTHONPATH": "x", "A=B": "x", "C": [], "D": True, "E": "a\0b"},
    ) == [
        '1 is not text; write B = "1"',
        "is not read, the interpreter starts isolated; write pythonpath = [...] outside [env]",
        "is not a name for a variable; write 1 to 128 characters, of which none is =",
        'an array is not text; write C = "value"',
        'true is not text; write D = "1" or ""',
        "contains a NUL character; remove it",
    ]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("~/blog", '"~/blog": ~ is not replaced here; write the whole path'),
        ("", 'is empty; write "/srv/blog", or remove the line'),
        ("/a\x00b", '"/a\\u0000b" contains a control character; remove it'),
        ("/a\nb", '"/a\\nb" contains a control character; remove it'),
        (5, '5 is not a path; write "/srv/blog"'),
        ("a" * 4096, "is longer than a path can be; write at most 4095 bytes"),
    ],
)
def test_what_is_no_path_is_explained(written, message):
    assert faults_of(values.path_text, written) == [message]


def test_relative_paths_start_at_their_base_and_dot_dot_is_left_to_the_kernel():
    assert values.resolved("lib", "/srv/blog") == "/srv/blog/lib"
    assert values.resolved("./lib//x/", "/srv/blog") == "/srv/blog/lib/x"
    assert values.resolved("/opt/lib", "/srv/blog") == "/opt/lib"
    assert values.resolved("", "/srv/blog") == "/srv/blog"
    assert values.resolved("link/../lib", "/srv") == "/srv/link/../lib"


def test_bare_name_of_an_interpreter_is_not_a_path():
    assert values.interpreter(".venv") == ".venv"
    assert faults_of(values.interpreter, "python3.12") == [
        '"python3.12" is not looked up in PATH; '
        'write "/usr/bin/python3.12", or the path of a virtualenv'
    ]


@pytest.mark.parametrize("written", ["blog", "www-data", "_apt", "user.name", "1000", "machine$"])
def test_account_names_of_debian_are_taken(written):
    assert values.account_name(written) == written


@pytest.mark.parametrize("written", ["a b", "-x", "a/b", "..", "a:b", "a" * 40, "ü"])
def test_account_names_that_could_be_something_else_are_refused(written):
    assert "is not a name of a user or group" in faults_of(values.account_name, written)[0]


def test_whole_numbers_may_stand_in_quotes_and_nothing_else_may():
    assert values.whole("4", 1, 10) == 4
    for wrong in ("4.0", "", "x", 4.0, True, None, "9" * 30):
        faults_of(values.whole, wrong, 1, 10)
    assert faults_of(values.whole, 0, 1, 10) == [
        "0 is out of range; write a whole number from 1 to 10"
    ]


def test_amounts_may_be_infinite_or_a_share_of_the_machine():
    assert memory("50%") == Share(0.5, "memory")
    assert memory("infinity") == -1
    assert count("64") == 64
    assert faults_of(count, "many") == [
        '"many" is not a whole number; write a number like 64, or "infinity"'
    ]
    assert faults_of(hugetlb, {"2MB": [1]}) == [
        'an array is not a size; write a size like "256M" or "1G"'
    ]


def test_messages_never_carry_control_characters_or_long_text():
    assert quoted("a\x1b[31m\n") == '"a\\u001b[31m\\n"'
    assert quoted("\u202eevil") == '"\\u202eevil"'
    assert len(quoted("x" * 5000)) < 70
    assert key_text("max-requests_1") == "max-requests_1"
    assert key_text("a b") == '"a b"'
    assert dotted(("env", "A B", "c", 3)) == 'env."A B".c[3]'
    # str() of such a number raises.
    assert described(10**5000) == "a huge number"

"""exec-* and hook-* of a vassal's file, under the real emperor and under ours: one story."""

import stat
import tempfile
from pathlib import Path

import pytest

from tests.support.emperor import Emperor
from tests.support.need import need_root
from tests.support.uwsgi_emperor import APP, our_site, real_site
from tests.support.wait import wait_until

# Not post-jail, for which uWSGI wants a jail of its own. Paths are absolute: it goes to chdir only
# before pre-app.
PHASES = ("asap", "pre-jail", "in-jail", "as-user", "pre-app", "post-app", "as-user-atexit")
COMMON = "module = teller\nuid = nobody\ngid = nogroup\n"
TELLER = 'open(__file__.replace("teller.py", "story"), "a").write("load\\n")\n'
SEEN = """[defaults.sandbox]
private_tmp = false
protect_system = "no"
protect_home = "no"
landlock = false
"""


def under_uwsgi(lines: str, until: str) -> tuple[list[str], dict[str, str]]:
    """Return the story that a site tells under the real emperor, and the files that it made.

    It is stopped when it serves, or when its story has the word `until`.
    """
    with tempfile.TemporaryDirectory(prefix="hooks-") as name:
        folder = Path(name)
        prepare(folder)
        with real_site(folder, COMMON + lines.replace("FOLDER", str(folder))) as site:
            wait_until(lambda: site.answers() or until in told(folder), 20.0, site.log())
            (folder / "vassals" / "blog.ini").unlink()
            wait_until(lambda: until in told(folder), 20.0, f"the end\n{site.log()}")
        return told(folder), made(folder)


def under_ours(emperor: Emperor, lines: str, until: str) -> tuple[list[str], dict[str, str]]:
    """Return the same under ours."""
    prepare(emperor.apps)
    emperor.config_file = emperor.base / "emperor.toml"
    emperor.config_file.write_text(SEEN)
    with our_site(emperor, COMMON + lines.replace("FOLDER", str(emperor.apps))) as site:
        wait_until(lambda: site.answers() or until in told(emperor.apps), 20.0, site.log())
        (emperor.vassals / "blog.ini").unlink()
        wait_until(lambda: not emperor.status()["vassals"], 20.0, "the vassal to go")
    return told(emperor.apps), made(emperor.apps)


def prepare(folder: Path) -> None:
    """Let root and the site's user write, whoever comes first."""
    folder.chmod(0o777)
    (folder / "teller.py").write_text(TELLER + APP)
    (folder / "story").touch()
    (folder / "story").chmod(0o666)


def told(folder: Path) -> list[str]:
    return (folder / "story").read_text().splitlines()


def made(folder: Path) -> dict[str, str]:
    """Return what was made below `made`: modes and content by name."""
    return {
        path.name: f"{stat.S_IMODE(path.stat().st_mode):o} "
        + (path.read_text() if path.is_file() else "")
        for path in sorted(folder.glob("made*/*"))
    }


def commands(**instead: str) -> str:
    lines = ""
    for phase in PHASES:
        command = instead.get(phase.replace("-", "_"), f"echo exec-{phase} >> FOLDER/story")
        lines += (
            f"exec-{phase} = {command}\nhook-{phase} = exec:echo hook-{phase} >> FOLDER/story\n"
        )
    return lines


def once(story: list[str]) -> list[str]:
    """Return the story of the first try: the real emperor tries again at once."""
    end = story.index("exec-as-user-atexit") + 1
    return story[:end]


def test_the_order_is_that_of_the_real_uwsgi(emperor: Emperor) -> None:
    need_root()
    real, _ = under_uwsgi(commands(), "exec-as-user-atexit")
    ours, _ = under_ours(emperor, commands(), "exec-as-user-atexit")
    assert ours == real
    assert real.index("exec-pre-app") < real.index("load") < real.index("hook-post-app")


@pytest.mark.parametrize("phase", ["in_jail", "as_user", "pre_app", "post_app"])
def test_a_command_that_fails_ends_the_start_as_in_the_real_uwsgi(
    emperor: Emperor, phase: str
) -> None:
    need_root()
    lines = commands(**{phase: "echo fails >> FOLDER/story; exit 3"})
    real, _ = under_uwsgi(lines, "exec-as-user-atexit")
    ours, _ = under_ours(emperor, lines, "exec-as-user-atexit")
    assert once(ours) == once(real)
    assert "fails" in once(real)


def test_at_the_end_failures_change_nothing_in_both(emperor: Emperor) -> None:
    need_root()
    lines = (
        "hook-as-user-atexit = exec:exit 1\n"
        "exec-as-user-atexit = echo one >> FOLDER/story; exit 2\n"
        "exec-as-user-atexit = echo two >> FOLDER/story\n"
    )
    real, _ = under_uwsgi(lines, "two")
    ours, _ = under_ours(emperor, lines, "two")
    assert ours == real == ["load", "one", "two"]


def test_actions_do_what_they_do_in_the_real_uwsgi(emperor: Emperor) -> None:
    need_root()
    actions = [
        "mkdir:FOLDER/made it",
        "create:FOLDER/made it/empty",
        "write:FOLDER/made/text 100%% it's  $HOME \\n",
        "writen:FOLDER/made/line a  b",
        "append:FOLDER/made/line c",
        "appendn:FOLDER/made/line d",
        "appendn:FOLDER/made/line",
        "write:FOLDER/made/public x",
        "chmod:FOLDER/made/public 604",
        "create:FOLDER/made/gone",
        "unlink:FOLDER/made/gone",
        "mkdir:FOLDER/made/box",
        "sticky:FOLDER/made/box",
        "print:it's $HOME %%s",
        "!safeexec:exit 7",
        "exec:echo done >> FOLDER/story",
    ]
    lines = "hook-as-user = mkdir:FOLDER/made\n" + "".join(
        f"hook-as-user = {each}\n" for each in actions
    )
    lines += "exec-as-user-atexit = echo end >> FOLDER/story\n"
    real = under_uwsgi(lines, "end")
    ours = under_ours(emperor, lines, "end")
    assert ours == real
    assert real[1]["text"].endswith("100% it's  $HOME \\n")

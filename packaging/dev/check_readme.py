"""Checks that what README.md says is there: commands with their options, make targets, files."""

import re
import shlex
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
EMPEROR = Path(sysconfig.get_path("scripts")) / "emperor"


@cache
def help_of(command: str) -> str | None:
    """Return what `emperor COMMAND --help` prints; None if there is no such command."""
    done = subprocess.run(
        [EMPEROR, command, "--help"], capture_output=True, text=True, check=False, timeout=30
    )
    return done.stdout if done.returncode == 0 else None


def mistakes(readme: str) -> list[str]:
    """Return a sentence for everything in `readme` that is not so."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    found = []
    # Commands stand in indented blocks and between backticks.
    for line in re.findall(r"^    (?:sudo )?(emperor .*)$", readme, re.MULTILINE) + re.findall(
        r"`(emperor [^`]*)`", readme
    ):
        _, command, *words = shlex.split(line, comments=True)
        text = help_of(command)
        if text is None:
            found.append(f"emperor {command}: no such command")
            continue
        found += [
            f"emperor {command} {word}: no such option"
            for word in words
            if word.startswith("-") and not re.search(rf"(?<![\w-]){word}(?![\w-])", text)
        ]
    for target in re.findall(r"^    make ([a-z]+)|`make ([a-z]+)`", readme, re.MULTILINE):
        if not targets & set(target):
            found.append(f"make {''.join(target)}: no such target")
    for path in re.findall(r"\]\(([^):#]+)\)|\b(packaging/[\w./-]+)", readme):
        if not (ROOT / "".join(path)).exists():
            found.append(f"{''.join(path)}: no such file")
    return found


def main() -> int:
    found = mistakes((ROOT / "README.md").read_text(encoding="utf-8"))
    for mistake in found:
        print(f"README.md: {mistake}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

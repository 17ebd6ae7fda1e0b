"""Runs the scenarios of one boot in the guest; reboots for those of the next, or powers off.

For people in a machine that was kept: inside.py NAME… [-k …] runs some, and tells them.
"""

import json
import os
import subprocess
import sys
import tty
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
BOOTS = Path("/var/lib/emperor-scenarios")
"""How often the machine was started: its length is the number."""


def main() -> int:
    if len(sys.argv) > 1:
        return run_pytest(1, [scenario(word) for word in sys.argv[1:]])
    # No "\r\n" for "\n", no echo.
    fd = os.open("/dev/ttyS1", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    boot = 1 + (int(BOOTS.read_text()) if BOOTS.exists() else 0)
    BOOTS.write_text(str(boot))
    wanted = json.loads((HERE / "wanted.json").read_text())
    status = run_pytest(boot, [*wanted["pytest"], *map(scenario, wanted["scenarios"])])
    reboot = (HERE / "needs-reboot").exists()
    event = {"event": "boot_done", "status": status, "reboot": reboot}
    os.write(fd, json.dumps(event).encode() + b"\n")
    os.sync()
    if reboot:
        subprocess.run(["systemctl", "reboot"], check=True)
    elif not wanted["keep"]:
        subprocess.run(["systemctl", "poweroff"], check=True)
    return 0


def scenario(word: str) -> str:
    """Return the file of a scenario; other words are pytest's."""
    file = f"tests/vm/scenario_{word}.py"
    return file if (HERE / file).exists() else word


def run_pytest(boot: int, words: list[str]) -> int:
    return subprocess.run(
        [
            *(sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q"),
            *("-p", "tests.vm.plugin"),
            *("--strict-markers", "--rootdir", str(HERE), "-c", "/dev/null"),
            *("-o", "python_files=scenario_*.py", "--timeout=240", "--timeout-method=signal"),
            *words,
        ],
        cwd=HERE,
        env=os.environ | {"SCENARIO_BOOT": str(boot)},
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Runs the scenarios of one boot in the guest; reboots for those of the next, or powers off."""

import json
import os
import subprocess
import sys
import tty
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
BOOTS = Path("/var/lib/emperor-scenarios")
"""How often the machine was started: its length is the number."""


def main() -> None:
    # No "\r\n" for "\n", no echo.
    fd = os.open("/dev/ttyS1", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    boot = 1 + (int(BOOTS.read_text()) if BOOTS.exists() else 0)
    BOOTS.write_text(str(boot))
    wanted = json.loads((HERE / "wanted.json").read_text())
    status = subprocess.run(
        [
            *(sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q"),
            *("--strict-markers", "--rootdir", str(HERE), "-c", "/dev/null"),
            *("-o", "python_files=scenario_*.py", "--timeout=180", "--timeout-method=signal"),
            *wanted["pytest"],
            *(f"tests/vm/scenario_{name}.py" for name in wanted["scenarios"]),
        ],
        cwd=HERE,
        env=os.environ | {"SCENARIO_BOOT": str(boot)},
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    reboot = (HERE / "needs-reboot").exists()
    os.write(fd, json.dumps({"event": "boot_done", "status": status, "reboot": reboot}).encode() + b"\n")
    os.sync()
    if reboot:
        subprocess.run(["systemctl", "reboot"], check=True)
    elif not wanted["keep"]:
        subprocess.run(["systemctl", "poweroff"], check=True)


if __name__ == "__main__":
    main()

"""Runs the scenarios in a virtual machine: python -m tests.vm.run [NAME…]. See `make vm`.

Boots the disk that image/build.sh makes under QEMU's software emulation, gives it the scenarios
on a second disk, reads what became of them from a serial line, and writes JUnit XML. Exits with
0 when every scenario has passed. Standard library only.
"""

import argparse
import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "vm"
CACHE = ROOT / ".cache" / "vm"

LUGGAGE = ("__init__.py", "cgroups.py", "forked.py", "need.py", "wait.py")
"""What tests/vm/guest_limits.py needs of tests/support."""

SILENCE_MAX_S = 360.0
"""A guest that says nothing for this long has hung: a scenario may take 240 s, a boot 60."""
MEMORY_MIB = 2048
SECTOR = 512


@dataclass
class Result:
    """What became of one scenario."""

    test: str
    outcome: str  # passed | failed | skipped
    seconds: float
    text: str = ""


@dataclass
class Run:
    """One machine with its files, and what it has said."""

    folder: Path
    wanted: dict[str, Any]
    results: dict[str, Result] = field(default_factory=dict)
    running: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def line(self) -> Path:
        return self.folder / "line.json"

    @property
    def has_passed(self) -> bool:
        """Nothing failed, nothing was left out, and there was something."""
        return (
            bool(self.results)
            and not self.problems
            and all(result.outcome == "passed" for result in self.results.values())
        )


def main() -> int:
    arguments = parse()
    # Ended from outside, we end the machine too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    package = make(ROOT / "packaging" / "deb" / "build.sh", arguments.release)
    image = make(HERE / "image" / "build.sh", arguments.release, package)
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=CACHE))
    wanted = {
        "scenarios": arguments.names,
        "pytest": arguments.pytest,
        "keep": arguments.keep,
    }
    run = Run(folder, wanted)
    began = time.monotonic()
    qemu = boot(image, run, package)
    try:
        follow(qemu, run)
        report(run, arguments.release, time.monotonic() - began)
    finally:
        if arguments.keep and qemu.poll() is None:
            explain_how_to_get_in(qemu, run)
        else:
            qemu.kill()
            qemu.wait()
            shutil.rmtree(folder)
    return 0 if run.has_passed else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.vm.run")
    parser.add_argument("names", nargs="*", help="scenarios: limits for scenario_limits.py")
    parser.add_argument("--release", default="bookworm", help="of Debian")
    parser.add_argument("--keep", action="store_true", help="leave the machine running")
    parser.add_argument("--pytest", action="append", default=[], help="one more word for pytest")
    arguments = parser.parse_args()
    known = sorted(path.stem.removeprefix("scenario_") for path in HERE.glob("scenario_*.py"))
    for name in arguments.names:
        if name not in known:
            parser.error(f"no scenario {name}; there are: {', '.join(known)}")
    arguments.names = arguments.names or known
    return arguments


# ── the machine ──────────────────────────────────────────────────────────────────────────


def make(*words: str | Path) -> Path:
    """Return what a script has made, or kept from before: it prints the path."""
    made = subprocess.run(words, stdout=subprocess.PIPE, check=False)
    if made.returncode:
        sys.exit(made.returncode)
    return ROOT / made.stdout.decode().strip()


def boot(image: Path, run: Run, package: Path) -> "subprocess.Popen[bytes]":
    """Start the machine over a disk of its own, which outlives its reboots."""
    disk = run.folder / "disk.img"
    subprocess.run(
        ["cp", "--sparse=always", "--reflink=auto", image / "disk.img", disk], check=True
    )
    luggage = run.folder / "luggage.tar"
    luggage.write_bytes(pack(run.wanted, package))
    run.line.touch()
    kernel = "console=ttyS0 root=/dev/vda rw quiet systemd.show_status=0 mitigations=off panic=1"
    return subprocess.Popen(
        [
            # Not KVM: where there is /dev/kvm in a virtual machine, it need not work.
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-m", str(MEMORY_MIB), "-smp", "2", "-display", "none", "-monitor", "none"),
            *("-nodefaults", "-no-user-config", "-nic", "none"),
            *("-kernel", image / "vmlinuz", "-initrd", image / "initrd", "-append", kernel),
            *("-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"),
            *("-drive", f"file={luggage},if=virtio,format=raw,readonly=on"),
            *("-serial", f"file:{run.console}", "-serial", f"file:{run.line}"),
            *("-serial", f"unix:{run.folder / 'shell'},server=on,wait=off"),
        ],
        stdin=subprocess.DEVNULL,
        # Not our own: whoever reads our output to its end would wait for a machine that is kept.
        stdout=(run.folder / "qemu.log").open("wb"),
        stderr=subprocess.STDOUT,
        # Ctrl-C is for us: a machine that is kept goes on.
        start_new_session=True,
    )


def pack(wanted: dict[str, Any], package: Path) -> bytes:
    """Return the second disk: a tar file of the scenarios and the package."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(ROOT / "tests" / "__init__.py", "tests/__init__.py")
        for path in sorted(HERE.glob("*.py")):
            tar.add(path, f"tests/vm/{path.name}")
        for name in LUGGAGE:
            tar.add(ROOT / "tests" / "support" / name, f"tests/support/{name}")
        tar.add(package, "emperord.deb")
        text = json.dumps(wanted).encode()
        member = tarfile.TarInfo("wanted.json")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    content = buffer.getvalue()
    return content + b"\0" * (-len(content) % SECTOR)


# ── what it says ─────────────────────────────────────────────────────────────────────────


def follow(qemu: "subprocess.Popen[bytes]", run: Run) -> None:
    """Read the machine's line until it has done all, ended, or fallen silent."""
    began = heard = time.monotonic()
    is_first = True
    with run.line.open("rb") as line:
        rest = b""
        while True:
            ended = qemu.poll() is not None
            rest += line.read()
            *whole, rest = rest.split(b"\n")
            for text in whole:
                if is_first:
                    is_first = False
                    print(f"the first scenario began after {time.monotonic() - began:.1f} s")
                heard = time.monotonic()
                if hear(json.loads(text), run):
                    return
            if ended:
                run.problems.append("the machine ended before its scenarios")
            elif time.monotonic() - heard > SILENCE_MAX_S:
                run.problems.append(f"the machine said nothing for {SILENCE_MAX_S:.0f} s")
            else:
                time.sleep(0.1)
                continue
            if run.running:
                run.results[run.running] = Result(run.running, "failed", 0, run.problems[-1])
            return


def hear(event: dict[str, Any], run: Run) -> bool:
    """Take in one line; return whether it was the last."""
    match event["event"]:
        case "started":
            run.running = event["test"]
        case "finished":
            result = Result(event["test"], event["outcome"], event["seconds"], event["text"])
            before = run.results.get(result.test)
            # A teardown that failed comes after its scenario has passed.
            if before is None or result.outcome == "failed":
                run.results[result.test] = result
                print(f"{result.outcome:8}{result.seconds:7.1f} s  {result.test}")
                if result.outcome == "passed" and result.text:
                    print(f"{'':19}{result.text}")
            run.running = ""
        case "boot_done":
            # 5 = no scenario for this boot; 1 = some failed, which is known.
            if event["status"] not in (0, 1, 5):
                run.problems.append(f"pytest ended with {event['status']}: see its output below")
            if event["reboot"]:
                print("the machine reboots")
            return not event["reboot"]
    return False


# ── telling it ───────────────────────────────────────────────────────────────────────────


def report(run: Run, release: str, seconds: float) -> None:
    """Print what failed, write the JUnit XML, and close with the counts."""
    for result in run.results.values():
        if result.outcome != "passed":
            print(f"\n=== {result.test}: {result.outcome}\n{result.text}")
    for problem in run.problems:
        print(f"\n=== {problem}")
        for path in (run.folder / "qemu.log", run.console):
            if path.exists():
                print(path.read_text(errors="replace")[-8000:])
    path = CACHE / f"junit-{release}.xml"
    path.write_bytes(junit(run, release, seconds))
    counts = {
        outcome: sum(result.outcome == outcome for result in run.results.values())
        for outcome in ("passed", "failed", "skipped")
    }
    print(f"\n{path.relative_to(ROOT)}; {seconds:.0f} s, the boot included")
    failed = counts["failed"] + (1 if run.problems and not counts["failed"] else 0)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {failed} failed{skipped}")


def junit(run: Run, release: str, seconds: float) -> bytes:
    suite = ElementTree.Element("testsuite", name=f"vm-{release}", time=f"{seconds:.1f}")
    for case, result in cases(run):
        element = ElementTree.SubElement(suite, "testcase", case)
        if result.outcome != "passed":
            kind = {"failed": "failure"}.get(result.outcome, result.outcome)
            child = ElementTree.SubElement(element, kind, message=result.text.split("\n")[-1][:200])
            # XML has no word for most control characters.
            child.text = "".join(c for c in result.text if c.isprintable() or c in "\n\t")
    results = [result for _, result in cases(run)]
    suite.set("tests", str(len(results)))
    suite.set("failures", str(sum(result.outcome == "failed" for result in results)))
    suite.set("skipped", str(sum(result.outcome == "skipped" for result in results)))
    content: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return content


def cases(run: Run) -> Iterator[tuple[dict[str, str], Result]]:
    for result in run.results.values():
        path, _, name = result.test.partition("::")
        module = path.removesuffix(".py").replace("/", ".")
        yield {"classname": module, "name": name, "time": f"{result.seconds:.3f}"}, result
    for problem in run.problems:
        yield {"classname": "tests.vm", "name": "machine"}, Result("", "failed", 0, problem)


def explain_how_to_get_in(qemu: "subprocess.Popen[bytes]", run: Run) -> None:
    folder = run.folder.relative_to(ROOT)
    print(
        f"""
The machine runs on. A root shell in it (leave with Ctrl-]):

    socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:{folder}/shell

One scenario again, in it:  python3 /run/scenarios/tests/vm/inside.py service -k watchdog
End it:  kill {qemu.pid}; rm -r {folder}
"""
    )


if __name__ == "__main__":
    sys.exit(main())

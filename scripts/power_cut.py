"""Cuts the power while files are replaced, on a real file system: what was said to be there must be there, whole.

    sudo python scripts/power_cut.py [--cuts 50]

An ext4 file system in a file, on a loop device, mounted where no other process sees it. A process replaces files there, and says
after each that it is done. At random moments it is halted, and the file below the file system is copied as it is, without what
the system still holds in memory: that is what a power cut leaves. The copy is mounted, which replays its journal, and looked
through. Linux, root and e2fsprogs are needed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROOT, arguments

MEGABYTES = 24
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000

WRITER = """
import itertools, sys, time
from pathlib import Path
from revseg.runs.atomic import replacing
for version in itertools.count(1):
    for name in ("last.pt", f"new-{version % 40}/mask.png"):
        with replacing(Path(sys.argv[1]) / "run" / name) as temporary:
            temporary.write_bytes(version.to_bytes(8, "little") * 4000)
        print(version, name, flush=True)
        time.sleep(0.02)  # the next sync would put on the disk what this one forgot
"""


def main() -> None:
    given = parse()
    apart()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, mounted, copy = folder / "disk", folder / "mounted", folder / "copy"
        for path in (mounted, copy):
            path.mkdir()
        with image.open("wb") as file:
            file.truncate(MEGABYTES << 20)
        call("mkfs.ext4", "-q", str(image))
        call("mount", "-o", "loop,commit=300", str(image), str(mounted))  # nothing by itself for five minutes
        try:
            lost = [fault for cut in range(given.cuts) for fault in cut_once(cut, image, mounted, copy)]
        finally:
            call("umount", str(mounted))
    print("\n".join([*lost, f"{given.cuts} power cuts: {len(lost)} files lost or damaged"]))
    sys.exit(bool(lost))


def cut_once(cut: int, image: Path, mounted: Path, copy: Path) -> list[str]:
    """Returns what is wrong after one power cut."""
    command = [sys.executable, "-c", WRITER, str(mounted)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        time.sleep(random.Random(cut).random())
        process.send_signal(signal.SIGSTOP)
        snapshot = image.with_name("cut")
        call("cp", "--sparse=always", str(image), str(snapshot))
        process.kill()
        said += process.stdout.readlines()
    promised: dict[str, int] = {}
    for line in said:
        version, name = line.split()
        promised[name] = int(version)
    call("mount", "-o", "loop", str(snapshot), str(copy))
    try:
        return [f"cut {cut}: {fault}" for name, version in promised.items() if (fault := fault_of(copy / "run" / name, version))]
    finally:
        call("umount", str(copy))
        call("rm", "-r", str(mounted / "run"))


def fault_of(path: Path, version: int) -> str:
    """Returns what is wrong with a file that a version of was promised: it may hold the next, of which nothing was said yet."""
    if not path.exists():
        return f"{path.name} of version {version} is missing"
    content = path.read_bytes()
    found = int.from_bytes(content[:8], "little")
    if content != content[:8] * 4000:
        return f"{path.name} is damaged"
    return "" if found >= version else f"{path.name} has version {found}, and {version} was promised"


def apart() -> None:
    """Gives this process mounts of its own, which end with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        sys.exit(f"power_cut: cannot mount a file system: {os.strerror(ctypes.get_errno())}; call it as root")


def call(*command: str) -> None:
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"power_cut: {' '.join(command)}: {run.stderr.strip()}")


def parse() -> argparse.Namespace:
    made = arguments.parser(__doc__)
    made.add_argument("--cuts", type=int, default=50, help="how many (default: 50)")
    return made.parse_args()


if __name__ == "__main__":
    main()

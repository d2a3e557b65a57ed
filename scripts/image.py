"""Runs the lines of the Dockerfile in an empty Debian, on a machine without Docker: as root, with the package mmdebstrap.

    python scripts/image.py FOLDER               makes the image in a folder that is not there yet, 8 GB
    python scripts/image.py FOLDER COMMAND ...   runs a command in it, such as: revseg-train experiment=demo training.steps=2
    python scripts/image.py --here FOLDER ...    the same, half a gigabyte: this Python's packages are found there, not downloaded

Python is Debian's, not that of the image. The machine's apt and pip say where packages come from. What Docker itself does is not
tried: layers, GPUs, --init and --user.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from harness import ROOT
from harness.dockerfile import instructions

PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
BEGINNING = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "PIP_BREAK_SYSTEM_PACKAGES": "1"}
"""Debian keeps pip from its own packages; the image has none."""
NO_DEBIAN = "no empty Debian can be made on this machine"
HERE, LINKS = "/mnt", "/opt/here"
"""Where the packages of this Python are, if they are, and where Python and pip find all but revseg, which the lines install."""


class Image:
    """A folder that becomes the root of the image, line by line. packages: a folder of installed ones that is read there."""

    def __init__(self, folder: Path, packages: Path | None) -> None:
        self.folder, self.environment, self.place, self.user = folder, dict(BEGINNING), "/", "root"
        self.packages = packages
        self.mounts = [["mount", "--rbind", name, str(self.inside(name))] for name in ("/proc", "/sys", "/dev")]
        if packages is not None:
            here = str(self.inside(HERE))
            self.mounts += [["mount", "--bind", str(packages), here], ["mount", "-o", "remount,bind,ro", here]]

    def start(self) -> None:
        """Makes an empty Debian of the machine's own release."""
        release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
        if release is None:
            sys.exit("image: this machine is no Debian")
        options = ["--variant=minbase", f"--include={PACKAGES}", '--aptopt=Acquire::Retries "3"']
        if subprocess.run(["mmdebstrap", *options, release[1], str(self.folder), *sources()], check=False).returncode:
            sys.exit(f"image: {NO_DEBIAN}")
        self.inside("/usr/local/bin/python").symlink_to("/usr/bin/python3")
        if self.packages is not None:
            self.lend(self.packages)

    def lend(self, packages: Path) -> None:
        """Lets Python and pip find installed packages; revseg is left out, or pip would remove it from there first."""
        self.inside(LINKS).mkdir()
        for path in packages.iterdir():
            if not path.name.startswith("revseg"):
                (self.inside(LINKS) / path.name).symlink_to(f"{HERE}/{path.name}")
        for folder in self.inside("/usr/local/lib").glob("python3*/dist-packages"):
            (folder / "here.pth").write_text(f"{LINKS}\n")

    def line(self, instruction: str, rest: str) -> None:
        """Does what a line says."""
        if instruction == "ENV":
            self.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif instruction == "RUN":
            self.run(["sh", "-c", rest])
        elif instruction == "COPY":
            self.copy(*shlex.split(rest))
        elif instruction == "WORKDIR":
            self.place = rest
            self.inside(rest).mkdir(parents=True, exist_ok=True)
        elif instruction == "USER":
            self.user = rest
        elif instruction not in ("FROM", "ARG", "CMD"):
            sys.exit(f"image: {instruction} of the Dockerfile is not known here")

    def copy(self, *paths: str) -> None:
        """Copies files and folders of the checkout."""
        *files, target = paths
        place = self.inside(os.path.join(self.place, target))
        for name in files:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, place)

    def run(self, command: list[str]) -> None:
        """Runs a command in it; ends where that fails."""
        print(f"+ {shlex.join(command)}", flush=True)
        self.inside(self.place).mkdir(parents=True, exist_ok=True)  # as Docker does, where a line has removed it
        inside = f"cd {shlex.quote(self.place)} && exec {shlex.join(command)}"
        chroot = shlex.join(["chroot", f"--userspec={self.user}", str(self.folder), "sh", "-c", inside])
        line = " && ".join([*map(shlex.join, self.mounts), f"exec {chroot}"])
        alone = ["unshare", "--mount", "sh", "-c", line]  # the mounts are of this command alone
        found = subprocess.run(alone, env=self.environment | of_pip(), check=False)
        if found.returncode:
            sys.exit(f"image: {shlex.join(command)} ended with status {found.returncode}")

    def inside(self, path: str) -> Path:
        """A path of the image as the machine sees it."""
        return self.folder / path.lstrip("/")


def sources() -> list[str]:
    """Returns where the machine's own packages come from; none: as mmdebstrap does without being told."""
    told = "".join(path.read_text() for path in Path("/etc/apt/sources.list.d").glob("*.sources"))
    return re.findall(r"^URIs: *(\S+)", told, re.MULTILINE)[:1]


def of_pip() -> dict[str, str]:
    """Returns where the machine's pip looks for packages, of what can be reached from inside."""
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"^global\.index-url='(http[^']*)'", told, re.MULTILINE)
    return {"PIP_CERT": "/etc/ssl/certs/machine.crt"} | ({"PIP_INDEX_URL": found[1]} if found else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true", help="this Python's packages are found there; it is Debian's version")
    parser.add_argument("folder", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if os.geteuid() or shutil.which("mmdebstrap") is None:
        sys.exit("image: needs root, and the package mmdebstrap")
    packages = Path(sysconfig.get_path("purelib")) if given.here else None
    image, made = Image(given.folder.absolute(), packages), given.folder.exists()
    if not made:
        image.start()
        shutil.copy("/etc/resolv.conf", image.folder / "etc")  # the machine's own way to packages
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", image.folder / "etc/ssl/certs/machine.crt")
    for instruction, rest in instructions(ROOT / "Dockerfile"):
        if not made or instruction in ("ENV", "WORKDIR", "USER"):
            image.line(instruction, rest)
    image.run(given.command or ["revseg-train", "--help"])


if __name__ == "__main__":
    main()

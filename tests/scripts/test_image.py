"""The Dockerfile's own lines in an empty Debian: what they make trains as the image's user, and its compiler compiles."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from image import NO_DEBIAN

from tests.scripts.conftest import SCRIPTS

PYTHON = Path("/usr/bin/python3")
VERSION = "import sys; print(sys.version_info[:2])"


def can_make_one() -> bool:
    """Whether this machine is root with all that it takes, and Debian has this Python."""
    if (
        os.geteuid()
        or shutil.which("mmdebstrap") is None
        or not PYTHON.exists()
        or subprocess.call(["unshare", "--mount", "true"])
    ):
        return False
    python = subprocess.run([PYTHON, "-c", VERSION], capture_output=True, text=True)
    return python.stdout.strip() == str(sys.version_info[:2])


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_make_one(), reason="needs root, mmdebstrap, mounts of its own, and the Python of this Debian"),
]


def image(folder: Path, *command: str) -> str:
    words = [sys.executable, SCRIPTS / "image.py", "--here", folder, *command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if NO_DEBIAN in done.stdout:
        pytest.skip(NO_DEBIAN)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The image, and what was said while it was made."""
    folder = tmp_path_factory.mktemp("image") / "root"
    try:
        yield folder, image(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_its_lines_run_in_their_order(made: tuple[Path, str]) -> None:
    _, said = made
    lines = [line for line in said.splitlines() if line.startswith("+ ")]
    assert [re.search(r"apt-get|requirements|pip install \.|useradd|--help", line)[0] for line in lines] == [
        "apt-get", "requirements", "pip install .", "useradd", "--help",
    ]  # fmt: skip


def test_the_demo_trains_as_the_user_of_the_image(made: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = made
    image(folder, "revseg-train", "experiment=demo", "training.steps=2", "run_dir=runs/demo")
    written = folder / "segment/runs/demo/metrics.json"
    assert written.stat().st_uid == 1000
    assert len(list((folder / "segment/runs/.cache/revseg/kernels").glob("*.so"))) == 2  # for the CPU, of network and evidence
    assert not list((folder / "mnt").iterdir())  # the packages of this machine were lent, not kept
    subprocess.run([sys.executable, "-c", "import revseg.cli"], cwd=tmp_path, check=True)  # nor removed


def test_its_compiler_compiles_what_triton_asks_of_it(made: tuple[Path, str]) -> None:
    folder, _ = made
    program = "#include <stdint.h>\n#include <stdlib.h>\nint main(void) { return 0; }\n"
    (folder / "tmp/launcher.c").write_text(program)
    image(folder, "gcc", "-O3", "-shared", "-fPIC", "-o", "/tmp/launcher.so", "/tmp/launcher.c")
    assert (folder / "tmp/launcher.so").exists()

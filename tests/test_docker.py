"""The Dockerfile: its files are there, and its own lines do what they say, as far as a machine without Docker can tell."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
if str(ROOT / "scripts") not in sys.path:
    sys.path.insert(0, str(ROOT / "scripts"))

from harness.dockerfile import instructions  # noqa: E402


def arguments(name: str) -> list[str]:
    return [rest for instruction, rest in instructions(ROOT / "Dockerfile") if instruction == name]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in arguments("ENV") for pair in rest.split())


def copied(folder: Path) -> None:
    """Copies what COPY copies into a folder."""
    for rest in arguments("COPY"):
        *sources, target = rest.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, folder / target)


def test_what_is_copied_reaches_the_daemon() -> None:
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for rest in arguments("COPY"):
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(fnmatch(source, pattern) for pattern in let_through), f".dockerignore holds {source} back"


def test_its_line_of_requirements_writes_those_of_the_package(tmp_path: Path) -> None:
    (line,) = [rest for rest in arguments("RUN") if "requirements.txt" in rest]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(line.split("&&")[0], shell=True, check=True, cwd=tmp_path, env=os.environ | {"PATH": path})
    written = (tmp_path / "requirements.txt").read_text().split("\n")[:-1]
    assert written == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert any(requirement.startswith("tensorboard") for requirement in written)


@pytest.mark.slow
def test_what_is_copied_answers_in_the_environment_of_the_image(tmp_path: Path) -> None:
    """The program from the copied files alone, for a user who has no name: libraries ask for one, and would stop."""
    copied(tmp_path)
    code = (
        "import json, os, sys; sys.path.insert(0, os.getcwd())\n"
        "import getpass, revseg.config, revseg.cli.main\n"
        "from revseg.cli.command import configs_folder\n"
        "print(json.dumps([getpass.getuser(), str(configs_folder()), revseg.config.__file__]))"
    )
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=kept | environment(), capture_output=True, text=True, check=True)
    user, configs, module = json.loads(result.stdout)
    assert (user, Path(configs), Path(module)) == ("revseg", tmp_path / "configs", tmp_path / "revseg" / "config.py")


def test_kernels_are_compiled_and_kept_on_the_mounted_folder() -> None:
    (line,) = [rest for rest in arguments("RUN") if "apt-get" in rest]
    assert {"gcc", "libc6-dev"} <= set(line.split())
    (made,) = [rest for rest in arguments("RUN") if "install -d" in rest]
    for folder in (environment()[name] for name in ("TRITON_CACHE_DIR", "XDG_CACHE_HOME")):
        assert any(folder.startswith(f"{writable}/") for writable in made.split() if writable.startswith("/segment/"))
    assert "1777" in made


def test_the_documented_commands_run_under_init() -> None:
    for page in (ROOT / "docs/howto/docker.md", ROOT / "Dockerfile"):
        commands = re.findall(r"docker run [^\n]*", page.read_text())
        assert commands
        assert all("--init" in command for command in commands if "--rm" in command)

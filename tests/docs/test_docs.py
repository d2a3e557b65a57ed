"""The documentation: links, the commands that it quotes, the page of settings, and its build."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from revseg.cli.configured import configured
from revseg.cli.main import COMMANDS as BY_NAME
from revseg.cli.settings import leaves
from revseg.config import PredictConfig, TrainConfig
from revseg.demo.film import generate_demo

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "data" / "README.md", *(ROOT / "docs").rglob("*.md")])
COMMANDS = {f"revseg-{name}": command for name, command in BY_NAME.items()}
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`[^`]*`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PROGRAM = re.compile(rf"^(?:time |nohup |exec |revseg )?(?:{'|'.join(COMMANDS)})\b")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The text of a page without code."""
    return QUOTED.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """As mkdocs and GitHub make them of headings."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name_of(page)} links to {target}, which does not exist"
        assert not anchor or anchor in anchors(file), f"{name_of(page)} links to {target}, a heading that does not exist"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=name_of)
def test_no_page_of_the_site_links_out_of_it(page: Path) -> None:
    """mkdocs copies docs/ alone."""
    for target in LINK.findall(prose(page)):
        if not target.startswith(("https://", "http://", "#")):
            assert (page.parent / target.partition("#")[0]).resolve().is_relative_to(ROOT / "docs"), f"{name_of(page)}: {target}"


def test_the_readme_is_short_and_begins_with_the_first_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80
    commands = [line.split()[0] for line in lines if line.startswith("    ")]
    assert commands[:2] == ["scripts/demo", "scripts/test"]


def test_the_site_lists_every_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}


def test_the_page_of_settings_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "make_settings.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def quoted_commands(page: Path) -> list[str]:
    """The lines of code that call a command of revseg, each whole on one line."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    fenced = [line.strip() for block in FENCE.findall(text) for line in block.splitlines()]
    inline = [code.strip("`") for code in re.findall(r"`[^`\n]+`", FENCE.sub("", text))]
    found = [line for line in [*blocks, *fenced, *inline] if PROGRAM.match(line)]
    return sorted({" ".join(PROGRAM.sub(lambda m: m[0].split()[-1], line).split()) for line in found})


EVERY_COMMAND = sorted({command for page in PAGES for command in quoted_commands(page)})
# What stands for something else, or is the name of a command alone.
COMPOSED = [command for command in EVERY_COMMAND if " " in command and not any(word in command for word in ("...", "<"))]


def compose(command: str) -> None:
    """Composes the settings of a quoted command, checks them, and does nothing else.

    Of a sweep the first values, without launcher and sweeper, whose plugins may be absent.
    """
    program, *arguments = [word for word in shlex.split(command, comments=True) if word != "&"]
    if "-m" in arguments:
        arguments = [first_value(word) for word in arguments if word != "-m" and not word.startswith(("hydra/", "hydra."))]
    configured(COMMANDS[program], arguments)


def first_value(word: str) -> str:
    """training.steps=range(20,100,20) -> training.steps=20, seed=0,1,2 -> seed=0."""
    return re.sub(r"=(?:range|choice|interval)?\(?([^,()\[\]]+),.*$", r"=\1", word)


@pytest.fixture
def own_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory has the folder of docs/howto/own_experiment.md."""
    text = (ROOT / "docs" / "howto" / "own_experiment.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(# @package.*?)```", text, re.DOTALL)
    folder = tmp_path / "my" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMPOSED)
@pytest.mark.usefixtures("own_experiment")
def test_every_quoted_command_composes(command: str) -> None:
    compose(command)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what README and tutorial speak of: my.mp4, labels, other.mp4, other_labels."""
    folder = tmp_path_factory.mktemp("films")
    for video, labels in (("my", "labels"), ("other", "other_labels")):
        film, masks = generate_demo(folder / video, frames=9, height=40, width=64)
        film.rename(folder / f"{video}.mp4")
        (folder / labels).mkdir()
        for name in ("00000.png", "00004.png", "00008.png"):
            (masks / name).rename(folder / labels / name)
    return folder


SHORT = {"revseg-train": ["training.steps=1", "placements=1", "evidence.flow.least_height=40"]}
"""What keeps the test of a command short: a run that is resumed is given it again."""


@pytest.mark.slow
def test_the_commands_of_readme_and_tutorial_run(films: Path) -> None:
    """In the order in which they stand there, each once."""
    commands = [command for page in ("README.md", "docs/tutorial.md") for command in quoted_commands(ROOT / page)]
    served = "revseg-label"  # until it is interrupted: tests/page
    commands = [command for command in dict.fromkeys(commands) if command in COMPOSED and not command.startswith(served)]
    assert len(commands) >= 5
    for command in sorted(
        commands, key=lambda command: ("revseg-plan", "revseg-train", "revseg-predict").index(command.split()[0])
    ):
        program, *arguments = shlex.split(command)
        module = f"revseg.{program.removeprefix('revseg-')}"
        call = [sys.executable, "-m", module, "device=cpu", *SHORT.get(program, []), *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # as little beside other tests as can be
        done = subprocess.run(call, capture_output=True, text=True, cwd=films, env=environment, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    for folder in ("runs/my/predictions", "runs/second/predictions", "predictions/other"):
        assert len(list((films / folder / "masks").glob("*.png"))) == 9


def test_what_the_notebook_names_are_settings() -> None:
    known = {setting.key for schema in (TrainConfig, PredictConfig) for setting in leaves(schema)}
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for key in re.findall(r"\b((?:evidence|network|guidance|training|augment|data)\.[a-z_.]*[a-z])=", text):
            assert key in known, f"{name_of(page)} names {key}, which is no setting"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_code_that_a_page_names_exists(page: Path) -> None:
    for path in re.findall(r"`((?:revseg|scripts|docs|tests|configs)/[\w./-]+)`", page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), f"{name_of(page)} names {path}, which does not exist"


@pytest.mark.slow
def test_the_examples_in_python_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reference/python.md").read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").exists()

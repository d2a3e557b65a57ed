"""The programs in examples/, each in a process of its own, and what they claim of themselves."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[1] / "examples"
NUMBER = r"([\d.]+(?:e[+-]\d+)?)"


def run(name: str, *options: str) -> str:
    """The lines that an example prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, *options, str(EXAMPLES / name)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern: str, text: str) -> list[float]:
    """The numbers at the places {} of a line, which must be there once."""
    (found,) = re.findall(re.escape(pattern).replace(r"\{\}", NUMBER), text)
    return [float(part) for part in ([found] if isinstance(found, str) else found)]


def test_every_example_is_tested() -> None:
    tested = set(re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert tested == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_one_short_file_that_says_what_it_shows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert f"    python examples/{path.name}\n" in text
    assert "def main() -> None:" in text
    assert len(text.splitlines()) <= 140


def test_image_classification() -> None:
    text = run("image_classification.py")
    assert numbers("accuracy on 256 other pictures: {}", text)[0] > 0.85  # by chance 0.25
    assert "states come back bit for bit: True" in text
    shallow, plain = numbers("backward pass, 4 blocks: {} MiB reversible, {} MiB plain", text)
    deep, plain_deep = numbers("backward pass, 16 blocks: {} MiB reversible, {} MiB plain", text)
    assert deep == shallow < plain
    assert plain_deep > 2.5 * plain


def test_conditional() -> None:
    text = run("conditional.py")
    (before,) = numbers("loss before training: {}", text)
    after, misled = numbers("loss after training: {}, told a false strength: {}", text)
    assert after < 0.3 * before
    assert misled > 1.5 * after
    size, off = numbers("gradient of the condition: {}, from plain autograd's by {}", text)
    assert size > 0
    assert off < 0.03
    assert "inverse with the same condition is exact: True" in text
    assert numbers("inverse with another condition is off by up to {}", text)[0] > 0.01


def table(text: str) -> dict[tuple[str, int], list[float]]:
    """(network, depth) -> weights, MiB, seconds, error of the inverse (nan where there is none)."""
    rows = re.findall(r"^(reversible|MemCNN|plain autograd) +(\d+) +(\d+) +(\d+) +([\d.]+) +(\S+)$", text, re.MULTILINE)
    return {(kind, int(depth)): [float(part.replace("none", "nan")) for part in parts] for kind, depth, *parts in rows}


def test_own_module_against_memcnn() -> None:
    rows = table(run("own_module_against_memcnn.py"))
    assert sorted(rows) == sorted((kind, depth) for kind in ("reversible", "MemCNN", "plain autograd") for depth in (4, 12))
    for depth in (4, 12):
        ours, theirs, plain = (rows[kind, depth] for kind in ("reversible", "MemCNN", "plain autograd"))
        assert ours[0] == theirs[0] == plain[0]  # weights
        assert ours[3] == 0 < theirs[3] < 1e-3
    shallow, deep, plain = rows["reversible", 4], rows["reversible", 12], rows["plain autograd", 12]
    assert deep[1] < 1.5 * shallow[1] + 10
    assert deep[1] < 0.7 * plain[1]


def test_without_memcnn_the_comparison_says_so_and_shows_ours(tmp_path: Path) -> None:
    """A finder that knows no memcnn, put before the example's own run, at a small size."""
    program = tmp_path / "small.py"
    program.write_text(
        "import importlib.util, sys\n"
        f"sys.path.insert(0, {str(EXAMPLES)!r})\n"
        "import own_module_against_memcnn as example\n"
        "example.find_spec = lambda name: None\n"
        "example.DEPTHS, example.STEPS = (2,), 1\n"
        "if __name__ == '__main__':\n    example.main()\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(EXAMPLES.parent), str(EXAMPLES)])}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The package memcnn is not installed")
    assert {kind for kind, _ in table(done.stdout)} == {"reversible", "plain autograd"}


def test_volume() -> None:
    text = run("volume.py")
    first, last, right = numbers("loss {} -> {}, right voxels of other volumes: {}", text)
    assert last < 0.5 * first
    assert right > 0.85
    floor, in_place, ordinary = numbers("bytes a value: floor {}, a pass in place {}, an ordinary step {}", text)
    assert floor == 8
    if sys.platform == "linux":  # elsewhere the peak of a process is that of its parent, too
        assert floor <= in_place < 2 * floor
        assert in_place < ordinary < 120
    assert "states come back bit for bit: True" in text

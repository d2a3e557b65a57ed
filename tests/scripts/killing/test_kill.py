"""Moments come when they should, contents are compared, and a short storm ends as if nothing had happened."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killing.__main__ import summary
from killing.content import content_of, differences, half_written
from killing.moment import WRITTEN, Moment, moment

from tests.training.checkpoints import content_of as save_checkpoint
from tests.training.checkpoints import saved

ROOT = Path(__file__).resolve().parents[3]


def test_a_moment_comes_after_its_time(tmp_path: Path) -> None:
    has_come = Moment("time", 0.1).happens_in(tmp_path)
    assert not has_come()
    time.sleep(0.12)
    assert has_come()


def test_a_moment_comes_as_files_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / ".old.partial").touch()
    has_come = Moment("saving", 60, number=2).happens_in(tmp_path)
    (folder / ".a.partial").touch()
    assert not has_come()
    (folder / ".a.partial").unlink()
    (folder / ".b.partial").touch()
    assert has_come()


def test_moments_are_of_every_kind() -> None:
    moments = [moment(random.Random(seed), 10.0) for seed in range(200)]
    assert {each.kind for each in moments} == {"time", *WRITTEN}
    assert all(0 <= each.latest <= 9 for each in moments)


def test_differences_are_found(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    content = save_checkpoint(one / "run" / "checkpoints" / "last.pt")
    (one / "run" / "metrics.json").write_text('{"J": 0.5, "seconds": 1}')
    (one / "out" / "masks").mkdir(parents=True)
    (one / "out" / "masks" / "00000.png").write_bytes(b"mask")
    shutil.copytree(one, other)
    (other / "run" / "metrics.json").write_text('{"J": 0.5, "seconds": 2}')
    saved(content | {"seconds": 2.5}, other / "run" / "checkpoints" / "last.pt")
    assert differences(content_of(one), content_of(other)) == []
    content["weights"]["head.bias"][0] += 1e-6
    saved(content, other / "run" / "checkpoints" / "last.pt")
    (other / "run" / "metrics.json").write_text('{"J": 0.6}')
    (other / "out" / "masks" / "00001.png").write_bytes(b"mask")
    found = differences(content_of(one), content_of(other))
    assert found[0] == "J"
    assert found[-1] == "out/masks/00001.png"
    assert len(found) == 3
    (other / "out" / ".x.partial").touch()
    assert half_written(other) == ["out/.x.partial"]


def test_the_table() -> None:
    kills = [{"kind": "time"}, {"kind": "masks"}, {"kind": "time"}]
    text = summary([{"kills": kills, "problem": None}, {"kills": [], "problem": "differs in J"}])
    assert text.startswith("1 of 2 runs ended bit for bit")
    assert "| time | 2 | 1 |" in text
    assert "| all | 3 | 2 |" in text


@pytest.mark.slow
def test_a_short_storm(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); from killing.__main__ import main; sys.exit(main())"
    small = ["network.channels=2", "network.levels=1", "network.depth=1", "network.rank=4", "data.height=24", "evidence=none"]
    arguments = ["--runs", "1", "--output", str(tmp_path / "results"), *small]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "1 of 1 runs ended bit for bit like one that nobody killed." in done.stdout

"""The fuzzer finds what it is for, and a short run of it passes."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import checkpoints, mutations
from fuzzing.__main__ import summary
from fuzzing.kinds import KINDS
from fuzzing.verdict import LONGEST, SECONDS, fault
from harness.command import MISTAKE, Outcome

from tests.training.checkpoints import content_of

ROOT = Path(__file__).resolve().parents[3]


def ended(status: int, error: str = "", seconds: float = 1.0, peak: int = 1 << 29) -> Outcome:
    return Outcome(status, seconds, peak, out="", error=error)


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (ended(0), None),
        (ended(1, "revseg: a.mp4 is empty: get a whole copy\n"), None),
        (ended(0, "UserWarning: x\n"), "noise beside success"),
        (ended(1), "not one sentence"),
        (ended(1, "revseg: a\nrevseg: b\n"), "not one sentence"),
        (ended(1, "ERROR of a library\nrevseg: a\n"), "not one sentence"),
        (ended(1, f"revseg: {'a' * LONGEST}"), "not one sentence"),
        (ended(MISTAKE, "Traceback (most recent call last):\n ...\n"), "traceback"),
        (ended(2, "usage"), "exit status 2"),
        (ended(-11), "ended by signal 11"),
        (ended(-9, seconds=SECONDS + 0.1), "took longer than 30 s"),
        (ended(0, peak=5 << 30), "took 5.4 GB"),
    ],
)
def test_verdicts(outcome: Outcome, found: str | None, tmp_path: Path) -> None:
    assert fault(outcome, tmp_path) == found


def test_half_written_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".a1b2.partial").touch()
    assert fault(ended(1, "revseg: no"), tmp_path) == "left a half-written file"


def test_damage_is_a_function_of_the_seed(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4
    made = [[mutations.damaged(content, random.Random(seed)) for seed in range(50)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0]) - {content}) > 45
    texts = [mutations.edited("a: 1\nb: [2, 3]\n", random.Random(seed)) for seed in range(50)]
    assert len(set(texts)) > 30


def test_checkpoints_change_and_can_be_opened(tmp_path: Path) -> None:
    for seed in range(20):
        path = tmp_path / f"{seed}.pt"
        content_of(path)
        before = path.read_bytes()
        checkpoints.changed(path, random.Random(seed))
        assert path.read_bytes() != before


def test_the_table() -> None:
    record = {"kind": "videos", "fault": None, "status": 0, "seconds": 1.0, "peak": 1e9}
    text = summary([record, record | {"status": 1}, record | {"fault": "traceback", "kind": "lists", "seconds": 2.0}])
    assert "| videos | 2 | 1 | 1 | 0 | 1.0 | 1.0 |" in text
    assert "| all | 3 | 1 | 1 | 1 | 2.0 | 1.0 |" in text


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); from fuzzing.__main__ import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


@pytest.mark.slow
def test_a_short_run(tmp_path: Path) -> None:
    done = fuzz("--cases", "12", "--seed", "0", "--output", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "| all | 12 |" in done.stdout
    assert {line.split(" | ")[0].strip("| ") for line in done.stdout.splitlines()[2:-1]} <= set(KINDS)
    assert not (tmp_path / "results" / "failures").exists()

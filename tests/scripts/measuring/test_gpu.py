"""scripts/gpu: a part that fails or hangs loses nothing else, and the page is made from what was found."""

import json
import sys
import time
from pathlib import Path

import pytest
import torch
from measuring import __main__ as gpu
from measuring import report
from measuring.parts import Part, parts
from measuring.steps import CASES, asked_of_the_host, random_video, timed

CPU = torch.device("cpu")


def part(code: str, seconds: float = 20, **more: Path) -> Part:
    return Part("one", seconds, [sys.executable, "-c", code], **more)


def run(given: Part, folder: Path, left: float = 60) -> dict:
    with open(folder / "gpu.log", "w", encoding="utf-8") as log:
        log.write("before\n")
        return gpu.run(given, left, log)


def test_the_json_of_the_last_line_is_what_was_found(tmp_path: Path) -> None:
    record = run(part("print('told'); print('{\"ms\": 3}')"), tmp_path)
    assert (record["status"], record["found"]) == ("done", {"ms": 3})
    assert "told" in (tmp_path / "gpu.log").read_text()


def test_a_file_is_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text('{"J": 0.5}')
    assert run(part("print(1)", reads=tmp_path / "found.json"), tmp_path)["found"] == {"J": 0.5}


def test_a_part_that_fails_keeps_its_last_words(tmp_path: Path) -> None:
    record = run(part("import sys; print('words'); sys.exit(3)"), tmp_path)
    assert record["status"] == "failed with status 3"
    assert record["tail"].strip() == "words"


def test_a_part_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = f"import pathlib, time; time.sleep(4); pathlib.Path({str(mark)!r}).touch()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert run(part(code, 1.5), tmp_path)["status"] == "took longer than 2 s"
    time.sleep(4)
    assert not mark.exists()


def test_what_there_is_no_time_or_no_data_for_is_named(tmp_path: Path) -> None:
    assert run(part("1"), tmp_path, left=1)["status"] == "no time left"
    record = run(part("1", needs=tmp_path / "absent"), tmp_path)
    assert record["status"] == "left out"
    assert "absent is not there" in record["reason"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_part_is_a_command_that_exists(device: str, tmp_path: Path) -> None:
    found = parts(device, True, tmp_path, tmp_path)
    assert len({each.name for each in found}) == len(found)
    for each in found:
        words = each.command[1:]
        target = Path("scripts", *words[1].split(".")).with_suffix(".py") if words[0] == "-m" else Path(words[0])
        assert words[1] in ("pytest", "revseg.train") or (gpu.ROOT / target).is_file(), each


def test_a_step_is_timed_and_counted() -> None:
    volume, labels, frames = random_video(CASES["film"].small, CPU)
    assert (volume.shape, labels.shape, len(frames)) == ((1, 6, 64, 24, 32), (1, 5, 24, 32), 5)
    assert len(timed(lambda: torch.ones(2).add(1), 3, CPU)) == 3
    assert asked_of_the_host(lambda: torch.ones(2).add(1), CPU)["operations"] >= 2


FOUND = {
    "machine": {
        "gpu": "NVIDIA H100",
        "processor": "x",
        "threads": 1,
        "cores": 2,
        "system": "Linux",
        "python": "3",
        "versions": {},
    },
    "small": False,
    "parts": {
        "agreement": {"status": "done", "seconds": 3.0, "found": {"apart": [1e-4, 2e-3], "inverted": True}},
        "steps": {"status": "done", "seconds": 9.0, "found": {"guided 80": {"seconds": 0.015, "peak": 2e9, "operations": 900}}},
        "steps film": {"status": "done", "seconds": 9.0, "found": {"film": {"seconds": 5.0, "peak": 40e9}}},
        "blocks": {"status": "took longer than 60 s", "seconds": 60.0, "tail": ""},
        "run 96": {"status": "done", "seconds": 9.0, "found": {"J": 0.9, "seconds": 4.0}},
    },
}


def test_the_page_tells_what_was_found(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    page.write_text("# GPU\n\nby hand\n")
    report.write(FOUND, page)
    text = page.read_text()
    for expected in ("by hand", "| guided 80 | 15.0 | 2.00 | 900 | - |", "| film | 5000.0 | 40.00 |", "took longer than 60 s",
                     "1.0e-04, 2.0e-03; every step inverted bit for bit", "| run 96 | 0.900 |"):  # fmt: skip
        assert expected in text
    report.write(FOUND, page)
    assert page.read_text() == text


def test_numbers_of_a_rehearsal_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mean nothing"):
        report.write(json.loads(json.dumps(FOUND)) | {"small": True}, tmp_path / "gpu.md")
    assert not (tmp_path / "gpu.md").exists()

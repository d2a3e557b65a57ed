"""scripts/benchmark.py on tiny volumes, and what its peers compute."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch):
    """Imports a module of scripts/benchmark."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"benchmark.{name}")

    return load


def test_quick_run_measures_resumes_and_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    command = [
        sys.executable,
        str(SCRIPTS / "benchmark.py"),
        "--quick",
        "--threads",
        "1",
        "--output",
        str(page),
    ]
    command += ["--rows", "depth", "floor"]
    first = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert first.returncode == 0, first.stderr
    results = json.loads((tmp_path / "page" / "cpu.json").read_text())
    cases = {case["peer"]: case for case in results["groups"]["depth/4"]["cases"]}
    for peer in ("revseg", "revseg-int16", "plain", "checkpoint", "naive"):
        assert cases[peer]["peak"] > 0
        assert len(cases[peer]["seconds"]) == results["groups"]["depth/4"]["repeats"]
        assert cases[peer]["loss"] == pytest.approx(cases["naive"]["loss"], rel=1e-2)
    for peer in ("memcnn", "iunets", "monai-unet", "monai-segresnet"):
        case = cases[peer]
        assert case["error"].startswith("not installed") if "error" in case else len(case["seconds"]) > 0
    text = page.read_text()
    assert "Required and reached" in text
    assert "plain autograd" in text

    second = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stderr
    assert json.loads((tmp_path / "page" / "cpu.json").read_text())["groups"] == results["groups"], "measured twice"


def test_the_same_network_has_the_same_gradients(part) -> None:
    """Plain, checkpointed and naive, in float32, give revseg's gradients: they are the same network."""
    Case, peers = part("case").Case, part("peers")
    case = Case("revseg", (8, 16, 16), (1, 1, 1), rank=4)
    device = torch.device("cpu")
    volume = torch.randint(0, 256, (1, 3, *case.size), dtype=torch.uint8)
    labels = torch.randint(0, 2, (1, len(case.labelled_frames), 16, 16), dtype=torch.uint8)

    def gradients(model) -> torch.Tensor:
        model.step(volume, labels, case.labelled_frames)
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    mine = gradients(peers.Revseg(case, device, convolution_dtype="float32"))
    for way, tolerance in (
        ("naive", 1e-2),
        ("plain", 5e-2),
        ("checkpoint", 5e-2),
    ):  # the fast ones may use bfloat16
        theirs = gradients(peers.Otherwise(case, device, way))
        assert (theirs - mine).norm() <= tolerance * mine.norm(), way


def test_all_ways_give_the_same_masks(part) -> None:
    Case, peers = part("case").Case, part("peers")
    case, device = Case("revseg", (8, 14, 16), (0, 1, 1), "infer", rank=4), torch.device("cpu")
    volume = torch.randint(0, 256, (1, 3, *case.size), dtype=torch.uint8)
    mask = peers.Revseg(case, device).infer(volume)
    assert mask.shape == case.size
    for way in ("plain", "naive"):
        assert (peers.Otherwise(case, device, way).infer(volume) == mask).float().mean() > 0.95, way


def test_memcnn_and_plain_have_the_same_gradients(part) -> None:
    pytest.importorskip("memcnn")
    Case, peers = part("case").Case, part("peers")
    case = Case("memcnn", (8, 16, 16), (1, 1, 1), rank=4)
    torch.manual_seed(0)
    volume = torch.randint(0, 256, (1, 3, *case.size), dtype=torch.uint8)
    labels = torch.randint(0, 2, (1, len(case.labelled_frames), 16, 16), dtype=torch.uint8)
    both = []
    for way in ("plain", "memcnn"):
        model = peers.Otherwise(case, torch.device("cpu"), way)
        model.step(volume, labels, case.labelled_frames)
        both.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    # memcnn inverts in floating point: a relu near zero may switch (up to 5e-4 of the largest, over eight seeds).
    torch.testing.assert_close(both[1], both[0], rtol=0, atol=2e-3 * float(both[0].abs().max()))


def test_operations_of_revseg_are_those_that_pytorch_counts(part) -> None:
    """The formula against torch.utils.flop_counter on the naive network, opening and head left out."""
    from torch.utils.flop_counter import FlopCounterMode

    Case, peers = part("case").Case, part("peers")
    case = Case("naive", (8, 16, 16), (1, 0, 2), rank=4)
    model = peers.Otherwise(case, torch.device("cpu"), "naive")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.network.state(torch.zeros(1, 3, *case.size, dtype=torch.uint8))
    convolutions = counter.get_flop_counts()["Global"]
    counted = sum(n for operation, n in convolutions.items() if "convolution" in str(operation))
    assert counted == model.forward_flops(case.size)


@pytest.mark.parametrize(("per_frame", "fixed"), [(10.0, 5.0), (1.0, 0.0), (3.0, 400.0)])
def test_the_search_finds_the_longest_video_that_fits(part, per_frame: float, fixed: float) -> None:
    Search = part("largest").Search
    search = Search(limit=1000)
    while (frames := search.next()) is not None:
        assert frames % 8 == 0
        assert len(search.peaks) < 8
        search.peaks[frames] = fixed + per_frame * frames
    assert search.fitting == int((1000 - fixed) / per_frame) // 8 * 8


def test_the_search_ends_where_nothing_fits_and_where_memory_runs_out(part) -> None:
    Search = part("largest").Search
    nothing = Search(limit=10)
    while (frames := nothing.next()) is not None:
        nothing.peaks[frames] = 100.0 * frames
    assert nothing.fitting == 0
    bounded = Search(limit=10**9)
    while (frames := bounded.next()) is not None:
        assert len(bounded.peaks) < 40
        bounded.peaks[frames] = float("inf") if frames > 100 else 5.0 + frames
    assert bounded.fitting == 96


def test_verdicts(part) -> None:
    Line = part("targets").Line
    upper = Line("time", "", 1.2, measured={"fp32": (1.5, ""), "int16": (0.6, "")})
    assert upper.verdict == "fp32: **missed** by 25 %<br>int16: met, 0.50 of the number"
    lower = Line("frames", "", 400, at_least=True, measured={"int16": (300, "")})
    assert lower.verdict == "int16: **missed** by 25 %"
    assert Line("time", "", 1.2).verdict == "not measured"
    assert Line("time", "", float("nan"), measured={"fp32": (1.0, "")}).verdict == "reported"


def test_peak_memory_sees_what_was_allocated_and_freed(part) -> None:
    memory = part("memory")
    if not memory.STATUS.exists():
        pytest.skip("resident sizes are read from /proc")
    before = memory.baseline(torch.device("cpu"))
    torch.ones(16 << 20)  # 64 MB, freed at once
    peak = before.peak()["peak"]
    assert 62 << 20 < peak < 72 << 20  # Linux counts pages in batches

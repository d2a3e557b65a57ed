"""scripts/memory_figure.py: the networks compute the same gradients, and a tiny figure has the relations of the authors'."""

import json
from dataclasses import replace
from pathlib import Path

import memory_figure
import pytest
import torch
from harness.memory import STATUS
from memory_figure import Case

from tests.scripts.as_process import run_script

NAMES = [curve.replace(" ", "_") for curve in memory_figure.CURVES]


def test_bytes_of_kernels_are_those_of_the_formula() -> None:
    for curve in memory_figure.CURVES:
        case = Case(curve, side=8, layers=7, levels=2)
        weights = sum(weight.nbytes for weight in memory_figure.network(case).parameters())
        assert 2 * weights == case.kernels()


def test_a_network_within_levels_has_the_same_blocks() -> None:
    case = Case("levels", side=8, layers=8, levels=1)
    within, whole = memory_figure.WithinLevels(case), memory_figure.network(case)
    shapes = [weight.shape for weight in whole.parameters()]
    assert [weight.shape for weight in within.parameters()] == shapes


def test_the_step_in_place_has_the_gradients_of_autograd() -> None:
    case = Case("low rank", side=8, layers=5, levels=2)
    net = memory_figure.network(case)
    memory_figure.in_place(net, case)
    found = [weight.grad for weight in net.parameters()]
    stored = memory_figure.network(replace(case, curve="plain"))
    stored.load_state_dict(net.state_dict())
    y = memory_figure.random_field(case).permute(0, 4, 1, 2, 3)
    torch.stack([part.square().mean() for part in stored(y, y)]).sum().backward()
    for one, other in zip(found, stored.parameters(), strict=True):
        assert one is not None
        assert other.grad is not None
        assert torch.linalg.vector_norm(one - other.grad) < 2e-2 * torch.linalg.vector_norm(other.grad)


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="peaks are read from Linux's /proc")
def test_a_tiny_figure(tmp_path: Path) -> None:
    page, picture = tmp_path / "page.md", tmp_path / "figure.png"
    sizes = ("--sides", "48", "--layers", "5,30", "--levels", "1", "--side", "48")
    run_script("memory_figure.py", *sizes, "--output", tmp_path / "cases", "--page", page, "--picture", picture)
    assert picture.stat().st_size > 10_000
    assert page.read_text().count("| low rank |") == 4
    few, many = ({curve: _case(tmp_path, curve, layers) for curve in NAMES} for layers in (5, 30))
    # Freed memory goes back in pieces of 4 MB. A state of each layer that was kept would be 44 MB more.
    assert many["low_rank"]["states"] < few["low_rank"]["states"] + 8e6
    assert many["plain"]["states"] > 1.15 * few["plain"]["states"]
    assert few["low_rank"]["states"] < few["levels"]["states"] < few["plain"]["states"]
    assert few["full"]["kernels"] > 20 * few["low_rank"]["kernels"]


def _case(folder: Path, curve: str, layers: int) -> dict[str, float]:
    path = folder / "cases" / f"{curve}-48-{layers}-2.json"
    found: dict[str, float] = json.loads(path.read_text())
    return found

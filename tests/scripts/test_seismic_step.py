"""scripts/seismic_step.py: its gradients are those of ordinary autograd, and a tiny step takes what is predicted."""

import re
from pathlib import Path

import pytest
import seismic_step
import torch
from harness.memory import STATUS, Footprint
from seismic_step import Network, Progress

from revseg.network.network import normalise
from revseg.reversible.grid import Grid
from tests.scripts.as_process import run_script


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Returns a network of two levels."""
    monkeypatch.setattr(seismic_step, "DEPTHS", (1, 2))
    monkeypatch.setattr(seismic_step, "RANKS", (4, 8))
    torch.manual_seed(0)
    return Network.new(4)


def test_gradients_are_those_of_autograd(small: Network) -> None:
    small.sequence.grid, small.sequence.adjoint_dtype = Grid(torch.float32, 12), torch.float32
    small.sequence.convolution_dtype = torch.float32
    volume, labels = seismic_step.new_volume(8, 4)
    progress = Progress(Footprint(torch.device("cpu")), quiet=True)
    loss, inverted = seismic_step.training_step(small, volume, labels, progress)
    found = [weight.grad for weight in small.parameters()]
    for weight in small.parameters():
        weight.grad = None

    small.sequence.recompute = False
    y = small.opening(normalise(volume)).permute(3, 0, 1, 2)[None]
    fields = torch.cat(small.sequence(y, y), 1)[0].permute(1, 2, 3, 0)
    logits = small.head(fields[labels.first, labels.second])
    expected = seismic_step.balanced(logits.flatten(0, 1), labels.classes.flatten())
    expected.backward()

    assert inverted
    assert loss == pytest.approx(float(expected.detach()), rel=1e-2)
    for one, weight in zip(found, small.parameters(), strict=True):
        assert one is not None
        assert weight.grad is not None
        assert torch.linalg.vector_norm(one - weight.grad) < 2e-2 * torch.linalg.vector_norm(weight.grad)


def test_weights_are_those_of_the_authors() -> None:
    """30 blocks and level changes, whose kernels take 0.23 GB, and would take 41.16 GB in full."""
    depths, ranks = seismic_step.DEPTHS, seismic_step.RANKS
    counts = [2 * depth for depth in depths[:-1]] + [depths[-1]]
    channels = [12 * 8**level for level in range(len(depths))]
    assert sum(counts) + 2 * (len(depths) - 1) == 30
    low_rank, full = (
        sum(4 * 27 * n * c * r for n, c, r in zip(counts, channels, some, strict=True)) for some in (ranks, channels)
    )
    assert round(low_rank / 1e9, 2) == 0.23
    assert round(full / 1e9, 2) == 41.16


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="peaks are read from Linux's /proc")
def test_a_tiny_step(tmp_path: Path) -> None:
    page = tmp_path / "seismic.md"
    assert "the opening again bit for bit" in run_script(
        "seismic_step.py", "--side", 64, "--channels", 1, "--quiet", "--page", page
    )
    text = page.read_text()
    expected, peak = (
        float(re.search(rf"\| .*{name}.* \| ([0-9.]+) \|", text)[1]) for name in ("predicted: all", "the whole step")
    )  # type: ignore[index]
    assert expected < peak < expected + 150  # libraries that load on the way, and the norm's temporaries

"""A training step in processes that hold the volume together equals that of one process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from revseg.network.network import RevSegNet
from revseg.network.step import StepResult, training_step
from revseg.network.volume import Part
from revseg.parallel.group import Group, joined
from revseg.training.loss import SegmentationLoss
from tests.parallel.processes import start

pytestmark = pytest.mark.slow

FRAMES, HEIGHT, WIDTH = 13, 18, 22


@dataclass(frozen=True)
class Case:
    """A network and the frames that are labelled."""

    network: dict[str, Any]
    labelled: tuple[int, ...] = (0, 5, 12)
    offset: tuple[int, int, int] = (1, 2, 3)
    tolerance: float = 1e-5
    """Of gradients, relative to the largest of each parameter."""
    settings: dict[str, Any] = field(default_factory=dict)


FLOAT = {"arithmetic": "float", "state_dtype": "float32"}
CASES = [
    Case(FLOAT),
    Case({**FLOAT, "evidence": True, "slab_bytes": 200_000}, offset=(3, 0, 0)),
    Case({**FLOAT, "adjoint_dtype": "float16", "output_level": 1}, labelled=(12,), tolerance=1e-2),  # others have no labels
    Case({**FLOAT, "channels": 16, "rank": 2, "depth": (0, 1, 1), "keep_hidden": True}),  # products on the coarse levels
    Case({"state_dtype": "int32"}, tolerance=1e-4),  # a sum in another order is rounded to the other side now and then
    Case({"state_dtype": "int16", "convolution_dtype": "bfloat16"}, tolerance=5e-2),
]


def step(case: Case, group: Group | None) -> tuple[StepResult, dict[str, torch.Tensor]]:
    """Takes the step, alone or with the group."""
    torch.manual_seed(0)
    settings = {"levels": 2, "depth": (1, 1, 1), "rank": 6, "convolution_dtype": "float32", **case.network}
    net = RevSegNet(**settings)
    generator = torch.Generator().manual_seed(1)
    volume = torch.randint(0, 256, (2, net.config.inputs, FRAMES, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 2, (2, len(case.labelled), HEIGHT, WIDTH), generator=generator)
    part = None
    if group is not None:
        assert group.volume is not None
        part = Part(FRAMES, group.volume)
        volume = volume[:, :, slice(part.seen(net.config, case.offset[0]).start, part.seen(net.config, case.offset[0]).stop)]
    found = training_step(net, volume, labels, case.labelled, loss=SegmentationLoss(), offset=case.offset, part=part)
    gradients = {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}
    return found, gradients


def steps(rank: int, folder: Path) -> None:
    with joined() as group:
        group.connect(torch.device("cpu"))
        group.share_volumes(group.world)
        for number, case in enumerate(CASES):
            expected, whole = step(case, None)
            found, shared = step(case, group)
            assert abs(float(found.loss) - float(expected.loss)) <= 1e-5 * abs(float(expected.loss)) + case.tolerance / 100
            assert found.inverted is expected.inverted, number
            torch.testing.assert_close(found.state_range, expected.state_range, rtol=1e-2, atol=0, equal_nan=True)
            assert shared.keys() == whole.keys()
            for name, gradient in whole.items():
                apart = (shared[name] - gradient).abs().max() / gradient.abs().max()
                assert apart <= case.tolerance, (number, name, float(apart))
            print(number, max(float((shared[n] - g).abs().max() / g.abs().max()) for n, g in whole.items()))


@pytest.mark.parametrize("world", [2, 3, 4])
def test_gradients_equal_those_of_one_process(world: int, tmp_path: Path) -> None:
    """13 frames at offsets of 1 and 3 are four coarse frames: of 4, each process has one; of 3, shards are unequal."""
    started = start(tmp_path, world, steps)
    assert started.statuses() == [0] * world, started.told()

"""A training step in processes that hold the volume together equals that of one process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from revseg.network.inference import predict_probabilities
from revseg.network.network import RevSegNet
from revseg.network.step import StepResult, training_step
from revseg.network.volume import Part
from revseg.parallel.group import Group, joined
from revseg.training.inference import SharedInference
from revseg.training.loss import SegmentationLoss
from revseg.video.read import read_video
from tests.parallel.processes import start

pytestmark = pytest.mark.slow

FRAMES, HEIGHT, WIDTH = 13, 10, 14


@dataclass(frozen=True)
class Case:
    """A network and the frames that are labelled."""

    network: dict[str, Any]
    labelled: tuple[int, ...] = (0, 5, 12)
    offset: tuple[int, int, int] = (1, 2, 3)
    tolerance: float = 1e-5
    """Of gradients, relative to the largest of each parameter."""


FLOAT = {"arithmetic": "float", "state_dtype": "float32"}
CASES = [
    Case(FLOAT),
    Case({**FLOAT, "adjoint_dtype": "float16", "output_level": 1}, labelled=(12,), tolerance=1e-2),  # others have no labels
    Case(
        {**FLOAT, "evidence": True, "channels": 16, "rank": 2, "depth": (0, 0, 1), "keep_hidden": True}, offset=(3, 0, 0)
    ),  # products
    Case({"state_dtype": "int32", "grid_bits": 18}),  # a sum in another order is rounded to the other side now and then
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


def masks_of_the_clip(group: Group) -> None:
    """A real video, far from trained: both classes everywhere."""
    torch.manual_seed(2)
    net = RevSegNet(levels=2, depth=(1, 1, 1), rank=6, convolution_dtype="float32", state_dtype="int16")
    torch.nn.init.normal_(net.head.weight, std=3)  # type: ignore[arg-type]
    clip = Path(__file__).parents[1] / "data" / "clip" / "clip.mp4"
    volume = read_video(clip, height=36).volume[:, :FRAMES]
    assert group.volume is not None
    inference, offsets, before = SharedInference(group.volume), ((0, 0, 0), (3, 1, 2)), group.volume.sent

    def predicted() -> torch.Tensor:
        found = list(inference.predict(net, volume, offsets))
        assert [start for start, _ in found] == [sum(part.shape[1] for _, part in found[:index]) for index in range(len(found))]
        return torch.cat([part for _, part in found], 1)

    shared = inference.together(net, predicted)
    assert group.volume.sent > before, "each has a part of the volume"
    if shared is None:
        return
    expected = torch.cat([part for _, part in predict_probabilities(net, volume, offsets)], 1)
    assert shared.shape == expected.shape
    apart = shared.argmax(0) != expected.argmax(0)
    assert 0.1 < expected.argmax(0).float().mean() < 0.9
    assert not (apart & ((expected[0] - expected[1]).abs() > 0.02)).any(), "masks differ where it is no tie"
    assert apart.float().mean() < 1e-3


def steps(rank: int, folder: Path, cases: list[int]) -> None:
    with joined() as group:
        group.connect(torch.device("cpu"))
        group.share_volumes(group.world)
        for number in cases:
            case = CASES[number]
            found, shared = step(case, group)
            if not group.first:  # all add the same gradients
                continue
            expected, whole = step(case, None)
            assert abs(float(found.loss) - float(expected.loss)) <= 1e-5 * abs(float(expected.loss)) + case.tolerance / 100
            assert found.inverted is expected.inverted, number
            assert found.state_range == pytest.approx(expected.state_range, rel=1e-2, nan_ok=True)
            assert shared.keys() == whole.keys()
            for name, gradient in whole.items():
                apart = (shared[name] - gradient).abs().max() / gradient.abs().max()
                assert apart <= case.tolerance, (number, name, float(apart))
        masks_of_the_clip(group)


@pytest.mark.parametrize(("world", "cases"), [(2, [0, 1, 2, 3, 4]), (3, [0, 2, 3]), (4, [1, 4])])
def test_gradients_and_masks_equal_those_of_one_process(world: int, cases: list[int], tmp_path: Path) -> None:
    """13 frames at offsets of 1 and 3 are four coarse frames: of 4, each process has one; of 3, shards are unequal."""
    started = start(tmp_path, world, steps, cases)
    assert started.statuses() == [0] * world, started.told()

"""How many processes hold a video together, by the forecast of each."""

from dataclasses import replace

import pytest
import torch
from harness.settings import compose

from revseg.forecast.fits import smallest
from revseg.forecast.outline import Outline
from revseg.forecast.sharing import check_parts, enough_shards
from revseg.labels.dataset import evenly_spaced
from revseg.parallel.config import ParallelConfig
from revseg.video.memory import Footage
from tests.test_device import limited

CPU = torch.device("cpu")
LONG = Outline(Footage(800, (480, 854)), evenly_spaced(800, 5), known=5, classes=2)


def test_each_process_needs_less_and_auto_takes_as_few_as_are_enough() -> None:
    config = compose(["evidence=none", "data.height=480", "network.channels=8"])

    def training(shards: int) -> int:
        found = smallest(replace(config, parallel=ParallelConfig(shards)), LONG, CPU, held=0)
        return found.network.floor

    assert training(4) == pytest.approx(training(1) * 26 / 101), "of 101 coarse frames"
    auto = replace(config, parallel=ParallelConfig("auto"))
    assert enough_shards(auto, LONG, CPU, processes=1, of=4) in (1, 2, 4)
    with limited(1 << 20):
        assert enough_shards(auto, LONG, CPU, processes=1, of=4) == 4, "as many as can be"
        assert enough_shards(auto, LONG.with_frames(3), CPU, processes=1, of=4) == 1, "of one coarse frame"
    with pytest.raises(ValueError, match=r"parallel\.volume is 2, but a video of 8 frames.*set parallel\.volume=1 or less"):
        check_parts(replace(config, parallel=ParallelConfig(2)), LONG.with_frames(3))

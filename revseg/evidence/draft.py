"""What the smoothed evidence says before looks are asked, at the sizes they see a frame at."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from revseg import storage
from revseg.evidence.fields import Field, Fields


class Draft:
    """smoothed: the probabilities (classes, H, W) of every frame. kept: frames whose own are needed later, at the finest size.

    size, finest: (h, w).
    """

    def __init__(
        self,
        smoothed: Iterable[Field],
        kept: Collection[int],
        *,
        frames: int,
        size: tuple[int, int],
        finest: tuple[int, int],
        fields: Fields,
    ) -> None:
        self.size = size
        self.likely: dict[int, Tensor] = {}
        """frame -> 255 times the probabilities, (classes, H, W) uint8, on the CPU."""
        height, width = size
        self._ground = storage.empty(frames, -(-height * width // 8))  # a bit a pixel: of all frames
        for frame, field in enumerate(smoothed):
            probabilities = fields.tensor(field)[None]
            if frame in kept:
                self.likely[frame] = F.interpolate(255 * probabilities, finest, mode="area")[0].round().to(torch.uint8).cpu()
            ground = F.interpolate(probabilities[:, :1], size, mode="area")[0, 0] > 0.5
            self._ground[frame] = torch.from_numpy(np.packbits(ground.cpu().numpy()))

    def ground(self, frame: int) -> NDArray[np.uint8]:
        """Returns where a frame is more likely ground than not, (h, w), 1 or 0."""
        height, width = self.size
        return np.unpackbits(self._ground[frame].numpy(), count=height * width).reshape(height, width)

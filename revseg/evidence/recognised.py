"""What looks have recognised in the frames of a video."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from revseg import storage
from revseg.evidence.looks import objectness


class Recognised:
    """Nothing, until it is put. size: (h, w) at which frames are seen."""

    def __init__(self, frames: int, classes: int, size: tuple[int, int]) -> None:
        self.known = torch.zeros(frames, classes)
        """The share of a frame's pixels that are surely of each object (``Told.known``)."""
        self._trusted = storage.zeros(frames, *size)

    def put(self, frame: int, said: Tensor | None, *, known: Tensor, trust: float) -> None:
        """said: of its pixels, logarithms (classes, h, w); trust: the confidence in what is surely an object."""
        self.known[frame] = known
        if said is not None:
            self._trusted[frame] = (255 * trust * objectness(said)).round_()

    def trusted(self, frame: int, like: Tensor) -> Tensor:
        """Returns how far what is seen of a frame can be trusted to be an object, 255 times, (H, W) uint8. like: of that size."""
        small = self._trusted[frame].to(like.device)[None, None].float()
        return F.interpolate(small, like.shape, mode="bilinear", align_corners=False)[0, 0].round_().to(torch.uint8)

"""What is known of the pixels of a video before a network sees it: the probability of each class, and the confidence in them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from revseg import storage


@dataclass(frozen=True, eq=False)
class Evidence:
    """Probabilities and confidence of every pixel of a video, a byte each; all 0 where nothing is known."""

    probabilities: Tensor
    """(classes, T, H, W) uint8: 255 times the probability of each class."""
    confidence: Tensor
    """(T, H, W) uint8: 255 times the confidence in them."""

    def __post_init__(self) -> None:
        assert self.probabilities.shape[1:] == self.confidence.shape, (self.probabilities.shape, self.confidence.shape)

    @classmethod
    def blank(cls, classes: int, frames: int, size: tuple[int, int]) -> Evidence:
        """Returns evidence that knows nothing, which takes no memory and stays as it is; size: (H, W)."""
        return cls.from_planes(torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(classes + 1, frames, *size))

    @classmethod
    def from_planes(cls, planes: Tensor) -> Evidence:
        """Returns the evidence of ``planes``, (classes + 1, T, H, W) uint8, in the same memory."""
        return cls(planes[:-1], planes[-1])

    @property
    def classes(self) -> int:
        return self.probabilities.shape[0]

    @property
    def frames(self) -> int:
        return self.probabilities.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.probabilities.shape[2], self.probabilities.shape[3]

    def planes(self, frames: slice = slice(None)) -> Tensor:
        """Returns what a network sees beside some frames of the video: (classes + 1, t, H, W) uint8, the confidence last."""
        return torch.cat([self.probabilities[:, frames], self.confidence[None, frames]])

    def within(self, window: range) -> Evidence:
        """Returns that of some frames in a row, in the same memory."""
        frames = slice(window.start, window.stop)
        return Evidence(self.probabilities[:, frames], self.confidence[frames])

    def frame(self, number: int) -> tuple[Tensor, Tensor]:
        """Returns the probabilities (classes, H, W) and the confidence (H, W) of a frame, 0 to 1."""
        return self.probabilities[:, number].float() / 255, self.confidence[number].float() / 255

    def gone(self, number: int) -> list[int]:
        """Returns the objects that are nowhere in a frame of which something is known."""
        seen = self.probabilities[:, number].flatten(1).any(1).tolist()
        return [object_ for object_, anywhere in enumerate(seen) if object_ and not anywhere] if any(seen) else []

    def resized(self, size: tuple[int, int], pool: Executor | None = None) -> Evidence:
        """Returns the same at another size (h, w): means over areas. pool: works on several frames at a time."""
        if self.size == size:
            return self
        result = Evidence.from_planes(storage.empty(self.classes + 1, self.frames, *size))

        def put(frame: int) -> None:
            result.probabilities[:, frame] = _means(self.probabilities[:, frame], size)
            result.confidence[frame] = _means(self.confidence[None, frame], size)[0]

        deque((map if pool is None else pool.map)(put, range(self.frames)), maxlen=0)
        return result


def _means(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns bytes (C, H, W) at another size, as float32."""
    return F.interpolate(planes[None].float(), size, mode="area")[0].round_()

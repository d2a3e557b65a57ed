"""What training sees of one video: its volume and the labels of some of its frames."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

VOID = 255
"""The label of pixels that count nowhere: not in the loss, not in a measure."""


@dataclass(frozen=True)
class Sample:
    """A video with labels for some of its frames."""

    name: str
    volume: Tensor
    """(3, T, H, W) uint8, RGB."""
    labels: Tensor
    """(L, H, W) uint8, of the labelled frames only: 0 background, 1, 2, ... objects, 255 void."""
    labelled_frames: tuple[int, ...]
    """Positions on the T axis of the L labelled frames, ascending."""
    native_size: tuple[int, int]
    """(H, W) of the source, before any resizing."""
    frame_rate: Fraction
    source: Path
    """The video file or the folder of frames."""
    frame_names: tuple[str, ...] = ()
    """What each of the T frames is called in the source, and so its mask: "00012"."""
    evidence: Tensor | None = None
    """(classes + 1, T, H, W) uint8: what is known of every pixel beforehand, for a guided network (``propagate``)."""

    def __post_init__(self) -> None:
        assert self.labels.shape == (len(self.labelled_frames), self.height, self.width), self.labels.shape
        assert list(self.labelled_frames) == sorted(set(self.labelled_frames)), self.labelled_frames

    @property
    def inputs(self) -> Tensor:
        """What a network sees: the volume, with the evidence, where there is any, as further channels."""
        return self.volume if self.evidence is None else torch.cat([self.volume, self.evidence])

    @property
    def frames(self) -> int:
        return self.volume.shape[1]

    @property
    def height(self) -> int:
        return self.volume.shape[2]

    @property
    def width(self) -> int:
        return self.volume.shape[3]

    def select(self, frames: Iterable[int]) -> "Sample":
        """The same video with only these of its labelled frames."""
        kept = tuple(sorted(set(frames)))
        missing = sorted(set(kept) - set(self.labelled_frames))
        if missing:
            raise ValueError(f"frame {missing[0]} of {self.source} is not labelled: choose among {self.labelled_frames}")
        rows = [self.labelled_frames.index(frame) for frame in kept]
        return replace(self, labels=self.labels[rows], labelled_frames=kept)

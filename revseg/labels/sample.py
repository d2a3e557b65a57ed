"""A video with masks of some of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from revseg import storage
from revseg.labels.masks import resize_mask, resize_sparse
from revseg.labels.palette import VOID
from revseg.video.frame import resized
from revseg.video.resize import resize_volume
from revseg.video.scale import Scale


@dataclass(frozen=True)
class Sample:
    """A video with masks of some of its frames."""

    name: str
    volume: Tensor
    """(C, T, H, W) uint8: RGB, or the channels of a volume."""
    masks: Tensor
    """(L, H, W) uint8 at the video's own size, of the labelled frames only: 0 background, 1, 2, ... objects, 255 void."""
    labelled_frames: tuple[int, ...]
    """Positions on the T axis of the L labelled frames, ascending."""
    native_size: tuple[int, int]
    """(H, W) of the source, before any resizing."""
    frame_rate: Fraction
    source: Path
    """The video file or the folder of frames."""
    frame_names: tuple[str, ...] = ()
    """What each of the T frames is called in the source, and so its mask: "00012"."""
    lost_names: tuple[str, ...] = ()
    """Names of frames that could not be decoded."""
    total: int | None = None
    """How many frames the source has; None where reading ended before it."""
    begins: Fraction = Fraction(0)
    """Seconds from the first frame of the source to the first of these."""
    scale: Scale | None = None
    """How the values of a volume became bytes; None: they were bytes."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel as it is to be shown, for a height of 1."""
    sound: bool = False
    """Whether the source has a sound track."""
    object_names: Mapping[int, str] = field(default_factory=dict)
    """Names of objects by their ids, as far as the labels or the settings have any."""
    objects_by_name: bool = False
    """Whether it is by their names that objects have their ids."""

    def __post_init__(self) -> None:
        assert self.masks.shape == (len(self.labelled_frames), *self.native_size), self.masks.shape
        assert list(self.labelled_frames) == sorted(set(self.labelled_frames)), self.labelled_frames

    @cached_property
    def labels(self) -> Tensor:
        """(L, H, W) uint8 at the size of the volume: the nearest pixel of each mask."""
        labels = storage.empty(len(self.masks), self.height, self.width)
        for row, mask in zip(labels, self.masks, strict=True):
            resize = resize_mask if _is_whole(mask) else resize_sparse
            row.copy_(torch.from_numpy(resize(mask.numpy(), self.height, self.width)))
        return labels

    @cached_property
    def whole_frames(self) -> tuple[int, ...]:
        """Those of the labelled frames in which at least half of the pixels have a label. Of others, with a few points,
        scribbles or boreholes, the labels tell nothing of the rest of the frame."""
        return tuple(frame for frame, mask in zip(self.labelled_frames, self.masks, strict=True) if _is_whole(mask))

    @property
    def unlabelled_frames(self) -> tuple[int, ...]:
        """The frames without labels, in order."""
        return tuple(sorted({*range(self.frames)}.difference(self.labelled_frames)))

    @property
    def frames(self) -> int:
        """T."""
        return self.volume.shape[1]

    @property
    def height(self) -> int:
        """H of the volume."""
        return self.volume.shape[2]

    @property
    def width(self) -> int:
        """W of the volume."""
        return self.volume.shape[3]

    def select(self, frames: Iterable[int]) -> Sample:
        """The same video with only these of its labelled frames."""
        kept = tuple(sorted(set(frames)))
        missing = sorted(set(kept) - set(self.labelled_frames))
        if missing:
            raise ValueError(f"frame {missing[0]} of {self.source} is not labelled: choose among {self.labelled_frames}")
        rows = [self.labelled_frames.index(frame) for frame in kept]
        return replace(self, masks=storage.rows_of(self.masks, rows), labelled_frames=kept)

    def resized(self, height: int | None) -> Sample:
        """The same video in frames of another height, the width in proportion; None: the video's own."""
        size = resized(self.native_size, height)
        if size == (self.height, self.width):
            return self
        return replace(self, volume=resize_volume(self.volume, size))


def _is_whole(mask: Tensor) -> bool:
    # NumPy counts in a tenth of the time that PyTorch sums truth values in.
    return 2 * int(np.count_nonzero(mask.numpy() != VOID)) >= mask.numel()

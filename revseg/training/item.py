"""What one training step sees of a video."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from revseg.evidence.evidence import Evidence
from revseg.evidence.shown import Shown


@dataclass(frozen=True)
class Item:
    """A volume with the labels of some frames, and the evidence of all."""

    volume: Tensor
    """(C, T, H, W) uint8: RGB, or the channels of a volume."""
    labels: Tensor
    """(L, H, W) uint8: 0 background, 1, 2, ... objects, 255 void."""
    labelled_frames: tuple[int, ...]
    """Positions on the T axis of the L labelled frames, ascending."""
    evidence: Evidence | Shown | None = None
    """At the size of the volume, for a network that sees it."""

    def __post_init__(self) -> None:
        assert self.labels.shape == (len(self.labelled_frames), *self.volume.shape[2:]), self.labels.shape

    def within(self, window: range) -> Item:
        """Returns what lies within some frames in a row, in the same memory; itself where these are all."""
        if len(window) == self.frames:
            return self
        rows = [row for row, frame in enumerate(self.labelled_frames) if frame in window]
        labels = self.labels[rows[0] : rows[-1] + 1] if rows else self.labels[:0]
        labelled = tuple(self.labelled_frames[row] - window.start for row in rows)
        evidence = None if self.evidence is None else self.evidence.within(window)
        return Item(self.volume[:, window.start : window.stop], labels, labelled, evidence=evidence)

    @property
    def frames(self) -> int:
        """T."""
        return self.volume.shape[1]

    @property
    def height(self) -> int:
        """H."""
        return self.volume.shape[2]

    @property
    def width(self) -> int:
        """W."""
        return self.volume.shape[3]

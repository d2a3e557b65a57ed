"""Evidence with a few frames that show something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from revseg.evidence.evidence import Evidence


@dataclass(frozen=True, eq=False)
class Shown:
    """What a network is shown of evidence: a copy would take as much memory for each step that is made ahead."""

    evidence: Evidence
    others: Mapping[int, Tensor] = field(default_factory=dict)
    """What some frames show in place of it, (classes + 1, H, W) uint8 each."""

    @property
    def classes(self) -> int:
        return self.evidence.classes

    def within(self, window: range) -> Shown:
        """Returns that of some frames in a row, in the same memory."""
        others = {frame - window.start: planes for frame, planes in self.others.items() if frame in window}
        return Shown(self.evidence.within(window), others)

    def planes(self, frames: slice = slice(None)) -> Tensor:
        """Returns the planes of some frames, (classes + 1, t, H, W) uint8, the confidence last."""
        planes = self.evidence.planes(frames)
        for place, frame in enumerate(range(*frames.indices(self.evidence.frames))):
            if frame in self.others:
                planes[:, place] = self.others[frame]
        return planes

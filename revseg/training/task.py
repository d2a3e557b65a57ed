"""What a training needs of its task: what to train on, how to tell how good it is, what to leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from revseg.labels.sample import Sample
from revseg.network.memory import Size
from revseg.network.network import RevSegNet

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    scalars: dict[str, float]
    """For TensorBoard: name -> value."""
    pictures: dict[str, Picture]
    """For TensorBoard: name -> (H, W, 3)."""
    score: float
    """What the best checkpoint is best in."""


class Experiment(Protocol):
    """`FewFrames` or `Davis`."""

    @property
    def label_count(self) -> int | None:
        """Labelled frames of the one video that is trained on; None: of many videos."""

    def sample(self, index: int) -> Sample:
        """What training item number `index` is made from; depends on nothing else. Called from several
        threads."""

    def largest(self) -> tuple[Size, int]:
        """Size (T, H, W) of the largest video that is trained on, and how many of its frames are labelled."""

    def evaluate(self, net: RevSegNet) -> Evaluation:
        """Of the network as it is now."""

    def finish(self, net: RevSegNet, folder: Path) -> dict[str, Any]:
        """Predictions into `folder`; returns the final measures."""

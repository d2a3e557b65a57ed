"""What a training needs of its task: what to train on, how to tell how good it is, what to leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from revseg.network.memory import Size
from revseg.network.network import RevSegNet
from revseg.training.item import Item

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """Measures and pictures for TensorBoard."""

    scalars: dict[str, float]
    """Name -> value."""
    pictures: dict[str, Picture]
    """Name -> (H, W, 3)."""


@dataclass(frozen=True)
class Result:
    """What a finished training comes to."""

    metrics: dict[str, Any]
    """For metrics.json."""
    evaluation: Evaluation
    """The same for TensorBoard, of the masks that were written."""

    @property
    def objective(self) -> float | None:
        """What a sweep looks for the largest of: J&F where truth is known, J where only of some pixels, else the expected J."""
        for name in ("JF", "J", "expected_J"):
            if (value := self.metrics.get(name)) is not None:
                return float(value)
        return None


FINETUNE_SHARE = 4
"""``Task.finetune_share``, as long as nothing says that fewer steps are enough."""


class Task(Protocol):
    """``OneVideo`` or ``DatasetTask``."""

    @property
    def label_count(self) -> int | None:
        """How many labelled frames of the one video are trained on; None: many videos are."""

    @property
    def labels_key(self) -> str | None:
        """Key of the labels of the one video that are trained on; None: many videos are."""

    @property
    def finetune_share(self) -> int:
        """One of so many steps of the first round is enough in a later one."""

    @property
    def shared_out(self) -> bool:
        """Whether the processes of a group share out `evaluate` and `finish`, and all call them; else the first alone does."""

    def item(self, index: int) -> Item:
        """Returns what training item number `index` is made from; depends on nothing else. Called from several threads."""

    def largest(self) -> tuple[Size, int]:
        """Returns the size (T, H, W) of the largest video that is trained on, and how many of its frames are labelled."""

    def evaluate(self, net: RevSegNet) -> Evaluation:
        """Measures the network as it is now, alone."""

    def finish(self, net: RevSegNet, folder: Path) -> Result:
        """Writes predictions into `folder`; returns the final measures."""

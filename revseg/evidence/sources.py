"""Frames from which labels are carried to others."""

from __future__ import annotations

from typing import Any

import torch

from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow
from revseg.labels.sample import Sample


class Labels:
    """The labelled frames of a video. classes: of the labels, the ground among them."""

    def __init__(self, labelled: Sample, classes: int, *, flow: Flow) -> None:
        self.labelled, self.classes, self.flow = labelled, classes, flow
        self.frames: tuple[int, ...] = labelled.labelled_frames
        """In ascending order, each a row."""

    def planes(self, row: int) -> Field:
        """Returns the probability of each class in a frame, (classes, H, W); where nothing is known, all are 0."""
        labels = self.labelled.labels[row].to(self.flow.device)
        return self.flow.fields.field(labels == torch.arange(self.classes, device=labels.device)[:, None, None])

    def content(self, row: int) -> Any:
        """What identifies the planes of a frame in the key of what is kept."""
        return self.frames[row], self.labelled.labels[row]

"""Frames of which the evidence is sure, carried along once more as if they were labelled.

Labels that are carried far drift, on every way. A frame whose objects are sure is nearer to its neighbours than the labelled one,
and what it says of them, weighed in turn, is added to what the labels say. It is the scheme of Lee, "Pseudo-Label: the simple and
efficient semi-supervised learning method", 2013, with flow in place of a network that learns. A frame in which no object is seen
gives nothing: it may be that all are lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from revseg.evidence.config import PseudoLabelsConfig
from revseg.evidence.expectation import expected_similarity
from revseg.evidence.fields import Field, Fields
from revseg.evidence.sources import Labels
from revseg.labels.palette import VOID


class PseudoLabels(Labels):
    """The labelled frames, and sure ones with probabilities in place of labels: frame -> (classes, H, W)."""

    def __init__(self, labels: Labels, sure: Mapping[int, Field]) -> None:
        super().__init__(labels.labelled, labels.classes, flow=labels.flow)
        self._rows = {frame: row for row, frame in enumerate(labels.frames)}
        self._sure = sure
        self.frames = tuple(sorted({*labels.frames, *sure}))

    def planes(self, row: int) -> Field:
        frame = self.frames[row]
        return super().planes(self._rows[frame]) if frame in self._rows else self._sure[frame]

    def content(self, row: int) -> Any:
        frame = self.frames[row]
        return super().content(self._rows[frame]) if frame in self._rows else (frame, self.flow.fields.array(self._sure[frame]))


def asks_pseudo_labels(config: PseudoLabelsConfig, labels: Tensor) -> bool:
    """Whether any are taken: where only one frame is labelled, (L, H, W), and shows an object."""
    return config.frames > 0 and len(labels) == 1 and bool(((labels > 0) & (labels != VOID)).any())


def surest(probabilities: Iterable[Field], others: Sequence[int], count: int, *, fields: Fields) -> dict[int, Field]:
    """Returns of each of so many stretches of the other frames the one of whose masks most is expected, with its probabilities.

    probabilities: (classes, H, W) of every frame in order, 0 to 1; others: those that are not labelled.
    """
    stretch = {frame: index * count // len(others) for index, frame in enumerate(others)}
    best: dict[int, tuple[float, int, Field]] = {}
    for frame, field in enumerate(probabilities):
        if frame not in stretch:
            continue
        values = fields.tensor(field)
        classes = values.max(0).indices
        expected = expected_similarity(values, classes) if classes.any() else 0.0
        if expected > best.get(stretch[frame], (0.0,))[0]:
            best[stretch[frame]] = expected, frame, field
    return {frame: field for _, frame, field in best.values()}

"""What is carried to a frame, weighed with how its pixels move."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from revseg.evidence.camera import Ground
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.flow import Flow
from revseg.evidence.likelihood import MotionLikelihood
from revseg.evidence.motion import of_frame, strays
from revseg.labels.sample import Sample


class ByMotion:
    """Weighs probabilities with how pixels move. moved: the motion of every frame, (H, W) uint8; none: they stay."""

    def __init__(
        self, labelled: Sample, classes: int, *, flow: Flow, config: EvidenceConfig, moved: Iterable[Tensor] | None
    ) -> None:
        self.labelled, self.classes, self.flow, self.config = labelled, classes, flow, config
        self._moved = None if moved is None else list(moved)
        if self._moved is not None:
            of_labelled = (self._moved[frame].cpu() for frame in labelled.labelled_frames)
            self._likelihood = MotionLikelihood(of_labelled, labelled.labels, classes, config=config.likelihood)

    def weighed(self, evidence: Tensor, frame: int) -> Tensor:
        """Returns the probabilities of a frame's evidence, (classes + 1, H, W) uint8 -> (classes, H, W) uint8."""
        if self._moved is None:
            return evidence[:-1]
        fields = self.flow.fields
        return fields.to_bytes(self._likelihood.weigh(evidence, self._moved[frame], fields))

    def following(self, ground: Ground) -> ByMotion | None:
        """Returns it with the motion taken anew of frames whose camera turns out to be an object's; None: there are none."""
        if self._moved is None:
            return None
        flow, config, frames = self.flow, self.config, range(self.flow.frames)
        astray = [
            frame for frame, found in flow.each(lambda at: strays(flow, at, config=config.motion, ground=ground), frames) if found
        ]
        if not astray:
            return None
        moved = list(self._moved)
        for frame in astray:
            moved[frame] = of_frame(flow, frame, config.motion, ground=ground)
        return ByMotion(self.labelled, self.classes, flow=flow, config=config, moved=moved)

    def weighed_anew(self, weighed: Tensor, frame: int, before: ByMotion) -> Tensor:
        """Returns the probabilities of a frame, (classes, H, W) uint8, that another has weighed."""
        if self._moved is None or before._moved is None:
            return weighed
        told = {frame, *self.labelled.labelled_frames}  # of which the likelihood is learned
        if all(self._moved[at] is before._moved[at] for at in told):
            return weighed
        moved, had_moved, fields = self._moved[frame], before._moved[frame], self.flow.fields
        anew = self._likelihood.weigh_anew(weighed, moved, fields, before=before._likelihood, had_moved=had_moved)
        return fields.to_bytes(anew)

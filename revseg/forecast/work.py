"""How much each phase of a run has to do, in numbers that its seconds grow with in proportion.

decoding, writing       pixels of the video
optical flow            pixels of all flows between neighbours, as they are enlarged
carrying labels         pixels of all frames that a label is carried to, for each class
looks                   pixels of all frames, as they are seen
smoothing evidence      pixels of all neighbours that are looked at, for each class; before looks are asked, and after
training                operations of the convolutions of all steps
segmenting              pixels at the size of the evidence, for each class
"""

from __future__ import annotations

from revseg.config import TrainConfig
from revseg.evidence.flow import enlargement
from revseg.evidence.memory import asks_looks, flow_counts, seen_pixels
from revseg.forecast.outline import Outline, sees_evidence
from revseg.network.memory import Forecast


def work_of(config: TrainConfig, outline: Outline, step: Forecast) -> dict[str, float]:
    """Returns the work of each phase of a training on one video, in order; step: the forecast of a step as it is arranged."""
    sizes, settings = outline.evidence_size(config), config.evidence
    frames, classes, pixels = sizes.frames, sizes.classes, sizes.pixels
    smoothing = frames * len(settings.smoothing.hops) * settings.smoothing.sweeps
    found: dict[str, float] = {"decoding": outline.footage.frames * outline.footage.native_pixels}
    if settings.source != "none" or settings.smoothing.sweeps:
        near, _ = flow_counts(sizes, settings)
        found["optical flow"] = near * pixels * enlargement(*sizes.size, settings.flow.least_height) ** 2
    if sees_evidence(config):
        if carried := sum(len(gap.rows) * (gap.stop - gap.first) for gap in sizes.gaps):
            found["carrying labels"] = carried * pixels * classes
            found["carrying labels back"] = frames * sizes.shares * pixels * classes
        if settings.likelihood.enabled or not sizes.labelled_frames:
            found["motion"] = frames * pixels
        seeing = asks_looks(sizes, settings)
        if seeing:
            found["looks"] = frames * seen_pixels(sizes, settings.looks)
        found["smoothing evidence"] = (1 + seeing) * smoothing * pixels * classes
    found["training"] = config.training.steps * step.operations
    found["segmenting"] = frames * pixels * classes
    found["writing"] = outline.footage.frames * outline.footage.native_pixels
    return {phase: amount for phase, amount in found.items() if amount}

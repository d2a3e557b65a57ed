"""How much each phase of a run has to do, in numbers that its seconds grow with in proportion.

decoding, writing       pixels of the video
optical flow            pixels of all flows between neighbours, as they are enlarged
carrying labels         pixels of the flows straight from frames that are carried along, and a share for each class of a frame
                        carried to
carrying labels back    pixels of all steps from frame to frame, and of what is made of them at their end
looks                   pixels of all frames, as they are seen
smoothing evidence      pixels of all neighbours that are looked at, for each class; before looks are asked, before the surest
                        frames are carried along, and after
training, inference     operations of the convolutions of all steps, of all placements and windows
segmenting              pixels at the size of the evidence, for each class
"""

from __future__ import annotations

from revseg.config import TrainConfig
from revseg.evidence.flow import enlargement
from revseg.evidence.memory import EvidenceSize, asks_looks, finer_pixels, flow_counts, seen_pixels, with_pseudo_labels
from revseg.forecast.outline import Outline, sees_evidence
from revseg.network.config import NetworkConfig
from revseg.network.memory import Forecast, forecast_prediction
from revseg.network.windows import windows_of

SUM_OF_A_FLOW = 1.5
"""Time of carrying one class to a frame, of that of a flow straight to it (measured: compiled, CPU)."""
BEHIND = 0.9
"""Time of seeing what is behind a frame, of that of describing and weighing it (measured: CPU)."""
NEAR = 0.4
"""Time of seeing the pixels near contours, of that of seeing a whole frame of as many lines (measured: CPU, five labels)."""
SUMS_BACK = 3
"""Time of what carries labels back, at its end, of that of a step from frame to frame (measured: CPU)."""


def work_of(config: TrainConfig, outline: Outline, network: NetworkConfig, *, step: Forecast) -> dict[str, float]:
    """Returns the work of each phase of a training on one video, in order; network: as it is arranged; step: its forecast."""
    sizes, settings = outline.evidence_size(config), config.evidence
    frames, classes, pixels = sizes.frames, sizes.classes, sizes.pixels
    smoothing = (frames - len(sizes.labelled_frames)) * len(settings.smoothing.hops) * settings.smoothing.sweeps
    found: dict[str, float] = {"decoding": outline.footage.frames * outline.footage.native_pixels}
    if settings.source != "none" or settings.smoothing.sweeps:
        near, straight = flow_counts(sizes, settings)
        of_a_flow = pixels * enlargement(*sizes.size, settings.flow.least_height) ** 2
        found["optical flow"] = near * of_a_flow
    if sees_evidence(config):
        again = with_pseudo_labels(sizes, settings)
        gaps = [*sizes.gaps, *(again.gaps if again else ())]
        carried = sum(len(gap.rows) * (gap.stop - gap.first) for gap in gaps)
        found["carrying labels"] = (straight + SUM_OF_A_FLOW * carried * classes) * of_a_flow
        found["carrying labels back"] = _steps_back(config, sizes) * pixels
        if settings.likelihood.enabled or not sizes.labelled_frames:
            found["motion"] = frames * pixels
        seeing = asks_looks(sizes, settings)
        if seeing:
            seen = seen_pixels(sizes, settings.looks) + NEAR * finer_pixels(sizes, settings.looks)
            of_a_frame = (1 + BEHIND * settings.looks.background) * seen
            found["looks"] = (1 + (again is not None)) * frames * of_a_frame
        found["smoothing evidence"] = (1 + seeing + (again is not None)) * smoothing * pixels * classes
    found["training"] = config.training.steps * step.operations
    passes = config.placements * len(windows_of(frames, config.data.window))
    found["inference"] = passes * forecast_prediction(network, outline.seen_size(config.data)).operations
    found["segmenting"] = frames * pixels * classes
    found["writing"] = outline.footage.frames * outline.footage.native_pixels
    return {phase: amount for phase, amount in found.items() if amount}


def _steps_back(config: TrainConfig, sizes: EvidenceSize) -> float:
    """Returns the steps from frame to frame of all labels that are carried back, and of what is summed at their ends."""
    one = len(sizes.labelled_frames) == 1
    shares = config.guidance.shares_of_one if one else config.guidance.shares
    ways = [(row, gap.virtual(row, share)) for gap in sizes.gaps for row in gap.rows for share in shares]
    return sum(SUMS_BACK + abs(frame - sizes.labelled_frames[row]) for row, frame in ways if frame is not None)

"""Labels carried along by dense optical flow: DIS (Kroeger et al., arXiv:1603.03590), as in OpenCV.

Two ways to the label of a pixel, both from the nearest labelled frame (of two the earlier):

    chain    x_{t-1} = x_t + flow(t -> t-1)(x_t), frame by frame back to the labelled one; drifts, but follows large motion
    direct   one flow from the frame straight to the labelled one; does not drift, but loses what has moved far

The chain composes positions, not labels: a label is looked up once, so that no small object is worn away by resampling.
"""

from __future__ import annotations

import cv2
import numpy as np

from revseg.evidence.flow import Flow, look_up
from revseg.labels.sample import VOID, Sample
from revseg.tasks.measures import Mask


def propagate(labelled: Sample, chain: bool) -> list[Mask]:
    """A mask for every frame. labelled: the video with the labels that are given."""
    flow = Flow(labelled.volume)
    known = np.array(labelled.labelled_frames)
    nearest = [int(np.abs(known - frame).argmin()) for frame in range(labelled.frames)]
    masks: list[Mask] = [np.empty(0, np.uint8)] * labelled.frames
    for row, start in enumerate(labelled.labelled_frames):
        labels = labelled.labels[row].numpy()
        labels = np.where(labels == VOID, np.uint8(0), labels)
        masks[start] = labels
        for direction in (1, -1):
            position, frame = flow.identity, start + direction
            while 0 <= frame < labelled.frames and nearest[frame] == row:
                if chain:
                    position = look_up(position, flow.position(frame, frame - direction), cv2.INTER_LINEAR)
                else:
                    position = flow.position(frame, start)
                masks[frame] = look_up(labels, position, cv2.INTER_NEAREST)
                frame += direction
    return masks

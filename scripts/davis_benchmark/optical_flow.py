"""Labels carried along by dense optical flow: DIS (Kroeger et al., arXiv:1603.03590), as in OpenCV.

Two ways to the label of a pixel, both from the nearest labelled frame (of two the earlier):

    chain    x_{t-1} = x_t + flow(t -> t-1)(x_t), frame by frame back to the labelled one; drifts, but follows large motion
    direct   one flow from the frame straight to the labelled one; does not drift, but loses what has moved far

The chain composes positions, not labels: a label is looked up once, so that no small object is worn away by resampling.
"""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from revseg.data.sample import VOID, Sample
from revseg.training.measures import Mask

# Smaller frames are enlarged to about this height for the flow: DIS matches patches of 8 pixels at half resolution, too coarse
# for them (mean J over ten sequences at height 96, 5 labelled: 0.67 as they are, 0.75 enlarged four times).
LEAST_HEIGHT = 384

Field = NDArray[np.float32]


def propagate(labelled: Sample, chain: bool) -> list[Mask]:
    """A mask for every frame. labelled: the video with the labels that are given."""
    flow = Flow(labelled)
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


def look_up(image: NDArray, position: Field, interpolation: int) -> NDArray:
    """image at each (x, y) of position (H, W, 2); beyond the border, what is at the border."""
    return cv2.remap(image, position, None, interpolation, borderMode=cv2.BORDER_REPLICATE)


class Flow:
    """Optical flow between any two frames of a video."""

    def __init__(self, video: Sample) -> None:
        self.size = video.width, video.height
        self.factor = ceil(LEAST_HEIGHT / video.height)
        self.frames = [self._grey(frame) for frame in video.volume.permute(1, 2, 3, 0).numpy()]
        self.dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        rows, columns = np.mgrid[: video.height, : video.width].astype(np.float32)
        self.identity: Field = np.stack([columns, rows], axis=-1)

    def position(self, frame: int, other: int) -> Field:
        """(H, W, 2): where in `other` each pixel (x, y) of `frame` is found."""
        flow = self.dis.calc(self.frames[frame], self.frames[other], None)
        return self.identity + cv2.resize(flow, self.size, interpolation=cv2.INTER_AREA) / self.factor

    def _grey(self, frame: Mask) -> Mask:
        grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, None, fx=self.factor, fy=self.factor, interpolation=cv2.INTER_CUBIC)

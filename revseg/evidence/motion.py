"""What moves by itself in a video, seen by optical flow.

Between two frames the camera's own motion is close to a homography H_tn, found by RANSAC (Fischler and Bolles, 1981) among the
displacements of the flow. What is left, in pixels, is

    r_t(x) = min over n = t - 1, t + 1 of |flow_tn(x) - (H_tn x - x)|

(the lesser of both: ground that is covered in one of them has no true flow there, and only there). Objects move as they like, so
that a frame is its own measure:

    m_t = r_t / (r_t + s_t),     s_t = max(half the 0.98 quantile of r_t, LEAST)

from 0, the ground, to 1; half where it is as likely one as the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.evidence import from_bytes, to_bytes
from revseg.evidence.flow import Field, Flow
from revseg.evidence.smoothing import Given, Smoothing

Motion = NDArray[np.uint8]
"""255 m."""

# Mean J of the motion of ten sequences, cut at 1/2: half the quantile 0.9 0.400, 0.95 0.492, 0.98 0.542; a quarter of the last
# 0.470; Otsu's threshold of each frame 0.530; 5 and 8 pixels for all of them 0.509 and 0.548, which other videos would not share.
QUANTILE, SHARE = 0.98, 0.5
# Pixels, at LEAST_HEIGHT: where nothing moves, what is left is the error of the flow.
LEAST = 1.0
# In it, when it is made to agree with that of the frames around: 0 to 1.
CONFIDENCE = 0.15
# Pixels between the displacements that the homography is found among, and their distance from it.
SPACING, TOLERANCE = 12, 1.0


def motion(flow: Flow) -> Motion:
    """(T, H, W) uint8: 255 m of every frame. A video of one frame shows no motion: 0."""
    return np.stack(list(flow.pool.map(lambda frame: _of_frame(flow, frame), range(flow.frames))))


def motion_evidence(flow: Flow, classes: int) -> Tensor:
    """What motion alone says of a video, made to agree along its flow (``Smoothing``), in the form of what labels say
    (``propagate``): (classes + 1, T, H, W) uint8, probabilities and confidence times 255.

    Which of several objects something is, motion does not say: they share its probability.
    """
    evidence = torch.empty(classes + 1, flow.frames, flow.size[1], flow.size[0], dtype=torch.uint8)
    evidence[-1] = round(255 * CONFIDENCE)
    moving: Iterator[Field] = map(from_bytes, torch.from_numpy(motion(flow)))
    given = (Given(np.stack([1 - m, *(classes - 1) * [m / (classes - 1)]]), CONFIDENCE) for m in moving)
    for frame, smoothed in enumerate(Smoothing(flow)(given)):
        evidence[:-1, frame] = to_bytes(smoothed)
    return evidence


def _of_frame(flow: Flow, frame: int) -> Motion:
    others = [other for other in (frame - 1, frame + 1) if 0 <= other < flow.frames]
    if not others:
        return np.zeros((flow.size[1], flow.size[0]), np.uint8)
    positions = [flow.position(frame, other) for other in others]
    residual = np.min([np.linalg.norm(position - _camera(flow, position), axis=-1) for position in positions], 0) * flow.factor
    scale = max(SHARE * float(np.quantile(residual, QUANTILE)), LEAST)
    return (255 * residual / (residual + scale)).round().astype(np.uint8)


def _camera(flow: Flow, position: Field) -> Field:
    """Where every pixel would be found if nothing but the camera had moved."""
    sparse = slice(SPACING // 2, None, SPACING)
    here, there = (points[sparse, sparse].reshape(-1, 2) for points in (flow.identity, position))
    homography = cv2.findHomography(here, there, cv2.RANSAC, TOLERANCE)[0] if len(here) >= 4 else None
    if homography is None:
        return flow.identity + np.median(position - flow.identity, axis=(0, 1))
    return cv2.perspectiveTransform(flow.identity.reshape(1, -1, 2), homography).reshape(flow.identity.shape)

"""What moves by itself in a video, seen by optical flow.

Between two frames the camera's own motion is close to a homography H_tn, found by RANSAC (Fischler and Bolles, 1981) among the
displacements of the flow. What is left, in pixels, is

    r_t(x) = min over n = t - 1, t + 1 of |flow_tn(x) - (H_tn x - x)|

(the lesser of both: ground that is covered in one of them has no true flow there, and only there). Objects move as they like, so
that a frame is its own measure:

    m_t = r_t / (r_t + s_t),     s_t = max(share of a quantile of r_t, least)

from 0, the ground, to 1; half where it is as likely one as the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.config import EvidenceConfig, MotionConfig
from revseg.evidence.evidence import Evidence, from_bytes, to_bytes
from revseg.evidence.flow import Field, Flow
from revseg.evidence.smoothing import Given, Smoothing, smoothing_key
from revseg.runs.phases import phase

VERSION = 1
"""Version of what this file makes of the same flow and settings."""

Motion = NDArray[np.uint8]
"""255 m."""


def motion_key(flow: Flow, config: MotionConfig) -> str:
    """Returns the key of what ``motion`` returns."""
    settings = config.quantile, config.share, config.least, config.spacing, config.tolerance
    return digest("motion", VERSION, flow.key, settings)


def motion(flow: Flow, *, config: MotionConfig, cache: EvidenceCache) -> Motion:
    """Returns 255 m of every frame, (T, H, W) uint8. A video of one frame shows no motion: 0."""
    key = motion_key(flow, config) if cache.keeps else ""
    if (kept := cache.get("motion", key)) is not None:
        return kept
    found = np.empty((flow.frames, flow.size[1], flow.size[0]), np.uint8)
    with phase("motion", total=flow.frames) as bar:
        for frame, moved in enumerate(flow.pool.map(lambda frame: _of_frame(flow, frame, config), range(flow.frames))):
            found[frame] = moved
            bar.advance(1)
    cache.put("motion", key, found)
    return found


def motion_evidence(flow: Flow, classes: int, *, config: EvidenceConfig, cache: EvidenceCache) -> Evidence:
    """Returns what motion alone says of a video, made to agree along its flow (``Smoothing``).

    Which of several objects something is, motion does not say: they share its probability.
    """
    key = ""
    if cache.keeps:
        settings = classes, config.motion.confidence, smoothing_key(flow, config.smoothing)
        key = digest("motion evidence", motion_key(flow, config.motion), settings)
        if (kept := cache.get("moving", key)) is not None:
            return Evidence.from_planes(torch.from_numpy(kept))
    flow.keep_near({1, *(config.smoothing.hops if config.smoothing.sweeps else ())})
    planes = torch.empty(classes + 1, flow.frames, flow.size[1], flow.size[0], dtype=torch.uint8)
    planes[-1] = round(255 * config.motion.confidence)
    moving: Iterator[Field] = map(from_bytes, torch.from_numpy(motion(flow, config=config.motion, cache=cache)))
    given = (Given(np.stack([1 - m, *(classes - 1) * [m / (classes - 1)]]), config.motion.confidence) for m in moving)
    with phase("smoothing evidence", total=flow.frames) as bar:
        for frame, smoothed in enumerate(Smoothing(flow, config.smoothing)(given)):
            planes[:-1, frame] = to_bytes(smoothed)
            bar.advance(1)
    cache.put("moving", key, planes.numpy())
    return Evidence.from_planes(planes)


def _of_frame(flow: Flow, frame: int, config: MotionConfig) -> Motion:
    others = [other for other in (frame - 1, frame + 1) if 0 <= other < flow.frames]
    if not others:
        return np.zeros((flow.size[1], flow.size[0]), np.uint8)
    positions = [flow.position(frame, other) for other in others]
    residuals = [np.linalg.norm(position - _camera(flow, position, config), axis=-1) for position in positions]
    residual = np.min(residuals, 0) * flow.factor
    scale = max(config.share * float(np.quantile(residual, config.quantile)), config.least)
    return (255 * residual / (residual + scale)).round().astype(np.uint8)


def _camera(flow: Flow, position: Field, config: MotionConfig) -> Field:
    """Where every pixel would be found if nothing but the camera had moved."""
    sparse = slice(config.spacing // 2, None, config.spacing)
    here, there = (points[sparse, sparse].reshape(-1, 2) for points in (flow.identity, position))
    homography = cv2.findHomography(here, there, cv2.RANSAC, config.tolerance)[0] if len(here) >= 4 else None
    if homography is None:
        return flow.identity + np.median(position - flow.identity, axis=(0, 1))
    return cv2.perspectiveTransform(flow.identity.reshape(1, -1, 2), homography).reshape(flow.identity.shape)

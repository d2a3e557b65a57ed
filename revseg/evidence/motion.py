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

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg import storage
from revseg.evidence.ahead import map_ahead
from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.config import EvidenceConfig, MotionConfig
from revseg.evidence.evidence import Evidence
from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow
from revseg.evidence.smoothing import Given, Smoothing, smoothing_key
from revseg.runs.phases import phase

BYTES = np.arange(256) / 255

VERSION = 2
"""Version of what this file makes of the same flow and settings."""


def motion_key(flow: Flow, config: MotionConfig) -> str:
    """Returns the key of what ``motion`` returns."""
    settings = config.quantile, config.share, config.least, config.spacing, config.tolerance
    return digest("motion", VERSION, flow.key, settings)


def motion(flow: Flow, *, config: MotionConfig, cache: EvidenceCache) -> Tensor:
    """Returns 255 m of every frame, (T, H, W) uint8, where fields are. A video of one frame shows no motion: 0."""
    key = motion_key(flow, config) if cache.keeps else ""
    if (kept := cache.get("motion", key)) is not None:
        return torch.from_numpy(kept)
    found = flow.planes(1)[0]
    moving = map_ahead(flow.pool, lambda frame: _of_frame(flow, frame, config), range(flow.frames), ahead=2 * flow.threads)
    with phase("motion", total=flow.frames) as bar:
        for frame, moved in enumerate(moving):
            found[frame] = moved
            bar.advance(1)
    cache.put("motion", key, found.cpu().numpy())
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
    planes = storage.empty(classes + 1, flow.frames, flow.size[1], flow.size[0])
    planes[-1] = round(255 * config.motion.confidence)
    shares = np.stack([1 - BYTES, *(classes - 1) * [BYTES / (classes - 1)]]).astype(np.float32)
    moved = motion(flow, config=config.motion, cache=cache)
    given = (Given(flow.fields.table(shares, one), config.motion.confidence) for one in moved)
    with phase("smoothing evidence", total=flow.frames) as bar:
        for frame, smoothed in enumerate(Smoothing(flow, config.smoothing)(given)):
            planes[:-1, frame] = flow.fields.to_bytes(smoothed)
            bar.advance(1)
    cache.put("moving", key, planes.numpy())
    return Evidence.from_planes(planes)


def _of_frame(flow: Flow, frame: int, config: MotionConfig) -> Tensor:
    others = [other for other in (frame - 1, frame + 1) if 0 <= other < flow.frames]
    if not others:
        return torch.zeros(flow.size[1], flow.size[0], dtype=torch.uint8)
    fields, positions = flow.fields, [flow.position(frame, other) for other in others]
    residual, *more = (fields.length(_apart(position, flow.identity, _camera(flow, position, config))) for position in positions)
    for another in more:
        residual = residual.clip(max=another)
    residual = residual * flow.factor
    scale = max(config.share * fields.quantile(residual, config.quantile), config.least)
    return fields.to_bytes(residual / (residual + scale))


def _camera(flow: Flow, position: Field, config: MotionConfig) -> NDArray[np.float64]:
    """The homography (3, 3) from where a pixel is to where it would be found if nothing but the camera had moved."""
    sparse = slice(config.spacing // 2, None, config.spacing)
    fields = flow.fields
    here, there = (fields.array(points[:, sparse, sparse]).reshape(2, -1).T for points in (flow.identity, position))
    found = cv2.findHomography(here, there, cv2.RANSAC, config.tolerance)[0] if len(here) >= 4 else None
    if found is None:  # the median of what there is: a shift
        moved = fields.array(position - flow.identity)
        return np.array([[1, 0, np.median(moved[0])], [0, 1, np.median(moved[1])], [0, 0, 1]])
    return found


def _apart(position: Field, identity: Field, homography: NDArray[np.float64]) -> Field:
    """How far positions (2, H, W) are from where the homography leads."""
    # Of a row and of a column: to add them is all that is done of every pixel.
    (x, y), ((a, b, c), (d, e, f), (g, h, i)) = (identity[0, :1], identity[1, :, :1]), homography.tolist()
    scale = 1 / (g * x + (h * y + i))
    apart = 0 - position
    apart[0] += (a * x + (b * y + c)) * scale
    apart[1] += (d * x + (e * y + f)) * scale
    return apart

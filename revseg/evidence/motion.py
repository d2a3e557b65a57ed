"""What moves by itself in a video, seen by optical flow.

Between two frames the camera's own motion is close to a homography H_tn (``camera``). What is left, in pixels, is

    r_t(x) = min over n = t - 1, t + 1 of |flow_tn(x) - (H_tn x - x)|

(the lesser of both: ground that is covered in one of them has no true flow there, and only there). Objects move as they like, so
that a frame is its own measure:

    m_t = r_t / (r_t + s_t),     s_t = max(share of a quantile of r_t, least)

from 0, the ground, to 1; half where it is as likely one as the other.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from revseg import storage
from revseg.evidence.ahead import map_ahead
from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.camera import Displaced, Ground, Homography, of_ground
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
    moving = map_ahead(flow.pool, lambda frame: of_frame(flow, frame, config), range(flow.frames), ahead=2 * flow.threads)
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


def of_frame(flow: Flow, frame: int, config: MotionConfig, ground: Ground | None = None) -> Tensor:
    """Returns 255 m of a frame, (H, W) uint8. ground: where it is known, the camera is not taken for that of an object."""
    others = neighbours(flow, frame)
    if not others:
        return torch.zeros(flow.size[1], flow.size[0], dtype=torch.uint8)
    fields, positions = flow.fields, [flow.position(frame, other) for other in others]
    cameras = [_camera(flow, frame, position, config=config, ground=ground) for position in positions]
    residual, *more = (
        fields.length(_apart(position, flow.identity, camera)) for position, camera in zip(positions, cameras, strict=True)
    )
    for another in more:
        residual = residual.clip(max=another)
    residual = residual * flow.factor
    scale = max(config.share * fields.quantile(residual, config.quantile), config.least)
    return fields.to_bytes(residual / (residual + scale))


def strays(flow: Flow, frame: int, *, config: MotionConfig, ground: Ground) -> bool:
    """Whether the motion of a frame is another once it is known where the ground is: its camera was that of an object."""
    ways = (Displaced.on_grid(flow, flow.position(frame, other), config.spacing) for other in neighbours(flow, frame))
    return any(of_ground(way, way.on(ground(frame), flow.size), config) is not None for way in ways)


def neighbours(flow: Flow, frame: int) -> list[int]:
    """Returns the frames before and after."""
    return [other for other in (frame - 1, frame + 1) if 0 <= other < flow.frames]


def _camera(flow: Flow, frame: int, position: Field, *, config: MotionConfig, ground: Ground | None) -> Homography:
    """The camera's motion from a frame to another, where its pixels are found at a position (2, H, W)."""
    displaced = Displaced.on_grid(flow, position, config.spacing)
    other = None if ground is None else of_ground(displaced, displaced.on(ground(frame), flow.size), config)
    return displaced.camera(config.tolerance) if other is None else other


def _apart(position: Field, identity: Field, homography: Homography) -> Field:
    """How far positions (2, H, W) are from where the homography leads."""
    # Of a row and of a column: to add them is all that is done of every pixel.
    (x, y), ((a, b, c), (d, e, f), (g, h, i)) = (identity[0, :1], identity[1, :, :1]), homography.tolist()
    scale = 1 / (g * x + (h * y + i))
    apart = 0 - position
    apart[0] += (a * x + (b * y + c)) * scale
    apart[1] += (d * x + (e * y + f)) * scale
    return apart

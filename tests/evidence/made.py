"""Small made videos, and their flow in a few milliseconds a frame."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

from revseg.evidence.cache import EvidenceCache
from revseg.evidence.carry import Carried, carry
from revseg.evidence.config import EvidenceConfig, FlowConfig, LooksConfig
from revseg.evidence.flow import Flow
from revseg.evidence.store import FlowStore
from revseg.labels.sample import Sample

FRAMES, HEIGHT, WIDTH, SIDE = 9, 64, 96, 20
FLOW = FlowConfig(least_height=2 * HEIGHT)
EVIDENCE = EvidenceConfig(flow=FLOW, looks=LooksConfig(power=0))
"""Without looks, which take longer than all else of so small a video."""


def texture(seed: int, height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def running(frames: int, step: int) -> torch.Tensor:
    """A ground that runs to the right, `step` pixels a frame."""
    ground = texture(0, HEIGHT, WIDTH + step * frames)
    pictures = [ground[:, step * (frames - frame) :][:, :WIDTH] for frame in range(frames)]
    return torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2).contiguous()


def moving(labelled: Sequence[int], step: int = 2, objects: int = 1, frames: int = FRAMES) -> tuple[Sample, torch.Tensor]:
    """Textured squares that run to the right over a textured ground, `step` pixels a frame; and the labels of all frames."""
    volume = np.repeat(texture(0, HEIGHT, WIDTH)[None], frames, axis=0)
    truth = np.zeros((frames, HEIGHT, WIDTH), np.uint8)
    for number in range(1, objects + 1):
        for frame in range(frames):
            at = slice(28 * number - 20, 28 * number - 20 + SIDE), slice(10 + step * frame, 10 + step * frame + SIDE)
            volume[frame][at] = texture(number, SIDE, SIDE)
            truth[frame][at] = number
    return sample(volume, truth, labelled), torch.from_numpy(truth)


def sample(volume: np.ndarray, truth: np.ndarray, labelled: Sequence[int]) -> Sample:
    """volume: (T, H, W, 3)."""
    masks = torch.from_numpy(truth[list(labelled)].copy())
    pixels = torch.from_numpy(volume).permute(3, 0, 1, 2).contiguous()
    return Sample("made", pixels, masks, tuple(labelled), volume.shape[1:3], Fraction(24), Path("made"))


def flow_of(volume: torch.Tensor, config: FlowConfig = FLOW, folder: Path | None = None, threads: int | None = None) -> Flow:
    return Flow(volume, config, store=FlowStore(folder), threads=threads)


def carried(
    video: Sample,
    classes: int = 2,
    shares: Sequence[float] = (),
    config: EvidenceConfig = EVIDENCE,
    folder: Path | None = None,
) -> Carried:
    flow, cache = flow_of(video.volume, config.flow, folder), EvidenceCache(folder)
    found = carry(video, classes, flow=flow, config=config, cache=cache, shares=shares)
    cache.finish()
    return found


def same(one: Carried, other: Carried) -> bool:
    pairs = zip([one.evidence, *one.returned], [other.evidence, *other.returned], strict=True)
    return all(a.planes().equal(b.planes()) for a, b in pairs)

"""Strokes that become labels of whole frames."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from revseg.evidence.config import EvidenceConfig, StrokesConfig
from revseg.evidence.strokes import spread
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample

H, W = 40, 60


def sample(*strokes: tuple[int, slice, slice, int]) -> Sample:
    """Two squares, red and blue, on a dark ground that is not even; strokes: frame, rows, columns, label."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 50, (3, H, W), dtype=np.uint8)
    picture[:, 8:28, 6:26] = np.array([220, 40, 40])[:, None, None] + random.integers(-15, 16, (3, 20, 20))
    picture[:, 10:30, 36:54] = np.array([40, 60, 220])[:, None, None] + random.integers(-15, 16, (3, 20, 18))
    frames = sorted({frame for frame, *_ in strokes})
    masks = np.full((len(frames), H, W), VOID, np.uint8)
    for frame, rows, columns, label in strokes:
        masks[frames.index(frame), rows, columns] = label
    volume = torch.from_numpy(picture)[:, None].repeat(1, 4, 1, 1)
    names = tuple(f"{frame:05d}" for frame in range(4))
    return Sample("a", volume, torch.from_numpy(masks), tuple(frames), (H, W), Fraction(24), Path("a.mp4"), frame_names=names)


def truth() -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    mask[8:28, 6:26], mask[10:30, 36:54] = 1, 2
    return mask


RED, BLUE = (0, slice(16, 18), slice(9, 22), 1), (0, slice(18, 20), slice(40, 50), 2)
GROUND = (0, slice(34, 36), slice(4, 56), 0)


def test_strokes_become_whole_labels_and_stay_what_they_are() -> None:
    video = sample(RED, BLUE, GROUND, (2, slice(0, 3), slice(0, 3), 1))
    found = spread(video, EvidenceConfig())
    mask = found.masks[0].numpy()
    known = mask != VOID
    assert np.array_equal(mask[known], truth()[known])
    assert known.mean() > 0.7
    assert (mask[10:26, 8:24] == 1).all()
    assert not known[8, 6:26].any()  # the contour itself stays unknown
    assert found.whole_frames == (0,)
    assert found.masks[1].equal(video.masks[1])  # strokes of one label alone say nothing of the rest
    drawn = video.masks[0] != VOID
    assert found.masks[0][drawn].equal(video.masks[0][drawn])
    assert spread(video, EvidenceConfig()).masks.equal(found.masks)


def test_what_is_labelled_otherwise_stays_as_it_is() -> None:
    video = sample(RED, GROUND)
    assert spread(video, EvidenceConfig(strokes=StrokesConfig(spread=False))) is video
    assert spread(video, EvidenceConfig(source="none")) is video
    whole = replace(video, masks=torch.from_numpy(truth())[None])
    assert spread(whole, EvidenceConfig()) is whole
    volume = replace(video, volume=video.volume[:2])
    assert spread(volume, EvidenceConfig()) is volume
    alone = sample(RED)
    assert spread(alone, EvidenceConfig()) is alone

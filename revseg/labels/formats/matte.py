"""A matte: a video in black and white, which shows on each frame where the object is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg import storage
from revseg.labels.frames import Frames
from revseg.video.read import iterate_frames

WHITE = 128
"""Brightness from which on a pixel is the object: coding blurs edges evenly to both sides."""
BLACKEST, WHITEST = 64, 192
"""Between them a pixel is neither black nor white."""
MOST_GREY = 0.1
"""Share of such pixels in all of a matte: edges and hair have fewer, pictures have many."""
MOST_COLOUR = 40
"""How much channels of a pixel may differ in the mean: coding mixes the colour of black and white a little."""


def read_matte(path: Path, frames: Frames) -> tuple[Tensor, tuple[int, ...]]:
    """Returns the masks (T, H, W) of all frames, and their positions. The frames of both videos are counted alike."""
    position = {place: position for position, place in enumerate(frames.places)}
    masks = storage.zeros(len(frames.names), *frames.native_size)
    count = grey = 0
    for index, _, pixels in iterate_frames(path):
        count += 1
        if pixels.shape[:2] != frames.native_size:
            raise ValueError(
                f"matte {path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, but {frames.source} is "
                f"{frames.native_size[1]} x {frames.native_size[0]}: save it at the size of the video"
            )
        if index in position:
            brightness = _brightness(pixels, path, index)
            grey += int(((brightness > BLACKEST) & (brightness < WHITEST)).sum())
            masks[position[index]] = torch.from_numpy((brightness >= WHITE).astype(np.uint8))
    least = frames.places[-1] + 1 if frames.count is None else frames.count
    if count < least or count > (frames.count or count):
        raise ValueError(
            f"matte {path} has {count} frames, but {frames.source} has {least}: give one of each frame, or a folder with a "
            "PNG for some of them"
        )
    if grey > MOST_GREY * masks.numel():
        raise ValueError(f"{path} is not black and white: give a matte, or a folder with a PNG for each labelled frame")
    return masks, tuple(range(len(frames.names)))


def _brightness(pixels: NDArray[np.uint8], path: Path, index: int) -> NDArray[np.uint8]:
    spread = pixels.max(axis=-1).astype(np.int16) - pixels.min(axis=-1)
    if spread.mean() > MOST_COLOUR:
        raise ValueError(f"frame {index} of {path} has colours: give a matte in black and white, or PNG masks")
    return np.asarray(pixels.mean(axis=-1), np.uint8)

"""Resizes frames of any number of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor


def resize_picture(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resizes a frame (H, W, C) uint8 to (h, w, C): by averaging where it shrinks, else linearly."""
    kind = Image.Resampling.BOX if size[0] < pixels.shape[0] else Image.Resampling.BILINEAR
    if pixels.shape[2] == 3:
        return np.asarray(Image.fromarray(pixels).resize(size[::-1], kind))
    planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(pixels, -1, 0)]
    return np.stack([np.asarray(Image.fromarray(plane).resize(size[::-1], kind)) for plane in planes], axis=-1)


def resize_volume(volume: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes frames (C, T, H, W) uint8 -> (C, T, h, w) uint8: area means where they shrink, else linear interpolation."""
    import torch  # only here: processes that decode have none

    from revseg import storage

    channels, frames, height, width = volume.shape
    method = cv2.INTER_AREA if size[0] * size[1] < height * width else cv2.INTER_LINEAR
    result = storage.empty(channels, frames, *size)
    for frame in range(frames):
        if channels == 3:
            whole = cv2.merge(list(volume[:, frame].numpy()))
            result[:, frame] = torch.from_numpy(cv2.resize(whole, size[::-1], interpolation=method)).movedim(-1, 0)
        else:  # OpenCV resizes four channels at most
            for to, plane in zip(result[:, frame], volume[:, frame], strict=True):
                to.copy_(torch.from_numpy(cv2.resize(plane.numpy(), size[::-1], interpolation=method)))
    return result

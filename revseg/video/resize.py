"""Resizes frames."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor


def resize_volume(volume: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes frames (3, T, H, W) uint8 -> (3, T, h, w) uint8: area means where they shrink, else linear interpolation."""
    channels, frames, height, width = volume.shape
    shrinks = size[0] * size[1] < height * width
    result = volume.new_empty(channels, frames, *size)
    for frame in range(frames):
        whole = cv2.merge(list(volume[:, frame].numpy()))
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        result[:, frame] = torch.from_numpy(cv2.resize(whole, size[::-1], interpolation=method)).movedim(-1, 0)
    return result

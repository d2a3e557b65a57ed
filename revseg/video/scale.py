"""From the numbers of a volume to bytes: linear in each channel, 0 where a value is low, 255 where it is high.

    byte = clip(round(255 (value - low) / (high - low)), 0, 255)

low and high are the 0.1 % and 99.9 % percentiles of the channel's finite values, unless they are given. The network keeps its
input as bytes, for the sake of memory. Values that are not finite take the median of their channel in their slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from revseg.video.slices import Slice, Slices

Scale = tuple[tuple[float, float], ...]
"""(low, high) of each channel."""

PERCENTILES = (0.1, 99.9)
"""Few enough values lie outside that a spike or a dead pixel does not decide the scale."""
SAMPLES = 1 << 20
"""Pixels that percentiles are found from, at most: their error is then far below a byte."""


def scale_of(slices: Slices, frames: Sequence[int], given: Any = None) -> Scale | None:
    """Returns the scale of some of a volume's frames; None for bytes, which stay as they are.

    given: (low, high) for all channels, or such a pair for each; None: found from the values.
    """
    if given is not None:
        return checked(given, slices)
    if slices.dtype == np.uint8:
        return None
    height, width, channels = slices.shape
    each = max(1, min(height * width, SAMPLES // len(frames)))
    random = np.random.default_rng(0)  # a regular grid could follow a pattern of the data
    found = []
    for frame in frames:
        pixels = slices.read(frame).reshape(-1, channels)
        found.append(pixels if each == len(pixels) else pixels[random.integers(0, len(pixels), each)])
    values = np.concatenate(found).astype(np.float64)
    return tuple(_limits(column, slices, channel) for channel, column in enumerate(values.T))


def checked(given: Any, slices: Slices) -> Scale:
    """Returns a pair of numbers for each channel. Raises ValueError where they do not fit the volume."""
    channels, values = slices.shape[2], np.asarray(given, np.float64)
    pairs = np.tile(values, (channels, 1)) if values.ndim == 1 else values
    if pairs.shape != (channels, 2):
        raise ValueError(
            f"the scale has {len(pairs)} pairs [low, high], but {slices.path} has {channels} channels: give data.scale= a pair "
            "for each channel, or one for all"
        )
    return tuple((low, high) for low, high in pairs.tolist())


def to_bytes(values: Slice, scale: Sequence[tuple[float, float]] | None) -> NDArray[np.uint8]:
    """Returns a slice (H, W, C) as bytes."""
    if scale is None:
        return np.array(values, np.uint8)
    found = np.empty(values.shape, np.uint8)
    for channel, (low, high) in enumerate(scale):
        plane = values[..., channel].astype(np.float64)
        finite = np.isfinite(plane)
        if not finite.all():
            plane[~finite] = np.median(plane[finite]) if finite.any() else (low + high) / 2
        found[..., channel] = ((plane - low) * (255 / (high - low))).clip(0, 255).round()
    return found


def sentence(slices: Slices, scale: Scale | None) -> str:
    """Tells how the values of a volume become bytes."""
    channels = slices.shape[2]
    kind = f"{slices.path}: {channels} channel{'s' if channels > 1 else ''} of {slices.dtype}"
    if scale is None:
        return f"{kind}, taken as they are"
    pairs = ", ".join(f"[{low:.6g}, {high:.6g}]" for low, high in scale[:4])
    return f"{kind}, scaled to 0 ... 255 from {pairs}{f', ... ({channels} pairs)' if channels > 4 else ''}"


def _limits(values: NDArray[np.float64], slices: Slices, channel: int) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise ValueError(f"channel {channel} of {slices.path} has no finite value: leave it out")
    low, high = np.percentile(finite, PERCENTILES).tolist()
    if low == high:  # nearly all values are one
        low, high = float(finite.min()), float(finite.max())
    return low, high if high > low else low + 1

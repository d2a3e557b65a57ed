"""Objects of labels that nothing is left of at the size that a network sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from revseg.labels.dataset import objects_in
from revseg.labels.masks import nearest
from revseg.labels.sample import Sample
from revseg.video.frame import resized

Size = tuple[int, int]

NAMED = 5
"""Objects that are named at most."""


@dataclass(frozen=True, eq=False)
class _Pixels:
    """An object of a mask."""

    number: int
    frame: str
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    def is_left(self, native: Size, size: Size) -> bool:
        """Whether one of them is taken where the mask is resized (``resize_mask``)."""
        taken = [np.zeros(length, bool) for length in native]
        for one, places in zip(taken, nearest(native, size), strict=True):
            one[places] = True
        return bool((taken[0][self.rows] & taken[1][self.columns]).any())


def vanishing(sample: Sample, height: int | None) -> list[str]:
    """Sentences on the objects of wholly labelled frames that have no pixel left at a height, with the height that keeps them.

    Of frames with a few labels, every labelled pixel is kept.
    """
    native, size = sample.native_size, resized(sample.native_size, height)
    if size[0] >= native[0]:
        return []
    lost: dict[int, list[_Pixels]] = {}
    for pixels in _objects(sample):
        if not pixels.is_left(native, size):
            lost.setdefault(pixels.number, []).append(pixels)
    named = [lost[number] for number in sorted(lost)]
    told = [_sentence(masks, native, size) for masks in named[:NAMED]]
    if others := [pixels for masks in named[NAMED:] for pixels in masks]:
        height = _height_that_keeps(others, native, size)
        told.append(f"{len(named) - NAMED} more objects of {sample.source} vanish so; data.height={height} keeps them")
    return told


def _objects(sample: Sample) -> Iterator[_Pixels]:
    for frame, mask in zip(sample.labelled_frames, sample.masks, strict=True):
        for number in objects_in(mask[None]) if frame in sample.whole_frames else ():
            yield _Pixels(number, sample.frame_names[frame], *np.nonzero(mask.numpy() == number))


def _sentence(masks: list[_Pixels], native: Size, size: Size) -> str:
    largest = max(masks, key=lambda pixels: len(pixels.rows))
    others = f", and in {len(masks) - 1} more," if len(masks) > 1 else ""
    return (
        f"object {largest.number}, which has {len(largest.rows)} pixels in frame {largest.frame}, vanishes there{others} at "
        f"data.height={size[0]}, where the network sees it; data.height={_height_that_keeps(masks, native, size)} keeps it"
    )


def _height_that_keeps(masks: list[_Pixels], native: Size, size: Size) -> int:
    """The least height above a size at which something is left of each."""
    for height in range(size[0] + 1, native[0]):
        larger = resized(native, height)
        if all(pixels.is_left(native, larger) for pixels in masks):
            return height
    return native[0]

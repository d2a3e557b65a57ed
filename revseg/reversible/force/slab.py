"""Slabs: parts of a field along T (and along H where one frame is already large) that a block works on one after another.

Only one slab's hidden activations and low-precision copies exist at a time. A slab of the output needs a halo of
k - 1 input positions on each side: (k - 1)/2 for each of its two convolutions. Along an axis that it covers whole, it needs none:
the zero padding of the convolutions is enough there.
The same slabs are used in every pass: a convolution may round differently in another tiling, and an exact inverse
needs the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.reversible.kernels.native import fields as native


@dataclass(frozen=True)
class Slab:
    """Output positions [start, stop) x [top, bottom) of a field of ``frames`` x ``height``; ``radii``: (k - 1)/2 of each axis."""

    start: int
    stop: int
    top: int
    bottom: int
    frames: int
    height: int
    radii: tuple[int, int, int]

    @property
    def splits_time(self) -> bool:
        return self.stop - self.start < self.frames

    @property
    def splits_height(self) -> bool:
        return self.bottom - self.top < self.height

    @property
    def padding(self) -> tuple[int, int, int]:
        """Zero padding of the convolutions: none where the halo is part of the slab."""
        return (0 if self.splits_time else self.radii[0], 0 if self.splits_height else self.radii[1], self.radii[2])

    @property
    def rows(self) -> tuple[int, int]:
        """Rows [first, last) of the slab with its halo."""
        reach = 2 * self.radii[1] if self.splits_height else 0
        return self.top - reach, self.bottom + reach

    def core(self, field: Tensor) -> Tensor:
        """Returns a view of the output positions in a whole field (T, H, W, C)."""
        return field[self.start : self.stop, self.top : self.bottom]

    def read(self, field: Tensor, dtype: torch.dtype) -> Tensor:
        """Copies the slab with its halo, zero outside the field: (t [+ 4 radii], h [+ 4 radii], W, C)."""
        reach = 2 * self.radii[0] if self.splits_time else 0
        return read(field, frames=(self.start - reach, self.stop + reach), rows=self.rows, dtype=dtype)

    def clear_halo_(self, hidden: Tensor) -> Tensor:
        """Zeroes the hidden positions outside the field: K^T is padded with zeros, not with relu(b)."""
        reach = self.radii[0] if self.splits_time else 0
        rows = self.radii[1] if self.splits_height else 0
        t0, h0 = max(reach - self.start, 0), max(rows - self.top, 0)
        t1 = hidden.shape[0] - max(self.stop + reach - self.frames, 0)
        h1 = hidden.shape[1] - max(self.bottom + rows - self.height, 0)
        return _clear_outside_(hidden, t0=t0, t1=t1, h0=h0, h1=h1)

    def inner(self, haloed: Tensor) -> Tensor:
        """Drops (k - 1)/2 positions at each end of the axes that carry a halo."""
        t, h, _ = self.radii
        inner = haloed[t : haloed.shape[0] - t] if self.splits_time else haloed
        return inner[:, h : inner.shape[1] - h] if self.splits_height else inner


def read(field: Tensor, frames: tuple[int, int], rows: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Copies frames [first, last) and rows [high, low) of a field (T, H, W, C), zero outside it."""
    (first, last), (high, low) = frames, rows
    slab = torch.empty(last - first, low - high, *field.shape[2:], dtype=dtype, device=field.device)
    inside = (max(first, 0), min(last, len(field))), (max(high, 0), min(low, field.shape[1]))
    (t0, t1), (h0, h1) = (inside[0][0] - first, inside[0][1] - first), (inside[1][0] - high, inside[1][1] - high)
    _clear_outside_(slab, t0=t0, t1=t1, h0=h0, h1=h1)
    target, source = slab[t0:t1, h0:h1], field[slice(*inside[0]), slice(*inside[1])]
    if native.copies(target, source):
        native.copy_(target, source)
    else:
        target.copy_(source)
    return slab


def _clear_outside_(part: Tensor, t0: int, t1: int, h0: int, h1: int) -> Tensor:
    for outside in (part[:t0], part[t1:], part[:, :h0], part[:, h1:]):
        if outside.numel():
            outside.zero_()
    return part


def slabs(shape: tuple[int, ...], radii: tuple[int, int, int], position_bytes: int, budget: int) -> Iterator[Slab]:
    """Yields slabs of a field (T, H, W, C) whose temporaries, ``position_bytes`` per position, take about ``budget`` bytes."""
    frames, height = shape[:2]
    length, rows = slab_size(shape, radii=radii, position_bytes=position_bytes, budget=budget)
    for start in range(0, frames, length):
        for top in range(0, height, rows):
            yield Slab(
                start=start,
                stop=min(start + length, frames),
                top=top,
                bottom=min(top + rows, height),
                frames=frames,
                height=height,
                radii=radii,
            )


def slab_size(shape: tuple[int, ...], radii: tuple[int, int, int], position_bytes: int, budget: int) -> tuple[int, int]:
    """Returns the frames and rows of a slab: the size that computes the least halo among those that fit the budget."""
    frames, height, width = shape[:3]
    halo_t, halo_h = 4 * radii[0], 4 * radii[1]
    best, best_waste = (1, min(height, 8)), float("inf")  # taken even where it does not fit: a slab cannot be much smaller
    count = 1
    while count <= frames:
        length = -(-frames // count)  # equal slabs: of 9 frames in slabs of 8, the last would be nearly all halo
        count = -(-frames // (length - 1)) if length > 1 else frames + 1  # the next that gives another length
        reach = halo_t if length < frames else 0
        rows = budget // (width * position_bytes * (length + reach))
        rows = height if rows >= height else _equal_parts(height, rows - halo_h)
        if rows < 1:
            continue
        waste = (1 + reach / 2 / length) * (1.0 if rows == height else SPLIT_COST * (1 + 2 * radii[1] / rows))
        if waste < best_waste:
            best, best_waste = (length, rows), waste
    return best


def _equal_parts(size: int, longest: int) -> int:
    """Returns the length of the fewest equal parts of ``size`` no longer than ``longest``; 0 where none exists."""
    return -(-size // -(-size // longest)) if longest > 0 else 0


# A slab of part of the rows is not contiguous within the field: its reads, updates and gradients cost more.
SPLIT_COST = 1.15

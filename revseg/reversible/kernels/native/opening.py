"""The linear map from planes of bytes to a field on the grid, and its gradient (``opening.c``): each byte is read once.

    field[t, h, w, c] = round(sum_i weight[c, i] planes[i, t, h, w] + bias[c])

The planes lie in a padded volume, beside which the field has the values of ``empty``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from revseg.reversible.kernels.native.library import KINDS, called, takes

MOST_CHANNELS = 16


class _Place(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_long)
        for name in (
            *("inputs", "frames", "height", "width", "plane", "frame"),
            *("padded", "lines", "columns", "channels", "first", "top", "left"),
        )
    )


class Opened(NamedTuple):
    """Sums over the pixels of a field's gradient, of each channel, float64."""

    products: Tensor
    """(C, I): times the planes."""
    inside: Tensor
    """(C,): where there is video."""
    everywhere: Tensor
    """(C,)."""


def opens(planes: Tensor, field: Tensor) -> bool:
    """Whether planes (I, T, H, W) are opened here to a field (T', H', W', C), or the gradient of such a field is taken."""
    packed = planes.dtype == torch.uint8 and planes.device.type == "cpu" and planes.stride()[2:] == (planes.shape[3], 1)
    return packed and field.is_contiguous() and field.shape[-1] <= MOST_CHANNELS and takes(field)


def open_(field: Tensor, planes: Tensor, offset: Sequence[int], *, weight: Tensor, bias: Tensor, empty: Tensor) -> None:
    """Fills a field of integers in int16 or float32.

    offset: where the planes lie in it; weight: (C, I), bias, empty: (C,), all in units of the grid.
    """
    numbers = [part.detach().float().contiguous() for part in (weight, bias, empty)]
    called("opening", planes, field, KINDS[field.dtype], ctypes.byref(_place(planes, field, offset)), *numbers)


def gradient_of(field: Tensor, planes: Tensor, offset: Sequence[int]) -> Opened:
    """Returns the sums that the gradients of weight and bias are made of. field: the gradient of the field."""
    inputs, channels = len(planes), field.shape[-1]
    found = torch.zeros(len(field), channels, inputs + 2, dtype=torch.float64)
    called("opening_gradient", planes, field, KINDS[field.dtype], ctypes.byref(_place(planes, field, offset)), found)
    total = found.sum(0)
    return Opened(total[:, :inputs], total[:, inputs], total[:, inputs + 1])


def _place(planes: Tensor, field: Tensor, offset: Sequence[int]) -> _Place:
    values = *planes.shape, *planes.stride()[:2], *field.shape, *offset
    return _Place(*values)

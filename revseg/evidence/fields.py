"""Fields: a number, or several, of every pixel of a frame, and what is computed of them.

A field is a float32 array of NumPy on the CPU (``OpenCVFields``), a tensor of PyTorch on a GPU (``TensorFields``). Both know the
same operators and ``sum``, ``clip`` and ``any``; what they do not share are the methods here. So carrying, motion, likelihood and
smoothing are written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Field: TypeAlias = Any
"""Array or tensor, float32: (H, W), or planes (C, H, W)."""

Displacement: TypeAlias = Any
"""Array or tensor, (2, H, W) int16: by how much x and y move, in 1 / SUBPIXEL of a pixel."""

Way: TypeAlias = Any
"""Where each pixel of a frame is found in another: positions (2, H, W), or a displacement, as fields take it best."""

Pair: TypeAlias = tuple[int, int]
"""Two frames: from the first to the second."""

# Displacements go up to +-1024 pixels: half the memory of positions, and finer than the flow is exact.
SUBPIXEL = 32
LARGEST = 2**15 - 1

Places: TypeAlias = Any
"""Some pixels of a frame, in whatever form ``look_up`` takes them."""

Part: TypeAlias = tuple[slice, slice]
"""Rows and columns of a frame."""

WHOLE: Part = (slice(None), slice(None))


class Link(NamedTuple):
    """From a frame to another, of which something is known."""

    planes: Field
    """(C, H, W), of the other frame."""
    way: Way
    """To it."""
    share: Field | None
    """(H, W): how much counts what is found there; None: all."""


def gathered(fields: Fields, own: Field | None, around: Sequence[Link], *, sharp: Places | None) -> Field:
    """``Fields.gathered``, one link after the other."""
    total = None if own is None else 1 * own
    for planes, way, share in around:
        found = fields.look_up(planes, way, sharp)
        if share is not None:
            found *= share
        total = found if total is None else total.__iadd__(found)
    return total


THIN, DISTINCT = 5, 0.6
"""What is less wide than THIN pixels, and more probable than its surroundings by DISTINCT, is thin."""


class Fields(Protocol):
    """What is computed of the pixels of one video; from several threads at a time."""

    @property
    def identity(self) -> Field:
        """(2, H, W): where each pixel is, x and y."""
        ...

    @property
    def batch(self) -> int:
        """How many flows are best found at a time."""
        ...

    @property
    def made_by(self) -> str:
        """What computes flow and look-ups: another one makes others, be it by rounding."""
        ...

    def find(self, pairs: Sequence[Pair], finest_scale: int) -> Sequence[Displacement]:
        """Returns the optical flow of each pair of frames."""
        ...

    def moved(self, displacement: Displacement) -> Field:
        """Returns the positions (2, H, W) that a displacement leads to."""
        ...

    def displacement(self, position: Field) -> Displacement:
        """Returns the displacement that leads to positions (2, H, W)."""
        ...

    def way(self, displacement: Displacement) -> Way:
        """Returns a displacement as a way."""
        ...

    def composed(self, first: Way, second: Way) -> Field:
        """Returns the positions (2, H, W) that a second way leads to from where the first one does: second(first(p))."""
        ...

    def look_up(self, planes: Field, way: Way, sharp: Places | None = None) -> Field:
        """Returns planes (C, H, W) where each pixel leads to, linearly; beyond the border, what is at the border.

        sharp: where cubically, from planes of 0 to 1, and within these bounds.
        """
        ...

    def gathered(self, own: Field | None, around: Sequence[Link], sharp: Places | None = None) -> Field:
        """Returns own + sum of share look_up(planes, way) over links, (C, H, W). own: None: 0."""
        ...

    def thin(self, probabilities: Field) -> Places | None:
        """Returns where classes (C, H, W), 0 to 1, are thin, and the pixels beside; None: nowhere.

        There a class exceeds its opening (Serra, "Image analysis and mathematical morphology", 1982) by ``DISTINCT``, with a
        square of ``THIN`` pixels.
        """
        ...

    def agreement(self, pair: Pair, to: Way, fro: Way, part: Part = WHOLE) -> Field:
        """Returns (h, w) of a part of the first frame, 0 to 1. to: from it to the other; fro: back."""
        ...

    def extent(self, field: Field) -> Part:
        """Returns a part of a frame beside which a field (H, W) is 0."""
        ...

    def length(self, planes: Field) -> Field:
        """Returns the lengths (H, W) of vectors (2, H, W)."""
        ...

    def quantile(self, field: Field, share: float) -> float:
        """Returns the quantile of a field's values."""
        ...

    def from_bytes(self, values: Tensor) -> Field:
        """Returns bytes 0 ... 255 as 0 ... 1."""
        ...

    def to_bytes(self, field: Field) -> Tensor:
        """Returns 0 ... 1 as bytes 0 ... 255, where the field is."""
        ...

    def field(self, tensor: Tensor) -> Field:
        """Returns numbers of a tensor as a field."""
        ...

    def tensor(self, field: Field) -> Tensor:
        """Returns a field as a tensor, where it is."""
        ...

    def table(self, values: NDArray[np.float32], field: Tensor) -> Field:
        """Returns the planes (C, H, W) of values (C, 256) for each byte (H, W)."""
        ...

    def joined(self, planes: Sequence[Field]) -> Field:
        """Returns planes (C, H, W) of several, one after the other."""
        ...

    def half(self, field: Field) -> Field:
        """Returns a field in float16, to be held in half the memory."""
        ...

    def single(self, field: Field) -> Field:
        """Returns a field in float32, as it is computed with."""
        ...

    def array(self, field: Field) -> NDArray[np.float32]:
        """Returns the numbers of a field, on the CPU."""
        ...

"""Exact arithmetic: states that are integers times a fixed unit, so that the leapfrog loses no bit.

On the grid ``value = unit * integer`` the sums of the recurrence

    next = 2 curr - prev - round(f(curr))        (all in grid units)

are exact, and the rounded term is the same bits in both directions. The container may be float32 (holding integers),
int32 or int16. ``unit = None`` is the ordinary floating-point arithmetic of the paper: no rounding, an approximate inverse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.reversible.kernels.native import fields as native

# float32: a quarter of the integers that it holds, so that 2 curr - prev is exact before the range check sees it.
# int32, int16: sums are formed in floating point, and one integer beyond the limit is reserved to mark values out of range.
# int32 values leave the sequence as float32, which holds 2^24 exactly.
LARGEST_INTEGER = {torch.float32: 2**22, torch.int32: 2**24 - 1, torch.int16: 2**15 - 2}
DEFAULT_BITS = {torch.float32: 12, torch.int32: 12, torch.int16: 6}


@dataclass(frozen=True)
class Grid:
    """How a state is stored: value = unit * integer with unit = 2^-bits, or as an ordinary floating-point number.

    dtype: float32 (holding integers), int32 or int16 with ``bits``; float32 or float64 without.
    bits:  the unit is 2^-bits; None keeps ordinary floating point, whose inverse is approximate.

    Values are exact up to ``limit``: 2^22 units in float32, 2^24 - 1 in int32, 2^15 - 2 in int16; with 12, 12 and 6 bits that is
    1024, 4096 and 512. Raises ValueError for a dtype that cannot hold such states.
    """

    dtype: torch.dtype = torch.float32
    bits: int | None = 12

    def __post_init__(self) -> None:
        if self.bits is not None and self.dtype not in LARGEST_INTEGER:
            raise ValueError(f"state_dtype {self.dtype} cannot hold exact states; use float32, int32 or int16")
        if self.bits is None and not self.dtype.is_floating_point:
            raise ValueError(f"arithmetic=float needs state_dtype float32 or float64, not {self.dtype}")

    @property
    def exact(self) -> bool:
        """Whether states are integers, so that the inverse is equal bit for bit."""
        return self.bits is not None

    @property
    def unit(self) -> float:
        """Value of the integer 1; a power of two, so that scaling by it is exact."""
        return 1.0 if self.bits is None else 2.0**-self.bits

    @property
    def wider(self) -> Grid | None:
        """The same integers in a container of 32 bits, with 128 times the range; None where the container is not int16."""
        return Grid(torch.float32, self.bits) if self.dtype == torch.int16 else None

    @property
    def limit(self) -> float:
        """Largest magnitude, as a value, that a state may reach."""
        return float("inf") if self.bits is None else LARGEST_INTEGER[self.dtype] * self.unit

    def store(self, values: Tensor) -> Tensor:
        """Converts values -> container, rounded to the nearest grid point."""
        if not self.exact:
            return values.to(self.dtype)
        wide = values if values.dtype == torch.float64 else values.float()
        return self.saturate_(torch.round(wide / self.unit)).to(self.dtype)

    def saturate_(self, integers: Tensor) -> Tensor:
        """Replaces what an integer container cannot hold, nan included, by its limit plus 1, which the range check sees."""
        if self.exact and not self.dtype.is_floating_point:
            beyond = LARGEST_INTEGER[self.dtype] + 1
            integers.nan_to_num_(nan=beyond).clamp_(-beyond, beyond)
        return integers

    def load(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Converts container -> values, always a copy."""
        return stored.to(dtype) * self.unit

    def nearest(self, values: Tensor) -> Tensor:
        """Returns the nearest values on the grid under autograd; gradients pass straight through."""
        return values + (torch.round(values / self.unit) * self.unit - values).detach() if self.exact else values

    def kick_(self, partner: Tensor, curr: Tensor, force: Tensor, sign: int = 1) -> Tensor | None:
        """Applies a force in grid units (overwritten) to ``partner``, in place; see ``revseg.reversible.state`` for the forms.

        exact:     partner <- 2 curr - partner - round(force)        ``sign`` is not needed: the step is its own inverse
        floating:  partner <- partner - sign force

        Returns the largest magnitude reached, in grid units, as a 0-d tensor, or None in floating point.
        """
        if native.kicks(partner, curr, force, exact=self.exact):
            return native.kick_(partner, curr, force, sign=sign, exact=self.exact)
        if partner.device.type == "cpu":
            reached = [self._kick_(*piece, sign=sign) for piece in pieces(partner, curr, force)]
            return torch.stack(reached).amax() if self.exact else None  # type: ignore[arg-type]
        return self._kick_(partner, curr, force, sign=sign)

    def kick_batch_(self, partner: Tensor, curr: Tensor, force: Tensor, sign: int = 1) -> Tensor | None:
        """Kicks a batch (N, T, H, W, C), as ``kick_`` does each sample."""
        return self.kick_(partner.flatten(0, 1), curr.flatten(0, 1), force.flatten(0, 1), sign=sign)

    def _kick_(self, partner: Tensor, curr: Tensor, force: Tensor, *, sign: int) -> Tensor | None:
        if not self.exact:
            partner.sub_(force, alpha=sign)
            return None
        force.round_()
        if self.dtype.is_floating_point:
            # lerp(prev, curr, 2) = curr + (curr - prev): one pass, exact for integers below 2^24.
            following = partner.lerp_(curr, 2.0).sub_(force)
        else:
            # Floating point is exact here, and ``magnitude`` sees an overflow or nan of the force; integers would wrap.
            wide = torch.float64 if self.dtype == torch.int32 else torch.float32
            following = curr.to(wide).mul_(2).sub_(partner).sub_(force)
            partner.copy_(following)
        return self.magnitude(following)

    def magnitude(self, stored: Tensor) -> Tensor | None:
        """Returns the largest magnitude in grid units as a 0-d tensor, nan if there is one; None in floating point."""
        if not self.exact:
            return None
        low, high = torch.aminmax(stored)
        return torch.maximum(-low.double(), high.double())


# Elements of a piece: small enough to stay in the processor's cache during all passes over it.
PIECE = 1 << 18


def pieces(*fields: Tensor) -> Iterator[list[Tensor]]:
    """Yields pieces of fields (T, H, W, C), cut along T, and along H where one frame is larger than a piece."""
    frames, height = fields[0].shape[:2]
    rows = max(1, PIECE // max(1, fields[0][0, 0].numel()))
    for start in range(0, frames, max(1, rows // height)):
        some = [field[start : start + max(1, rows // height)] for field in fields]
        yield from ([part[:, top : top + rows] for part in some] for top in range(0, height, rows))

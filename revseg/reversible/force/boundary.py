"""The hidden frames at the ends of a shard, which it and its neighbours find together.

With r the reach of K along T, the frames [-r, r) and [T - r, T + r) of a = s(K y + b) depend on y of both sides of an end. Two
messages find them: sums K y of the r frames beyond the end, from the shard's own y; then a of the r frames within it. The first
is under way from the beginning, the second from ``advance`` on, so that slabs in between hide both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.reversible.force.force import Layout
from revseg.reversible.shard import Pair, Shard


@dataclass(frozen=True)
class Ends:
    """Frames [-r, r) of a shard and [T - r, T + r), (2 r, H, W, channels); None at an end of the volume."""

    left: Tensor | None
    right: Tensor | None

    def part(self, channels: slice) -> Ends:
        """Returns some of the channels."""
        return Ends(*(None if end is None else end[..., channels] for end in (self.left, self.right)))

    def own(self, frames: int) -> Tensor:
        """Returns the frames of ``Boundary.own`` of a shard of so many."""
        reach = next(len(end) // 2 for end in (self.left, self.right) if end is not None)
        left, right = self.left, self.right
        if left is None or right is None:
            return right[:reach] if left is None else left[reach:]  # type: ignore[index]
        # The r frames of both ends overlap where there are fewer than 2 r.
        return torch.cat([left[reach:], right[max(0, 2 * reach - frames) : reach]])


@dataclass(frozen=True)
class Sums:
    """Partial sums K y from the y of a shard alone."""

    before: Tensor | None
    """r frames before the shard; None where the volume begins."""
    own: Tensor
    """Its first r frames and its last ones, as far as there are neighbours; each once where they overlap."""
    behind: Tensor | None

    def beside(self, other: Sums) -> Sums:
        """Returns both, as channels of one."""

        def joined(one: Tensor | None, two: Tensor | None) -> Tensor | None:
            return None if one is None or two is None else torch.cat([one, two], -1)

        return Sums(joined(self.before, other.before), torch.cat([self.own, other.own], -1), joined(self.behind, other.behind))


class Boundary:
    """The ends of a field in the making."""

    def __init__(self, shard: Shard, sums: Sums, reach: int, hidden: Callable[[Tensor], Tensor]) -> None:
        """hidden: from whole sums K y to what K^T is applied to."""
        self._shard, self._own, self._reach, self._hidden = shard, sums.own, reach, hidden
        self._sums = shard.exchange(sums.before, sums.behind)
        self._rims: Pair | None = None

    def advance(self) -> None:
        """Waits for the first message, and sends the second."""
        if self._rims is not None:
            return
        before, behind = self._sums.wait()
        if before is not None:
            self._own[: self._reach] += before
        if behind is not None:
            self._own[-self._reach :] += behind
        own = self._hidden(self._own)
        first, last = own[: self._reach].contiguous(), own[-self._reach :].contiguous()
        self._rims = (None if before is None else first, None if behind is None else last)
        self._halos = self._shard.exchange(*self._rims)

    def ends(self) -> Ends:
        """Waits for all."""
        self.advance()
        assert self._rims is not None
        (before, behind), (first, last) = self._halos.wait(), self._rims
        left = None if before is None or first is None else torch.cat([before, first])
        right = None if behind is None or last is None else torch.cat([last, behind])
        return Ends(left, right)


def temporary_bytes(layout: Layout, shape: tuple[int, ...], *, training: bool) -> int:
    """Bytes of the ends of a field (T, H, W, C), with their messages, on both sides; in training those of y and u together."""
    wide = 8 if layout.convolution_dtype == torch.float64 else 4
    # Sums beyond and within, those received, and what became of them: sent, received, and put together.
    frames = 2 * layout.radii[0] * (3 * wide + 5 * layout.convolution_dtype.itemsize)
    return frames * shape[1] * shape[2] * layout.rank * (2 if training else 1)

"""A volume in shards along T: each process holds some of its frames, and tells its neighbours what reaches beyond them.

A shard begins and ends where frames of the coarsest level do, so the Haar transform needs no message. K reaches r frames beyond
a shard; what is told of them lies behind K, in the hidden space, which has ``rank`` channels where a state may have thousands:

    K y         r frames beyond each end, from the shard's own y            are added to the neighbour's own
    s(K y + b)  r frames at each end, whole now                             are the neighbour's halo for K^T

Each frame's force is computed by the process that owns it, from the same inputs both ways: the inverse stays exact. Nothing of C
channels is ever sent, for gradients neither: those of K are sums over a shard's own y and u.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

Pair = tuple[Tensor | None, Tensor | None]
"""What belongs to the left and to the right neighbour, the one with the frames before and the one with those after."""


class Exchange(Protocol):
    """Messages under way."""

    def wait(self) -> Pair:
        """Returns what the left and the right neighbour have sent, None from where there is none."""


class Shard(Protocol):
    """The place of a process among the ``count`` that hold a volume together, in the order of their frames."""

    index: int
    count: int

    def exchange(self, to_left: Tensor | None, to_right: Tensor | None) -> Exchange:
        """Sends a tensor to each neighbour, and begins to receive one of its shape and dtype; None: there is no neighbour."""

    def sum_(self, tensor: Tensor) -> None:
        """Puts the sum over all shards in the place of a tensor; each gets the same bits."""

    def largest(self, tensor: Tensor) -> Tensor:
        """Returns the largest value of each element of any shard; nan counts as infinity."""

"""The processes that hold one volume together: neighbours along T, by torch.distributed.

All processes of a group form a mesh, videos x shards: rank = number of the video times shards + number of the shard, so that
neighbours are on the same machine as far as they can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Broken = Callable[[RuntimeError], BaseException]
"""Why a message did not come."""


class Volume:
    """The place of a process among those that hold a volume (``revseg.reversible.shard.Shard``), and what it has sent."""

    def __init__(self, index: int, ranks: list[int], members: dist.ProcessGroup, *, broken: Broken) -> None:
        """ranks: of all of them, in the order of their frames. members: the group that they talk in."""
        self.index, self.count = index, len(ranks)
        self.sent = 0
        """Bytes to neighbours so far."""
        self._ranks, self._members, self._broken = ranks, members, broken

    def exchange(self, to_left: Tensor | None, to_right: Tensor | None) -> Messages:
        """Sends a tensor to each neighbour, and begins to receive one of its shape and dtype; None: there is no neighbour."""
        sent = [None if part is None else part.contiguous() for part in (to_left, to_right)]
        received = [None if part is None else torch.empty_like(part) for part in sent]
        self.sent += sum(part.nbytes for part in sent if part is not None)
        operations = []
        for place, outgoing, incoming in zip((self.index - 1, self.index + 1), sent, received, strict=True):
            if outgoing is not None and incoming is not None:
                operations.append(dist.P2POp(dist.isend, outgoing, self._ranks[place], self._members))
                operations.append(dist.P2POp(dist.irecv, incoming, self._ranks[place], self._members))
        with self._unbroken():
            works = dist.batch_isend_irecv(operations)
        return Messages(works, sent, received, broken=self._broken)

    def sum_(self, tensor: Tensor) -> None:
        """Puts the sum over all shards in the place of a tensor; each gets the same bits."""
        self._reduce_(tensor, dist.ReduceOp.SUM)

    def largest(self, tensor: Tensor) -> Tensor:
        """Returns the largest value of each element of any shard; nan counts as infinity."""
        found = torch.nan_to_num(tensor, nan=float("inf"), posinf=float("inf"), neginf=-float("inf"))
        self._reduce_(found, dist.ReduceOp.MAX)
        return found

    def told(self, value: Any, device: torch.device) -> Any:
        """Returns the value that the first shard gives; device: which tensors of the group lie on."""
        found = [value]
        with self._unbroken():
            dist.broadcast_object_list(found, self._ranks[0], self._members, device=device)
        return found[0]

    def send(self, tensor: Tensor, index: int) -> None:
        """Sends a tensor to a shard, which receives it."""
        with self._unbroken():
            dist.send(tensor.contiguous(), self._ranks[index], self._members)

    def receive(self, tensor: Tensor, index: int) -> None:
        """Puts what a shard sends in the place of a tensor of the same shape and dtype."""
        with self._unbroken():
            dist.recv(tensor, self._ranks[index], self._members)

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Tells why a message did not come."""
        try:
            yield
        except RuntimeError as error:
            raise self._broken(error) from error

    def _reduce_(self, tensor: Tensor, operation: dist.ReduceOp.RedOpType) -> None:
        with self._unbroken():
            dist.all_reduce(tensor, operation, self._members)


class Messages:
    """Messages between neighbours under way."""

    def __init__(
        self, works: list[dist.Work], sent: list[Tensor | None], received: list[Tensor | None], *, broken: Broken
    ) -> None:
        self._works, self._sent, self._received, self._broken = works, sent, received, broken

    def wait(self) -> tuple[Tensor | None, Tensor | None]:
        """Returns what the left and the right neighbour have sent, None from where there is none."""
        try:
            for work in self._works:
                work.wait()
        except RuntimeError as error:
            raise self._broken(error) from error
        before, behind = self._received
        return before, behind

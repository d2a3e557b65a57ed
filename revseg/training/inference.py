"""Probabilities of a video that several processes hold together: the first one asks for them, the others serve it.

The first process sends each its frames of the video, all run the network over their parts, and the probabilities come back frame
by frame: no process needs memory for more than its part of the states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from revseg.network.inference import Offset, predict_probabilities, probabilities_at
from revseg.network.network import RevSegNet
from revseg.network.volume import Part
from revseg.parallel.volume import Volume

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Request:
    """What the first process asks for."""

    offset: Offset
    shape: tuple[int, int, int, int]
    """(I, T, H, W) of the video."""
    dtype: torch.dtype


class SharedInference:
    """Inference in all processes that hold a volume together."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def together(self, net: RevSegNet, work: Callable[[], Value]) -> Value | None:
        """Does work in the first process, which the others serve until it is done; returns what comes of it there."""
        if self._volume.index:
            self._serve(net)
            return None
        found = work()
        self._volume.told(None, net.device)
        return found

    def predict(
        self,
        net: RevSegNet,
        volume: Tensor,
        offsets: Sequence[Offset] = ((0, 0, 0),),
        *,
        window: int | None = None,
        total: Tensor | None = None,
    ) -> Iterator[tuple[int, Tensor]]:
        """Returns what ``predict_probabilities`` does, from all processes; in the first one, within ``together``."""
        return predict_probabilities(net, volume, offsets, window=window, total=total, at=self._at)

    @torch.no_grad()
    def _at(self, net: RevSegNet, volume: Tensor, offset: Offset) -> Iterator[tuple[int, Tensor]]:
        channels, frames, height, width = volume.shape
        self._volume.told(_Request(offset, (channels, frames, height, width), volume.dtype), net.device)
        seen = partial(Part(frames, self._volume).seen_by, net.config, offset[0])
        parts = [seen(index) for index in range(self._volume.count)]
        for index, own in enumerate(parts[1:], 1):
            self._volume.send(volume[:, own.start : own.stop].to(net.device), index)
        yield from probabilities_at(net, volume[:, : parts[0].stop], offset, part=Part(frames, self._volume))
        for index, own in enumerate(parts[1:], 1):
            for frame in own:
                found = torch.empty(net.config.outputs, 1, height, width, device=net.device)
                self._volume.receive(found, index)
                yield frame, found

    @torch.no_grad()
    def _serve(self, net: RevSegNet) -> None:
        while (request := self._volume.told(None, net.device)) is not None:
            channels, frames, height, width = request.shape
            part = Part(frames, self._volume)
            own = part.seen(net.config, request.offset[0])
            volume = torch.empty(channels, len(own), height, width, dtype=request.dtype, device=net.device)
            self._volume.receive(volume, 0)
            for _, found in probabilities_at(net, volume, request.offset, part=part):
                for frame in found.float().split(1, 1):
                    self._volume.send(frame, 0)


def inference_of(volume: Volume | None, rank: int) -> SharedInference | None:
    """Returns how the process takes part in inference; None where it does not: of several volumes the first one does all."""
    return SharedInference(volume) if volume is not None and rank == volume.index else None

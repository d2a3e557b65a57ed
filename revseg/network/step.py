"""One training step at the memory floor: two states, two adjoints, and a slab of everything else.

The head and the loss see only labelled frames, a few at a time: the logits of a whole volume never exist. The loss is a
function of sums over pixels, value(sum of statistics), so it takes two passes: one for the sums, one for the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from revseg.network.network import RevSegNet, check_volume
from revseg.network.volume import Placement, features, frames_at_once, open_state, opening_inputs
from revseg.reversible.block import State
from revseg.reversible.grid import Grid
from revseg.reversible.sequence import Kept


class Loss(Protocol):
    """A loss that is a function of sums over pixels."""

    def statistics(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Additive sums, 1-D, of logits (M, O) and labels (M,) long, void included."""

    def value(self, statistics: Tensor) -> Tensor:
        """The loss of the summed statistics."""


@dataclass(frozen=True)
class StepResult:
    """loss: 0-d, detached; statistics: the loss's sums; state_range: largest magnitude of the state (nan in floating point)."""

    loss: Tensor
    statistics: Tensor
    state_range: float


def training_step(
    net: RevSegNet,
    volume: Tensor,
    labels: Tensor,
    labelled_frames: Sequence[int],
    loss: Loss,
    offset: tuple[int, int, int] = (0, 0, 0),
) -> StepResult:
    """Returns the loss of a video and adds its gradients to ``.grad`` of all parameters.

    volume: (N, I, T, H, W) uint8 or normalised float, I = 3, or 3 + classes + 1 with evidence;
    labels: (N, L, H, W) of the frames ``labelled_frames``; offset: where the video is placed on the padded grid.
    Volume and labels may lie on the network's device or on the host, where pinned memory is fastest.
    """
    check_volume(volume, net.config.inputs)
    if labels.shape != (len(volume), len(labelled_frames), *volume.shape[3:]):
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit {len(labelled_frames)} labelled frames of a volume "
            f"{tuple(volume.shape)}; give (N, L, H, W)"
        )
    if not labelled_frames or not 0 <= min(labelled_frames) <= max(labelled_frames) < volume.shape[2]:
        raise ValueError(f"the labelled frames are {list(labelled_frames)}; give at least one, from 0 to {volume.shape[2] - 1}")
    placement = Placement.of(net, volume, offset)
    parameters = net.sequence.parameters_of_layers()
    fixed = [part.detach() for part in parameters]
    with torch.autocast(net.device.type, enabled=False):
        state = open_state(net, volume, placement, grid=net.sequence.grid)
        kept: Kept | None = {} if net.config.keep_hidden else None
        net.sequence.forward_(state, fixed, kept)
        frames = _Labelled(net, state, volume, placement=placement, labels=labels, frames=labelled_frames)
        value, statistics, adjoint = frames.loss_and_adjoint(loss)
        gradients = net.sequence.adjoint_(state, adjoint, fixed, kept=kept)
        trained = [index for index, part in enumerate(parameters) if part.requires_grad]
        torch.autograd.backward([parameters[i] for i in trained], [gradients[i] for i in trained])
        _opening_gradient(net, volume, placement, adjoint=adjoint)
    reached = float("nan") if state.range is None else float(state.range) * state.grid.unit
    return StepResult(value, statistics, reached)


class _Labelled:
    """The labelled frames of a state: logits, statistics and adjoint, a few frames at a time."""

    def __init__(
        self, net: RevSegNet, state: State, volume: Tensor, placement: Placement, labels: Tensor, frames: Sequence[int]
    ) -> None:
        self.net, self.state, self.volume, self.placement, self.labels = net, state, volume, placement, labels
        budget = net.sequence.budget(state.curr)
        self.count = frames_at_once(
            placement, channels=net.head.in_features + net.config.outputs, batch=len(labels), budget=budget
        )
        self.frames = frames

    def loss_and_adjoint(self, loss: Loss) -> tuple[Tensor, Tensor, State]:
        adjoint, runs = self._zero_adjoint(), list(self._runs())
        if len(runs) == 1:  # all labelled frames at once: one pass is enough
            inputs = self._features(runs[0]).requires_grad_()
            total = self._statistics(loss, inputs, runs[0])
            value = loss.value(total)
            value.backward()
            self._add(adjoint, inputs, runs[0])
            return value.detach(), total.detach(), adjoint
        with torch.no_grad():
            total = torch.stack([self._statistics(loss, self._features(run), run) for run in runs]).sum(0)
        total.requires_grad_()
        value = loss.value(total)
        (weights,) = torch.autograd.grad(value, total)
        for run in runs:
            inputs = self._features(run).requires_grad_()
            self._statistics(loss, inputs, run).backward(weights)
            self._add(adjoint, inputs, run)
        return value.detach(), total.detach(), adjoint

    def _runs(self) -> Iterator[range]:
        """Yields the positions in ``frames``, a few at a time."""
        for start in range(0, len(self.frames), self.count):
            yield range(start, min(start + self.count, len(self.frames)))

    def _features(self, run: range) -> Tensor:
        frames = [self.frames[i] for i in run]
        parts = [
            features(self.net, self.state, self.volume, placement=self.placement, start=frame, stop=frame + 1) for frame in frames
        ]
        return torch.cat(parts, 1)

    def _statistics(self, loss: Loss, inputs: Tensor, run: range) -> Tensor:
        logits = self.net.head(inputs)
        return loss.statistics(logits.flatten(0, -2), self.labels[:, run.start : run.stop].to(self.net.device).flatten().long())

    def _zero_adjoint(self) -> State:
        dtype = self.net.sequence.adjoint_dtype
        u_prev = torch.zeros(self.state.curr.shape, dtype=dtype, device=self.net.device)
        return State(u_prev, torch.zeros_like(u_prev), Grid(dtype, None))

    def _add(self, adjoint: State, inputs: Tensor, run: range) -> None:
        """Adds the gradient of the features to (u_prev, u_curr) = (-g_prev, g_curr)."""
        assert inputs.grad is not None
        g_prev, g_curr = inputs.grad[..., : 2 * self.net.config.channels].chunk(2, -1)
        for position, frame in enumerate(self.frames[i] for i in run):
            at = slice(position, position + 1)
            self.placement.crop(adjoint.prev, frame, frame + 1).sub_(g_prev[:, at])
            self.placement.crop(adjoint.curr, frame, frame + 1).add_(g_curr[:, at])


def _opening_gradient(net: RevSegNet, volume: Tensor, placement: Placement, adjoint: State) -> None:
    """Adds the opening's gradients: the state starts as (y, y), so d(loss)/dy = g_prev + g_curr = u_curr - u_prev."""
    count = frames_at_once(
        placement, channels=net.config.channels + volume.shape[1], batch=len(volume), budget=net.sequence.budget(adjoint.curr)
    )
    for start in range(0, placement.padded[0], count):
        stop = min(start + count, placement.padded[0])
        y = net.opening(opening_inputs(net, volume, placement, start=start, stop=stop))
        y.backward(adjoint.curr[:, start:stop].to(y.dtype) - adjoint.prev[:, start:stop].to(y.dtype))

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
from revseg.network.volume import Placement, features, frames_at_once, frames_of_opening, opened, opening_inputs
from revseg.reversible.grid import Grid
from revseg.reversible.run import Run
from revseg.reversible.state import State, scale_of


class Loss(Protocol):
    """A loss that is a function of sums over pixels: value(sum over pixels of statistics).

    So it can be computed a few frames at a time. Dice and mean cross-entropy are of this form; see ``revseg.training.loss``.
    """

    def statistics(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns additive sums, 1-D, of logits (M, O) and labels (M,) long, void included."""

    def value(self, statistics: Tensor) -> Tensor:
        """Returns the loss, 0-d, of the summed statistics."""


@dataclass(frozen=True)
class StepResult:
    """What a step found besides its gradients."""

    loss: Tensor
    """0-d, detached."""
    statistics: Tensor
    """The loss's sums."""
    state_range: float
    """Largest magnitude of the state; nan in floating point."""
    inverted: bool | None
    """Whether the backward pass came back to the opening bit for bit. None in floating point, and where it ended early."""


def training_step(
    net: RevSegNet,
    volume: Tensor,
    labels: Tensor,
    labelled_frames: Sequence[int],
    loss: Loss,
    offset: tuple[int, int, int] = (0, 0, 0),
) -> StepResult:
    """Returns the loss of a video and adds its gradients to ``.grad`` of all parameters.

    volume: (N, I, T, H, W) uint8 (0 to 255) or normalised float, I = in_channels, and classes + 1 more with evidence;
    labels: (N, L, H, W), integers, of the L frames ``labelled_frames``; loss: see ``Loss``;
    offset: where the video is placed on the padded grid, in frames and pixels (T, H, W).
    Volume and labels may lie on the network's device or on the host, where pinned memory is fastest.

    The step holds two states and two adjoints in place, whatever the depth: 8 bytes a channel and padded pixel with 16 bits each.
    Raises ValueError for shapes, dtypes and frames that do not fit, OverflowError where the state leaves the range of its grid.
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
    operands = net.sequence.operands()
    fixed = [tuple(part.detach() for part in own) for own in operands]
    needs = [tuple(part.requires_grad for part in own) for own in operands]
    grid = net.sequence.grid
    with torch.autocast(net.device.type, enabled=False):
        field = opened(net, volume, placement, grid=grid)
        run = net.sequence.begin(field.nbytes, device=field.device, keep_hidden=net.config.keep_hidden)
        state = run.open_(field, grid)
        del field  # the state owns it, or a copy
        run.forward_(state, fixed, start=run.leading)
        reached = float("nan") if state.range is None else float(state.range) * grid.unit
        frames = _Labelled(net, state, volume, placement=placement, labels=labels, frames=labelled_frames)
        value, statistics, adjoint = frames.loss_and_adjoint(loss)
        opens = any(part.requires_grad for part in net.opening.parameters())
        gradients = run.adjoint_(state, adjoint, fixed, needs=needs, to_start=opens, start=run.leading)
        pairs = [pair for own in zip(operands, gradients, strict=True) for pair in zip(*own, strict=True)]
        trained = [(part, gradient) for part, gradient in pairs if gradient is not None]
        torch.autograd.backward([part for part, _ in trained], [gradient for _, gradient in trained])
        inverted = _close(net, volume, placement, run=run, state=state, adjoint=adjoint) if run.whole else None
    return StepResult(value, statistics, state_range=reached, inverted=inverted)


class _Labelled:
    """The labelled frames of a state: logits, statistics and adjoint, a few frames at a time."""

    def __init__(
        self, net: RevSegNet, state: State, volume: Tensor, placement: Placement, labels: Tensor, frames: Sequence[int]
    ) -> None:
        self.net, self.state, self.volume, self.placement, self.labels = net, state, volume, placement, labels
        budget = net.sequence.slab_budget(state.curr.nbytes, net.device)
        self.count = frames_at_once(placement, channels=net.features + net.config.outputs, batch=len(labels), budget=budget)
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
        cells = self.net.head(inputs)
        frames = [self.frames[i] for i in run]
        expand = self.placement.expand
        logits = torch.cat([expand(cells[:, i : i + 1], frame, frame + 1) for i, frame in enumerate(frames)], 1)
        labels = self.labels[:, run.start : run.stop].to(self.net.device)
        return loss.statistics(logits.flatten(0, -2), labels.flatten().long())

    def _zero_adjoint(self) -> State:
        dtype = self.net.sequence.adjoint_dtype
        velocity = torch.zeros(self.state.curr.shape, dtype=dtype, device=self.net.device)
        return State(velocity, torch.zeros_like(velocity), Grid(dtype, None))

    def _add(self, adjoint: State, inputs: Tensor, run: range) -> None:
        """Adds the gradient of the features to (velocity, u) = (g_prev + g_curr, g_curr)."""
        assert inputs.grad is not None
        gradient = inputs.grad[..., : 2 * self.state.curr.shape[-1]]
        if adjoint.curr.dtype == torch.float16:
            if adjoint.scale is None:  # the frames that follow are of the same size
                adjoint.scale = scale_of(gradient.abs().amax())
            gradient = gradient * adjoint.scale
        g_prev, g_curr = gradient.chunk(2, -1)
        for position, frame in enumerate(self.frames[i] for i in run):
            at = slice(position, position + 1)
            self.placement.crop(adjoint.partner, frame, frame + 1).add_(g_prev[:, at] + g_curr[:, at])
            self.placement.crop(adjoint.curr, frame, frame + 1).add_(g_curr[:, at])


def _close(net: RevSegNet, volume: Tensor, placement: Placement, *, run: Run, state: State, adjoint: State) -> bool | None:
    """Adds the opening's gradients, and compares the state with the opening that it began as.

    The state starts as (y, y): d(loss)/dy = g_prev + g_curr, the velocity of the adjoint. On a grid the state must be (y, y)
    again, bit for bit; returns whether it is, None in floating point.
    """
    grid, exact = state.grid, state.grid.exact
    back = _equal(state.partner, state.curr) if exact else None
    state.partner = adjoint.curr = torch.empty(0)  # not needed any more: the transform back works on one field of each
    y = run.close_(state.curr, grid) if exact else None
    gradient = run.close_(adjoint.partner, adjoint.grid)
    trains = any(part.requires_grad for part in net.opening.parameters())
    for start, stop in frames_of_opening(net, volume, placement, grid=grid):
        opening = net.opening(opening_inputs(net, volume, placement, start=start, stop=stop))
        if y is not None and back is not None:
            back &= (grid.store(opening.detach()) == y[:, start:stop]).all()
        if trains:
            part = gradient[:, start:stop].to(opening.dtype)
            opening.backward(part if adjoint.scale is None else part / adjoint.scale)
    return None if back is None else bool(back)


def _equal(one: Tensor, other: Tensor) -> Tensor:
    """Returns whether two fields (N, T, H, W, C) are equal, 0-d: a frame at a time, without a mask of the whole."""
    frames = zip(one.flatten(0, 1), other.flatten(0, 1), strict=True)
    return torch.stack([(a == b).all() for a, b in frames]).all()

"""One training step at the memory floor: two states, two adjoints, and a slab of everything else.

The head and the loss see only labelled frames, a few at a time: the logits of a whole volume never exist. The loss is a
function of sums over pixels, value(sum of statistics), so it takes two passes: one for the sums, one for the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from revseg.network.network import RevSegNet, check_volume
from revseg.network.opening import frames_of_opening, gradient_of_opening, opened, opened_frames
from revseg.network.volume import Part, Placement, features, frames_at_once
from revseg.reversible.grid import Grid
from revseg.reversible.run import Run, range_error, unscaled
from revseg.reversible.shard import Shard
from revseg.reversible.state import State, scale_of

ParameterGradients = dict[Tensor, Tensor]
"""Parameter -> its gradient."""


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


@dataclass(frozen=True)
class Launched:
    """A step as a GPU is still computing it: whoever reads a number waits for it."""

    loss: Tensor
    """0-d, detached."""
    statistics: Tensor
    """The loss's sums."""
    gradients: tuple[Tensor | None, ...]
    """One for each parameter of the network, in their order."""
    reached: Tensor | None
    """Largest magnitude of the state in grid units, 0-d; None in floating point."""
    returned: Tensor | None
    """Whether the backward pass came back to the opening bit for bit, 0-d; None as in ``StepResult``."""
    grid: Grid

    def numbers(self) -> Tensor:
        """Returns loss, range and whether the pass came back, (3,) float64, for ``result`` to read."""
        parts = (self.loss, self.reached, self.returned)
        missing = self.loss.new_full((), float("nan"), dtype=torch.float64)
        return torch.stack([missing if part is None else part.double() for part in parts])

    def result(self, numbers: Sequence[float]) -> StepResult:
        """Returns what the step found; raises OverflowError where the state left the range of its grid, and nothing counts."""
        _, reached, returned = numbers
        error = None if self.reached is None else range_error(reached, self.grid)
        if error is not None:
            raise error
        inverted = None if self.returned is None else bool(returned)
        return StepResult(self.loss, self.statistics, state_range=reached * self.grid.unit, inverted=inverted)


def training_step(
    net: RevSegNet,
    volume: Tensor,
    labels: Tensor,
    labelled_frames: Sequence[int],
    loss: Loss,
    offset: tuple[int, int, int] = (0, 0, 0),
    part: Part | None = None,
) -> StepResult:
    """Returns the loss of a video and adds its gradients to ``.grad`` of all parameters.

    volume: (N, I, T, H, W) uint8 (0 to 255) or normalised float, I = in_channels, and classes + 1 more with evidence;
    labels: (N, L, H, W), integers, of the L frames ``labelled_frames``; loss: see ``Loss``;
    offset: where the video is placed on the padded grid, in frames and pixels (T, H, W).
    Volume and labels may lie on the network's device or on the host, where pinned memory is fastest.
    part: what this process holds of a video that several hold together. The volume then has the frames ``part.seen`` alone,
    labels and labelled frames are the whole video's; all processes find the same result, and add the same gradients.

    The step holds two states and two adjoints in place, whatever the depth: 8 bytes a channel and padded pixel with 16 bits each.
    Raises ValueError for shapes, dtypes and frames that do not fit, OverflowError where the state leaves the range of its grid.
    """
    launched = launch_step(net, volume, labels, labelled_frames=labelled_frames, loss=loss, offset=offset, part=part)
    result = launched.result(launched.numbers().tolist())
    add_gradients(net, launched if part is None else replace(launched, gradients=_summed(launched.gradients, part.shard)))
    return result


def _summed(gradients: tuple[Tensor | None, ...], shard: Shard) -> tuple[Tensor | None, ...]:
    """Returns the sums of gradients over all shards."""
    given = [gradient for gradient in gradients if gradient is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in given])
    shard.sum_(flat)
    parts = iter(flat.split([gradient.numel() for gradient in given]))
    return tuple(None if gradient is None else next(parts).view_as(gradient) for gradient in gradients)


def add_gradients(net: RevSegNet, launched: Launched) -> None:
    """Adds the gradients of a step to ``.grad`` of the parameters."""
    for parameter, gradient in zip(net.parameters(), launched.gradients, strict=True):
        if gradient is not None:
            # In the parameter's layout, as autograd leaves it: optimizers view a kernel's gradient as a matrix.
            parameter.grad = gradient.contiguous() if parameter.grad is None else parameter.grad.add_(gradient)


def launch_step(
    net: RevSegNet,
    volume: Tensor,
    labels: Tensor,
    labelled_frames: Sequence[int],
    loss: Loss,
    offset: tuple[int, int, int] = (0, 0, 0),
    part: Part | None = None,
) -> Launched:
    """Computes the step of ``training_step`` without waiting for a GPU, and without touching ``.grad``.

    The gradients of a part are those of its own frames: the sum over all shards is the video's.
    """
    placement = _placed(net, volume, labels, frames=labelled_frames, offset=offset, part=part)
    shard = None if part is None else part.shard
    operands = net.sequence.operands()
    fixed = [tuple(part.detach() for part in own) for own in operands]
    needs = [tuple(part.requires_grad for part in own) for own in operands]
    grid = net.sequence.grid
    with torch.autocast(net.device.type, enabled=False):
        field = opened(net, volume, placement, grid=grid)
        run = net.sequence.begin(field.nbytes, device=field.device, keep_hidden=net.config.keep_hidden, shard=shard)
        state = run.open_(field, grid)
        del field  # the state owns it, or a copy
        run.forward_(state, fixed, start=run.leading, checked=False)
        frames = _Labelled(net, state, volume, placement=placement, labels=labels, frames=labelled_frames, shard=shard)
        value, statistics, adjoint = frames.loss_and_adjoint(loss)
        found = frames.head_gradients
        opens = any(part.requires_grad for part in net.opening.parameters())
        gradients = run.adjoint_(state, adjoint, fixed, needs=needs, to_start=opens, start=run.leading)
        pairs = [pair for own in zip(operands, gradients, strict=True) for pair in zip(*own, strict=True)]
        found |= _through_norms(net, [(part, gradient) for part, gradient in pairs if gradient is not None])
        returned = None
        if run.whole:
            back = _close(net, volume, placement, run=run, state=state, adjoint=adjoint)
            returned, found = back[0], found | back[1]
    ordered = tuple(found.get(parameter) for parameter in net.parameters())
    reached = state.range
    if shard is not None:
        reached, returned = _agreed(shard, reached, returned)
    return Launched(value, statistics, gradients=ordered, reached=reached, returned=returned, grid=grid)


def _agreed(shard: Shard, reached: Tensor | None, returned: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Returns the largest magnitude in any shard, and whether all came back; both are there in all shards or in none."""
    known = [part.double() for part in (reached, None if returned is None else ~returned) if part is not None]
    if not known:
        return None, None
    largest = shard.largest(torch.stack(known))
    return None if reached is None else largest[0], None if returned is None else largest[-1] == 0


def _placed(
    net: RevSegNet,
    volume: Tensor,
    labels: Tensor,
    *,
    frames: Sequence[int],
    offset: tuple[int, int, int],
    part: Part | None,
) -> Placement:
    """Returns where the volume lies. Raises ValueError where labels or labelled frames do not fit it, or it the network."""
    check_volume(volume, net.config.inputs)
    if labels.shape != (len(volume), len(frames), *volume.shape[3:]):
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit {len(frames)} labelled frames of a volume "
            f"{tuple(volume.shape)}; give (N, L, H, W)"
        )
    placement = Placement.of(net, volume, offset, part=part)
    if not frames or not 0 <= min(frames) <= max(frames) < placement.size[0]:
        raise ValueError(f"the labelled frames are {list(frames)}; give at least one, from 0 to {placement.size[0] - 1}")
    return placement


def _through_norms(net: RevSegNet, gradients: list[tuple[Tensor, Tensor]]) -> ParameterGradients:
    """Carries the gradients of the blocks' operands back to the parameters that these were computed from."""
    if not gradients:
        return {}
    trained = [parameter for parameter in net.sequence.parameters() if parameter.requires_grad]
    total = torch.stack([weighed(output, given) for output, given in gradients]).sum()
    found = torch.autograd.grad(total, trained, allow_unused=True)
    return {parameter: part for parameter, part in zip(trained, found, strict=True) if part is not None}


def weighed(output: Tensor, weights: Tensor) -> Tensor:
    """Returns the sum of weights output, 0-d, whose gradient in ``output`` is exactly ``weights``.

    Given the weights themselves, autograd imports sympy first: a second, and 60 MB.
    """
    return (output * weights).sum()


class _Labelled:
    """The labelled frames of a state: logits, statistics and adjoint, a few frames at a time. A shard may have none of them."""

    def __init__(
        self,
        net: RevSegNet,
        state: State,
        volume: Tensor,
        placement: Placement,
        labels: Tensor,
        frames: Sequence[int],
        shard: Shard | None = None,
    ) -> None:
        self.net, self.state, self.volume, self.placement, self.shard = net, state, volume, placement, shard
        budget = net.sequence.slab_budget(state.curr.nbytes, net.device)
        self.count = frames_at_once(placement, channels=net.features + net.config.outputs, batch=len(labels), budget=budget)
        self.frames, self.labels = frames, labels
        if shard is not None:
            own = [index for index, frame in enumerate(frames) if frame in placement.seen]
            self.frames, self.labels = [frames[index] for index in own], labels[:, own]
        self.head_gradients: ParameterGradients = {}

    def loss_and_adjoint(self, loss: Loss) -> tuple[Tensor, Tensor, State]:
        """Returns loss, statistics and the adjoint of the state; the head's gradients are in ``head_gradients`` then.

        Loss and statistics are those of all shards.
        """
        adjoint, runs = self._zero_adjoint(), list(self._runs())
        if len(runs) == 1:  # all labelled frames at once: one pass is enough
            inputs = self._features(runs[0]).requires_grad_()
            found = self._statistics(loss, inputs, runs[0])
            value, total, weights = self._loss(loss, found.detach())
            self._differentiate(found, weights, inputs=inputs, adjoint=adjoint, run=runs[0])
        else:
            with torch.no_grad():
                sums = [self._statistics(loss, self._features(run), run) for run in runs]
                value, total, weights = self._loss(loss, torch.stack(sums or [self._of_none(loss)]).sum(0))
            for run in runs:
                inputs = self._features(run).requires_grad_()
                self._differentiate(self._statistics(loss, inputs, run), weights, inputs=inputs, adjoint=adjoint, run=run)
        if not runs:
            self._give_nothing(adjoint)
        return value, total, adjoint

    @torch.enable_grad()
    def _loss(self, loss: Loss, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the loss, the statistics of all shards, and the derivative of the one by the other."""
        if self.shard is not None:
            self.shard.sum_(total)
        value = loss.value(total.requires_grad_())
        (weights,) = torch.autograd.grad(value, total)
        return value.detach(), total.detach(), weights

    def _of_none(self, loss: Loss) -> Tensor:
        """Returns the statistics of no pixel."""
        logits = torch.zeros(0, self.net.config.outputs, dtype=self.net.opening.weight.dtype, device=self.net.device)
        return loss.statistics(logits, torch.zeros(0, dtype=torch.long, device=self.net.device))

    def _give_nothing(self, adjoint: State) -> None:
        """Takes part in what other shards find: the scale, and gradients of the head, of which all have some."""
        self._scale(adjoint, torch.zeros((), device=self.net.device))
        self.head_gradients = {part: torch.zeros_like(part) for part in self.net.head.parameters() if part.requires_grad}

    def _differentiate(self, output: Tensor, weights: Tensor, *, inputs: Tensor, adjoint: State, run: range) -> None:
        """Adds the gradients of an output, weighed, in features and head to ``adjoint`` and ``head_gradients``."""
        trained = [parameter for parameter in self.net.head.parameters() if parameter.requires_grad]
        gradient, *parts = torch.autograd.grad(weighed(output, weights), [inputs, *trained], allow_unused=True)
        self._add(adjoint, gradient, run)
        for parameter, part in zip(trained, parts, strict=True):
            if part is not None:
                before = self.head_gradients.get(parameter)
                self.head_gradients[parameter] = part if before is None else before.add_(part)

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

    def _add(self, adjoint: State, gradient: Tensor, run: range) -> None:
        """Adds the gradient of the features to (velocity, u) = (g_prev + g_curr, g_curr)."""
        gradient = gradient[..., : 2 * self.state.curr.shape[-1]]
        self._scale(adjoint, gradient)
        gradient = gradient if adjoint.scale is None else gradient * adjoint.scale
        g_prev, g_curr = gradient.chunk(2, -1)
        for position, frame in enumerate(self.frames[i] for i in run):
            at = slice(position, position + 1)
            self.placement.crop(adjoint.partner, frame, frame + 1).add_(g_prev[:, at] + g_curr[:, at])
            self.placement.crop(adjoint.curr, frame, frame + 1).add_(g_curr[:, at])

    def _scale(self, adjoint: State, gradient: Tensor) -> None:
        """Scales an adjoint in float16 by the first gradients; the frames that follow are of the same size."""
        if adjoint.curr.dtype != torch.float16 or adjoint.scale is not None:
            return
        largest = gradient.abs().amax()
        adjoint.scale = scale_of(largest if self.shard is None else self.shard.largest(largest))


def _close(
    net: RevSegNet, volume: Tensor, placement: Placement, *, run: Run, state: State, adjoint: State
) -> tuple[Tensor | None, ParameterGradients]:
    """Returns whether the state is the opening that it began as, None in floating point, and the opening's gradients.

    The state starts as (y, y): d(loss)/dy = g_prev + g_curr, the velocity of the adjoint. On a grid the state must be (y, y)
    again, bit for bit.
    """
    grid, exact = state.grid, state.grid.exact
    back = [_equal(state.partner, state.curr)] if exact else []
    state.partner = adjoint.curr = torch.empty(0)  # not needed any more: the transform back works on one field of each
    y = run.close_(state.curr, grid) if exact else None
    gradient = run.close_(adjoint.partner, adjoint.grid)
    weight, bias = net.opening.weight, net.opening.bias
    total_weight, total_bias = (torch.zeros_like(part, requires_grad=False) for part in (weight, bias))
    trains = weight.requires_grad or bias.requires_grad
    with torch.no_grad():
        for start, stop in frames_of_opening(net, volume, placement, grid=grid):
            if y is not None:
                again = opened_frames(net, volume, placement, start=start, stop=stop, grid=grid)
                back.append((again == y[:, start:stop]).all())
            if trains:
                parts = gradient_of_opening(net, volume, placement, gradient=gradient[:, start:stop], start=start)
                total_weight.add_(unscaled(parts[0], adjoint))
                total_bias.add_(unscaled(parts[1], adjoint))
    returned = torch.stack(back).all() if exact else None
    pairs = ((weight, total_weight), (bias, total_bias))
    return returned, {parameter: total for parameter, total in pairs if parameter.requires_grad}


# Elements that are compared at a time: without a mask of the whole, and in few calls on a small field.
COMPARED = 1 << 24


def _equal(one: Tensor, other: Tensor) -> Tensor:
    """Returns whether two fields (N, T, H, W, C) are equal, 0-d."""
    parts = zip(one.view(-1).split(COMPARED), other.view(-1).split(COMPARED), strict=True)
    return torch.stack([(a == b).all() for a, b in parts]).all()

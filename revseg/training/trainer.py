"""The loop: steps, evaluations, checkpoints; stopped and resumed at any step, it ends at the same weights."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from revseg import storage
from revseg.device import free_memory, free_threads, peak_memory
from revseg.network.config import NetworkConfig
from revseg.network.growth import grown
from revseg.network.memory import Size, forecast_training
from revseg.network.network import RevSegNet, widened
from revseg.network.plan import seen_frames
from revseg.network.step import Launched, add_gradients, launch_step
from revseg.network.volume import Part
from revseg.parallel.average import sum_gradients
from revseg.parallel.group import ALONE, Group
from revseg.reversible.run import range_error
from revseg.runs.cores import Cores
from revseg.runs.folder import RunFolder
from revseg.runs.interruption import Interrupted, Signalled, StopRequest
from revseg.training import checkpoint as checkpoints
from revseg.training.augment import Augmented, augment
from revseg.training.board import Board, StepReport
from revseg.training.checkpoint import Checkpoint
from revseg.training.config import AugmentConfig, TrainingConfig
from revseg.training.feed import generator_for, item_bytes, items_bytes, made_ahead
from revseg.training.inference import inference_of
from revseg.training.loss import SegmentationLoss, region_similarity
from revseg.training.optimizer import Optimizer
from revseg.training.plateau import on_plateau
from revseg.training.progress import Progress
from revseg.training.schedule import one_cycle
from revseg.training.task import Task

LOG = logging.getLogger("revseg")

Value = TypeVar("Value")

COLUMNS = 5
"""Numbers of a video that are read in each step: loss, range of the state, whether it came back, frames, signal."""


@dataclass(frozen=True)
class _Found:
    """What the gradients of one update were computed from, by all processes together."""

    loss: float
    norm: float
    """The norm of the gradient before it was clipped."""
    J: float
    state_range: float
    """Largest magnitude of the state of any video; nan in floating point."""
    inverted: list[bool | None]
    """Whether the backward pass came back to the opening, for each video (``StepResult``)."""
    frames: int
    signum: int
    """The signal that asks one of the processes to stop; 0 without."""


class Trainer:
    """Trains a network on a task; everything that changes is in the checkpoint.

    height: of the frames that are trained on, None: the video's own. recipe: settings that a prediction uses too. group: the
    processes that share out the videos of a step, or their frames; all have the same weights, and the first writes them.
    """

    def __init__(
        self,
        net: RevSegNet,
        task: Task,
        folder: RunFolder,
        *,
        config: TrainingConfig,
        augmentation: AugmentConfig,
        seed: int,
        height: int | None = None,
        recipe: dict[str, object] | None = None,
        group: Group = ALONE,
    ) -> None:
        self.net, self.task, self.folder, self.config = net, task, folder, config
        self.augmentation, self.seed, self.height, self.recipe = augmentation, seed, height, recipe or {}
        self.device, self.group = net.device, group
        self.inference = None if task.shared_out else inference_of(group.volume, group.rank)
        self.loss = SegmentationLoss(config.loss)
        self.optimizer = Optimizer(net, config.optimizer)
        self.progress = Progress(config.steps, config.minutes, config.steps_of_later_rounds(task.finetune_share))
        self.progress.begin_round(task.labels_key, task.label_count)
        self.losses: list[float] = []

    def fit(self, board: Board) -> None:
        """Takes steps until the end, from where the progress stands."""
        if self.progress.finished:
            return
        cores = Cores(free_threads(self.device))
        items = made_ahead(self._item, self._numbers(), self.config.ahead, device=self.device)
        with closing(items), StopRequest.watched() as stop, board.training(self.progress.step, self.progress.last):
            while not self.progress.finished:
                with self.progress.timed():
                    asked = self._step(items, board, stop)
                    cores.look()
                    if self._due(self.config.evaluate_every):
                        self.with_others(lambda: self._evaluate(board, stop))
                if self.config.minutes is not None:
                    self.progress.seconds = self.group.from_first(lambda: self.progress.seconds)  # all end at the same step
                if self._due(self.config.checkpoint_every):
                    self._save()
                if asked or (self.group.alone and stop.signum):
                    break
            self._save()
            signum = max(self.group.gathered(stop.signum or 0))  # not before all is saved
        if signum:
            if stop.hand_on() and self.group.alone:
                self.fit(board)  # a launcher of batch jobs waits for another signal
                return
            raise Interrupted(signum, self.progress.step, self.folder.path)

    def resume(self, saved: Checkpoint, path: Path, *, again: bool = False) -> None:
        """Takes over a checkpoint, of a file. Begins a round where the labels are others than in it; again: in any case."""
        before = saved.rounds or self.progress.rounds  # checkpoints that name no rounds are of a first one
        new_round = again or before[-1].labels != self.task.labels_key
        checkpoints.check_same_architecture(saved, self.net.config, path, may_grow=new_round)
        self.net.load_state_dict(grown(saved.weights, saved.network, self.net))
        self.progress.step, self.progress.seconds, self.progress.end = saved.step, saved.seconds, saved.end
        self.progress.inverted, self.progress.rounds = saved.inverted, list(before)
        if new_round:  # with an optimizer that has seen nothing: its momenta are those of other labels, at the lowest rate
            self.progress.begin_round(self.task.labels_key, self.task.label_count)
            return
        self.losses = list(saved.losses)
        try:
            self.optimizer.load_state_dict(saved.optimizer)
        except ValueError as error:
            raise ValueError(f"{path} cannot be resumed: {error}") from error

    def with_others(self, work: Callable[[], Value]) -> Value | None:
        """Does what the first process does with the network, or this one's share of it; returns what comes of it here."""
        if self.task.shared_out or (self.group.first and self.inference is None):
            return work()
        return None if self.inference is None else self.inference.together(self.net, work)

    def _evaluate(self, board: Board, stop: StopRequest) -> None:
        """Measures the network; a signal does not wait for it, for that takes as long as many steps."""
        stop.restore()
        try:
            board.evaluation(self.progress.step, self.task.evaluate(self.net))
        except Signalled as signalled:
            self._save()
            raise Interrupted(signalled.signum, self.progress.step, self.folder.path) from signalled
        stop.catch()

    def _save(self) -> None:
        if self.group.first:
            checkpoints.save(self._checkpoint(), self.folder.last)

    def _numbers(self) -> Iterator[int]:
        """Yields the numbers of the items of this process; those of a step do not depend on how many processes there are."""
        for step in count(self.progress.step):
            yield from self.group.share_of_volumes(range(step * self.config.videos, (step + 1) * self.config.videos))

    def _item(self, index: int) -> Augmented:
        generator = generator_for("augmentation", self.seed, index)
        item = self.task.item(index)
        seen = None if (part := self._part(item.frames)) is None else partial(part.seen, self.net.config)
        return augment(item, self.augmentation, generator, multiple=self.net.multiple, device=self.device, seen=seen)

    def _part(self, frames: int) -> Part | None:
        """Returns what this process holds of a video; None: all of it."""
        return None if self.group.volume is None else Part(frames, self.group.volume)

    def _step(self, items: Iterator[Augmented], board: Board, stop: StopRequest) -> bool:
        """Takes a step; says whether one of the processes was asked to stop."""
        started = time.perf_counter()
        batch = [next(items) for _ in self.group.share_of_volumes(range(self.config.videos))]
        found = self._gradients(batch, stop)
        self._require_finite(found.loss, found.norm)
        self._require_inverted(found.inverted)
        factor = one_cycle(self.progress.fraction)
        self.optimizer.step(factor)
        self.progress.step += 1
        self._watch(found.loss)
        board.step(
            self.progress.step,
            StepReport(
                loss=found.loss,
                J=found.J,
                learning_rates=[rate * factor for rate in self.config.optimizer.rates],
                gradient_norm=found.norm,
                state_range=found.state_range,
                seconds=time.perf_counter() - started,
                frames=found.frames,
                peak_memory=peak_memory(self.device),
            ),
        )
        return found.signum != 0

    def _watch(self, loss: float) -> None:
        """Ends the training early where the loss stays as it is."""
        if (patience := self.config.patience) is None:
            return
        self.losses = [*self.losses, loss][-2 * patience :]
        if self.progress.end is None and on_plateau(self.losses, patience):
            self.progress.end = min(self.progress.step + patience, self.progress.last)

    def _gradients(self, batch: list[Augmented], stop: StopRequest) -> _Found:
        """Where states of 16 bits leave their range, once more in 32: nothing was changed yet."""
        try:
            return self._try_gradients(batch, stop)
        except OverflowError as error:
            self._require_wider(error)
        return self._try_gradients(batch, stop)

    def _try_gradients(self, batch: list[Augmented], stop: StopRequest) -> _Found:
        """Leaves the mean gradient of the step's videos, clipped, in ``.grad``; a GPU is waited for once, when the numbers are
        read."""
        for parameter in self.optimizer.parameters:
            parameter.grad = None
        launched = [self._launch(item) for item in batch]
        sum_gradients(self.optimizer.parameters, self.group)
        norm = self._clip(self.config.videos)
        rows = self._rows(launched, batch, stop.signum or 0)
        J = region_similarity(rows[:, COLUMNS:].to(launched[0].statistics.dtype).sum(0))
        numbers = torch.cat([norm.double()[None], J.double()[None], rows[:, :COLUMNS].flatten()]).tolist()
        losses, reached, returned, frames, signums = (numbers[2 + column :: COLUMNS] for column in range(COLUMNS))
        exact = launched[0].reached is not None
        for number in reached if exact else ():
            if (error := range_error(number, launched[0].grid)) is not None:
                raise OverflowError(f"step {self.progress.step + 1}: {error}") from error
        return _Found(
            loss=sum(losses) / len(losses),
            norm=numbers[0],
            J=numbers[1],
            state_range=max(reached) * launched[0].grid.unit if exact else math.nan,
            inverted=[None if launched[0].returned is None else bool(number) for number in returned],
            frames=int(sum(frames)),
            signum=int(max(signums)),
        )

    def _rows(self, launched: list[Launched], batch: list[Augmented], signum: int) -> Tensor:
        """Returns the numbers of each video of the step, (videos, COLUMNS + statistics) float64: of ``Launched``, frames, the
        signal that its process has caught, and the loss's sums. All processes get the same, and so decide alike."""
        own, volume = [], self.group.volume
        asked = launched[0].loss.new_full((1,), signum, dtype=torch.float64)
        asked = asked if volume is None else volume.largest(asked)
        for each, item in zip(launched, batch, strict=True):
            known = [each.loss.new_full((1,), item.frames, dtype=torch.float64), asked]
            own.append(torch.cat([each.numbers(), *known, each.statistics.double()]))
        if self.group.alone:
            return torch.stack(own)
        rows = own[0].new_zeros(self.config.videos, len(own[0]))
        if volume is None or volume.index == 0:  # who holds a video together found the same
            rows[list(self.group.share_of_volumes(range(self.config.videos)))] = torch.stack(own)
        self.group.sum_(rows)
        return rows

    def _launch(self, item: Augmented) -> Launched:
        if self.config.input == "device":
            item = item.to(self.device)
        launched = launch_step(
            self.net,
            item.volume[None],
            item.labels[None],
            labelled_frames=item.labelled_frames,
            loss=self.loss,
            offset=item.offset,
            part=self._part(item.frames),
        )
        add_gradients(self.net, launched)
        return launched

    def _require_wider(self, reason: OverflowError) -> None:
        """Wider states from here on; raises OverflowError where there are none, or no memory for them."""
        config = widened(self.net.config)
        if config is None:
            raise reason
        size, frames = self.task.largest()
        forecast = forecast_training(
            config,
            size,
            device=self.device.type,
            labelled_frames=frames,
            optimizer=self.config.optimizer.name,
            shards=self.group.shards,
        )
        budget = budget_of(self.config, self.device, network=config, size=size, group=self.group, shards=self.group.shards)
        if forecast.total > budget:
            raise OverflowError(
                f"{reason}; states of 32 bits would take {forecast.total / 1e9:.2f} GB, but {budget / 1e9:.2f} GB may be "
                "used (training.memory_budget)"
            ) from reason
        LOG.info(
            f"step {self.progress.step + 1}: states left the range of {self.net.config.state_dtype} and go on in "
            f"{config.state_dtype}, forecast {forecast.total / 1e9:.2f} GB"
        )
        self.net.hold_states_(config)

    def _clip(self, count: int) -> Tensor:
        """Mean over the accumulated videos, clipped; returns the norm before clipping, 0-d."""
        if count > 1:
            torch._foreach_div_([part.grad for part in self.optimizer.parameters if part.grad is not None], count)
        return torch.nn.utils.clip_grad_norm_(self.optimizer.parameters, self.config.clip)

    def _require_finite(self, loss: float, norm: float) -> None:
        """Before the update: a weight that is not finite would never be finite again."""
        if math.isfinite(loss) and math.isfinite(norm):
            return
        raise FloatingPointError(
            f"step {self.progress.step + 1}: the loss is {loss}, the gradient's norm {norm}; the weights "
            f"were not changed, and the last checkpoint in {self.folder.path} is good: lower "
            "training.optimizer.kernel_rate, training.optimizer.rate or network.step_size"
        )

    def _require_inverted(self, inverted: list[bool | None]) -> None:
        """Before the update: gradients are those of the forward pass only where the backward pass undid it."""
        if False in inverted:
            raise ArithmeticError(
                f"step {self.progress.step + 1}: the backward pass did not come back to the opening bit for bit, so its "
                f"gradients are not to be trusted; the weights were not changed, and the last checkpoint in "
                f"{self.folder.path} is good: check this machine's memory, or report it with run.json"
            )
        self.progress.inverted += all(inverted)

    def _due(self, every: int | None) -> bool:
        """Whether it is time; at the end everything is saved and measured in any case."""
        return every is not None and self.progress.step % every == 0 and not self.progress.finished

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            network=self.net.config,
            weights=self.net.state_dict(),
            optimizer=self.optimizer.state_dict(),
            step=self.progress.step,
            seconds=self.progress.seconds,
            height=self.height,
            label_count=self.task.label_count,
            end=self.progress.end,
            inverted=self.progress.inverted,
            losses=self.losses,
            rounds=self.progress.rounds,
            recipe=self.recipe,
        )


def budget_of(
    config: TrainingConfig,
    device: torch.device,
    *,
    network: NetworkConfig,
    size: Size,
    group: Group = ALONE,
    shards: int = 1,
) -> int:
    """Bytes that a step may take. On a CPU the items made ahead lie in the same memory; one is the input in the forecast, which
    takes none where it lies on disk.

    The processes of a group on one machine share its memory; all keep to what the one with the least may take.
    """
    if config.memory_budget is None:
        whole = free_memory(device) // (1 if device.type == "cuda" else group.neighbours)
    else:
        whole = int(config.memory_budget * 1e9)
    own = (seen_frames(network, size[0], shards), *size[1:])
    item = item_bytes(network, own)
    if device.type == "cuda":
        whole += item if config.input == "host" else 0  # then it is not there
    else:
        whole += item - storage.held(item) - items_bytes(network, own, config.ahead)
    return group.least(whole)

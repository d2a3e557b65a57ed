"""The loop: steps, evaluations, checkpoints; stopped and resumed at any step, it ends at the same weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field

import torch
from tqdm import tqdm

from revseg.device import free_memory
from revseg.network.memory import forecast_training
from revseg.network.network import RevSegNet, widened
from revseg.network.step import StepResult, training_step
from revseg.runs.folder import RunFolder
from revseg.runs.interruption import Interrupted, StopRequest
from revseg.training import checkpoint as checkpoints
from revseg.training.augment import AugmentConfig, Augmented, augment
from revseg.training.board import Board, StepReport
from revseg.training.checkpoint import Checkpoint
from revseg.training.ema import WeightAverage
from revseg.training.feed import generator_for, made_ahead
from revseg.training.loss import LossConfig, SegmentationLoss, region_similarity
from revseg.training.memory import peak_memory
from revseg.training.optimizer import Optimizer, OptimizerConfig
from revseg.training.plateau import on_plateau
from revseg.training.progress import Progress
from revseg.training.schedule import schedule_named
from revseg.training.task import Experiment


@dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found."""

    steps: int = 150
    """Updates of the weights; each sees `accumulation` whole videos."""
    minutes: float | None = None
    """Stop after this time even if there are steps left; the schedule then follows the time. Such a run
    cannot be repeated bit for bit."""
    patience: int | None = None
    """Once the mean loss of so many steps is hardly (2 %) below that of as many before them, end after as many more, in which
    the learning rate falls to its end; null: take all steps."""
    accumulation: int = 1
    """Videos whose gradients are averaged for one update."""
    schedule: str = "one-cycle"
    """Course of the learning rate: one-cycle or cosine."""
    clip: float = 1.0
    """Largest norm of the gradient; a longer one is scaled down to it."""
    ema: float | None = None
    """Decay of the moving average of the weights that is predicted with, such as 0.99; null: none."""
    evaluate_every: int = 50
    """Steps between evaluations."""
    checkpoint_every: int = 25
    """Steps between checkpoints, and so the most that a killed run has to repeat."""
    memory_budget: float | None = None
    """Gigabytes (10^9 bytes) that the training may take; null: what is free. Where the network needs more as configured, a
    smaller arrangement of it is taken (slabs, adjoint_dtype, state_dtype), or the run stops before its first step."""
    input: str = "device"
    """Where the uint8 video lies during a step: device, or host, in pinned memory, which saves the device 3 bytes a pixel."""
    ahead: int = 2
    """Videos that are decoded and augmented in the background while the network works."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        schedule_named(self.schedule)
        if self.input not in ("device", "host"):
            raise ValueError(f"training.input is {self.input}; choose device or host")
        for name in ("steps", "accumulation", "clip", "evaluate_every", "checkpoint_every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"training.{name} is {getattr(self, name)}; give a positive number")
        for name in ("minutes", "patience"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"training.{name} is {value}; give a positive number, or null for no limit")

    def budget(self, device: torch.device) -> int:
        """Bytes that the training may take."""
        return free_memory(device) if self.memory_budget is None else int(self.memory_budget * 1e9)


class Trainer:
    """Trains `net` on an experiment; everything that changes is in the checkpoint."""

    def __init__(
        self,
        net: RevSegNet,
        experiment: Experiment,
        folder: RunFolder,
        config: TrainingConfig,
        augmentation: AugmentConfig,
        seed: int,
        height: int | None,
    ) -> None:
        self.net, self.experiment, self.folder, self.config = net, experiment, folder, config
        self.augmentation, self.seed, self.height = augmentation, seed, height
        self.device = next(net.parameters()).device
        self.loss = SegmentationLoss(config.loss)
        self.schedule = schedule_named(config.schedule)
        self.optimizer = Optimizer(net, config.optimizer)
        self.average = None if config.ema is None else WeightAverage(net, config.ema)
        self.progress = Progress(config.steps, config.minutes)
        self.losses: list[float] = []
        self.best: float | None = None

    def fit(self, description: str) -> None:
        """Steps until the end, from where the progress stands. `description`: the settings, for the log."""
        if self.progress.finished:
            return
        board = Board(self.folder.tensorboard, self.progress.step, self.config.steps, description)
        items = made_ahead(self._item, self.progress.step * self.config.accumulation, self.config.ahead, self.device)
        with closing(board), closing(items), StopRequest.watched() as stop:
            while not self.progress.finished:
                with self.progress.timed():
                    self._step(items, board)
                    if self._due(self.config.evaluate_every):
                        self._evaluate(board)
                if self._due(self.config.checkpoint_every):
                    checkpoints.save(self._checkpoint(), self.folder.last)
                if stop.signum:
                    break
            else:
                self._evaluate(board)
            checkpoints.save(self._checkpoint(), self.folder.last)
        if stop.signum:
            raise Interrupted(stop.signum, self.progress.step, self.folder.path)

    def resume(self) -> bool:
        """Take over the last checkpoint of the run folder, if there is one."""
        if not self.folder.last.exists():
            return False
        saved = checkpoints.load(self.folder.last)
        checkpoints.check_same_architecture(saved, self.net.config, self.folder.last)
        self.net.load_state_dict(saved.weights)
        self.optimizer.load_state_dict(saved.optimizer)
        if self.average is not None:
            self.average.load(saved.average or saved.weights)
        self.progress.step, self.progress.seconds, self.progress.end = saved.step, saved.seconds, saved.end
        self.losses, self.best = list(saved.losses), saved.best
        return True

    def averaged(self) -> AbstractContextManager[None]:
        """The weights to evaluate and predict with, for the duration of a with block."""
        return nullcontext() if self.average is None else self.average.applied(self.net)

    def _item(self, index: int) -> Augmented:
        generator = generator_for("augmentation", self.seed, index)
        return augment(self.experiment.sample(index), self.augmentation, generator, self.net.multiple, self.device)

    def _step(self, items: Iterator[Augmented], board: Board) -> None:
        started = time.perf_counter()
        batch = [next(items) for _ in range(self.config.accumulation)]
        results = [self._add_gradients(item) for item in batch]
        loss = sum(result.loss.item() for result in results) / len(results)
        norm = self._clip(len(results))
        self._require_finite(loss, norm)
        factor = self.schedule(self.progress.fraction)
        self.optimizer.step(factor)
        self.progress.step += 1
        self._watch(loss)
        if self.average is not None:
            self.average.update(self.net, self.progress.step)
        board.step(
            self.progress.step,
            StepReport(
                loss=loss,
                J=region_similarity(torch.stack([result.statistics for result in results]).sum(0)),
                learning_rates=[rate * factor for rate in self.config.optimizer.rates],
                gradient_norm=norm,
                state_range=max(result.state_range for result in results),
                seconds=time.perf_counter() - started,
                frames=sum(item.volume.shape[1] for item in batch),
                peak_memory=peak_memory(self.device),
            ),
        )

    def _watch(self, loss: float) -> None:
        """Ends the training early where the loss stays as it is."""
        if (patience := self.config.patience) is None:
            return
        self.losses = [*self.losses, loss][-2 * patience :]
        if self.progress.end is None and on_plateau(self.losses, patience):
            self.progress.end = min(self.progress.step + patience, self.config.steps)

    def _add_gradients(self, item: Augmented) -> StepResult:
        """Where states of 16 bits leave their range, once more in 32: nothing was changed yet."""
        if self.config.input == "device":
            item = item.to(self.device)
        try:
            return self._try_step(item)
        except OverflowError as error:
            self._require_wider(error)
        return self._try_step(item)

    def _try_step(self, item: Augmented) -> StepResult:
        try:
            return training_step(self.net, item.volume[None], item.labels[None], item.labelled_frames, self.loss, item.offset)
        except OverflowError as error:
            raise OverflowError(f"step {self.progress.step + 1}: {error}") from error

    def _require_wider(self, reason: OverflowError) -> None:
        """Wider states from here on; raises OverflowError where there are none, or no memory for them."""
        config = widened(self.net.config)
        if config is None:
            raise reason
        size, frames = self.experiment.largest()
        forecast = forecast_training(
            config, size, device=self.device.type, labelled_frames=frames, optimizer=self.config.optimizer.name
        )
        budget = self.config.budget(self.device)
        if forecast.total > budget:
            raise OverflowError(
                f"{reason}; states of 32 bits would take {forecast.total / 1e9:.2f} GB, but {budget / 1e9:.2f} GB may be "
                "used (training.memory_budget)"
            ) from reason
        tqdm.write(
            f"step {self.progress.step + 1}: states left the range of {self.net.config.state_dtype} and go on in "
            f"{config.state_dtype}, forecast {forecast.total / 1e9:.2f} GB"
        )
        self.net.hold_states_(config)

    def _clip(self, count: int) -> float:
        """Mean over the accumulated videos, clipped; returns the norm before clipping."""
        for parameter in self.optimizer.parameters:
            if parameter.grad is not None:
                parameter.grad.div_(count)
        return torch.nn.utils.clip_grad_norm_(self.optimizer.parameters, self.config.clip).item()

    def _require_finite(self, loss: float, norm: float) -> None:
        """Before the update: a weight that is not finite would never be finite again."""
        if math.isfinite(loss) and math.isfinite(norm):
            return
        raise FloatingPointError(
            f"step {self.progress.step + 1}: the loss is {loss}, the gradient's norm {norm}; the weights "
            f"were not changed, and the last checkpoint in {self.folder.path} is good: lower "
            "training.optimizer.kernel_rate, training.optimizer.rate or network.step_size"
        )

    def _due(self, every: int) -> bool:
        """At the end there is an evaluation and a checkpoint in any case."""
        return self.progress.step % every == 0 and not self.progress.finished

    def _evaluate(self, board: Board) -> None:
        with self.averaged():
            evaluation = self.experiment.evaluate(self.net)
        board.evaluation(self.progress.step, evaluation)
        if self.best is None or evaluation.score >= self.best:
            self.best = evaluation.score
            checkpoints.save(self._checkpoint(), self.folder.best)

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            self.net.config,
            self.net.state_dict(),
            None if self.average is None else self.average.weights,
            self.optimizer.state_dict(),
            self.progress.step,
            self.progress.seconds,
            self.best,
            self.height,
            self.experiment.label_count,
            self.progress.end,
            self.losses,
        )

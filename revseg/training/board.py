"""What is seen of a training while it runs: TensorBoard and the progress bar."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from revseg.runs.phases import Phase, phase
from revseg.training.task import Evaluation

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG = logging.getLogger("revseg")

GIGABYTE = 1e9


@dataclass(frozen=True)
class StepReport:
    """One update of the weights."""

    loss: float
    J: float
    """Region similarity of all labelled pixels of the step together."""
    learning_rates: list[float]
    """Rates of the kernels, and of everything else."""
    gradient_norm: float
    state_range: float
    """Largest magnitude of the network's state; nan in floating point."""
    seconds: float
    frames: int
    peak_memory: int


class Board:
    """TensorBoard log and progress bar of one run.

    folder: None: there is no log, as of a process that does not write the run. step: the last one that the checkpoint has: what a
    killed run logged beyond it is logged again. settings: for the log.
    """

    def __init__(self, folder: Path | None, step: int, settings: str) -> None:
        self.folder = folder
        self._bar: Phase | None = None
        self._writer: SummaryWriter | None = None
        self._hook = threading.excepthook
        threading.excepthook = self._unless_told
        if folder is None:
            return
        from torch.utils.tensorboard import SummaryWriter  # only here: it is slow to load

        with self._ended_by_a_full_disk():
            self._writer = SummaryWriter(str(folder), purge_step=step + 1)
            self._writer.add_text("config", "    " + settings.replace("\n", "\n    "), step)

    @contextmanager
    def training(self, step: int, steps: int) -> Iterator[None]:
        """Shows how far the steps have come, for the duration of a with block."""
        with phase("training", total=steps, unit="step", start=step) as self._bar:
            yield

    def step(self, step: int, report: StepReport) -> None:
        """Logs a step."""
        scalars = {
            "training/loss": report.loss,
            "training/J": report.J,
            "training/learning_rate": report.learning_rates[1],
            "training/learning_rate_of_kernels": report.learning_rates[0],
            "training/gradient_norm": report.gradient_norm,
            "training/state_range": report.state_range,
            "speed/frames_per_second": report.frames / report.seconds,
            "speed/seconds_per_step": report.seconds,
            "memory/peak_GB": report.peak_memory / GIGABYTE,
        }
        self._add(scalars, step)
        if self._bar is not None:
            memory = report.peak_memory / GIGABYTE
            text = f"loss {report.loss:.3f}, J {report.J:.3f}, {report.seconds:.2f} s/step, peak {memory:.2f} GB"
            self._bar.note(text, loss=report.loss, J=report.J)
            self._bar.advance()

    def evaluation(self, step: int, evaluation: Evaluation) -> None:
        """Logs measures and pictures."""
        self._add(evaluation.scalars, step)
        with self._ended_by_a_full_disk():
            if self._writer is not None:
                for name, picture in evaluation.pictures.items():
                    self._writer.add_image(name, picture, step, dataformats="HWC")
                self._writer.flush()

    def close(self) -> None:
        """Ends the log."""
        with self._ended_by_a_full_disk():
            if self._writer is not None:
                self._writer.close()
        threading.excepthook = self._hook

    def _add(self, scalars: Mapping[str, float], step: int) -> None:
        with self._ended_by_a_full_disk():
            if self._writer is not None:
                for name, value in scalars.items():
                    self._writer.add_scalar(name, value, step)

    @contextmanager
    def _ended_by_a_full_disk(self) -> Iterator[None]:
        """The training goes on without its curves: whether there is room for a checkpoint, that one tells."""
        try:
            yield
        except OSError as error:
            LOG.warning(f"{self.folder} is not written any more: {error.strerror or error}; free space there")
            self._writer = None

    def _unless_told(self, args: threading.ExceptHookArgs) -> None:
        """TensorBoard's thread hands its error on to the next call, which tells of it: no traceback."""
        ours = args.thread is not None and type(args.thread).__module__.startswith("tensorboard.")
        if not (ours and isinstance(args.exc_value, OSError)):
            self._hook(args)

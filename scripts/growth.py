"""Growth of resident memory and of open files over many steps, and over many predictions in one process.

    python scripts/growth.py [--steps 10000] [--predictions 500]

A toy film, the recommended recipe on a small network. Each in a process of its own; the first fifth, in which libraries load and
heaps settle, is left out. What is told is the slope of a straight line with its standard error: no growth where it is within two.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from harness import arguments
from harness.page import table
from harness.process import Reply, run_all
from harness.settings import compose
from PIL import Image

from revseg.config import PredictConfig, PredictDataConfig
from revseg.labels.masks import write_mask
from revseg.launch.network import new_network, new_trainer
from revseg.launch.task import evidence_store, open_task
from revseg.output.config import PredictOutputConfig
from revseg.predict import predict
from revseg.runs.folder import RunFolder
from revseg.train import train
from revseg.training.board import Board, StepReport

FRAMES, HEIGHT, WIDTH = 8, 32, 48
NETWORK = ["network.channels=4", "network.levels=1", "network.depth=1", "network.rank=4", "data.height=null", "placements=1"]
RECIPE = [*NETWORK, "evidence.flow.least_height=32", "device=cpu", "verbosity=quiet"]
SETTLING = 5
"""The first of so many parts is left out."""

PAGE = os.sysconf("SC_PAGE_SIZE")


class Samples:
    """Resident bytes, open files and threads of this process, time after time."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int]] = []

    def take(self) -> None:
        """Counts what is there now, without what is only waiting to be collected."""
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
        self.rows.append((resident, len(os.listdir("/proc/self/fd")), threading.active_count()))

    def growth(self, every: int) -> Reply:
        """Returns slope and standard error of each for 1,000 steps. every: steps between two samples."""
        kept = np.array(self.rows[len(self.rows) // SETTLING :], float)
        at = every * np.arange(len(kept)) / 1000
        slopes = {name: slope(at, values) for name, values in zip(("memory", "files", "threads"), kept.T, strict=True)}
        return {**slopes, "last": self.rows[-1]}


def slope(at: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Returns the slope of the least squares line, and its standard error."""
    centred = at - at.mean()
    found = float(centred @ (values - values.mean()) / (centred @ centred))
    rest = values - values.mean() - found * centred
    return found, float(np.sqrt(rest @ rest / max(1, len(at) - 2) / (centred @ centred)))


def write_film(folder: Path) -> None:
    """Writes frames and masks of a bright square on noise."""
    random = np.random.default_rng(0)
    (folder / "frames").mkdir()
    for frame in range(FRAMES):
        picture, mask = random.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[8:20, 3 + 3 * frame : 15 + 3 * frame] = 1
        picture[mask > 0] = (220, 160, 40)
        Image.fromarray(picture).save(folder / "frames" / f"{frame:05d}.png")
        write_mask(folder / "masks" / f"{frame:05d}.png", mask)


def steps(count: int, device: str) -> Reply:
    """Takes steps with an evaluation and a checkpoint now and then, as a long training has them."""
    samples, every = Samples(), max(1, count // 100)

    class Watched(Board):
        def step(self, step: int, report: StepReport) -> None:
            super().step(step, report)
            if step % every == 0:
                samples.take()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_film(folder)
        now_and_then = [f"training.{what}={max(2, count // 20)}" for what in ("evaluate_every", "checkpoint_every")]
        data = [f"data.video={folder / 'frames'}", f"data.masks={folder / 'masks'}", "data.labelled_frames=3"]
        config = compose([*data, *RECIPE, *now_and_then, f"training.steps={count}", "training.patience=null"])
        run = RunFolder.create(folder / "run")
        store, cache = evidence_store(config, run)
        task = open_task(config, run, store=store, cache=cache)
        net = new_network(config, task, None, device=torch.device("cpu"))
        with closing(Watched(run.tensorboard, 0, "")) as board:
            new_trainer(config, task, run, net=net).fit(board)
    return samples.growth(every)


def predictions(count: int, device: str) -> Reply:
    """Segments a video with labels again and again."""
    samples = Samples()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_film(folder)
        data = [f"data.video={folder / 'frames'}", f"data.masks={folder / 'masks'}", "data.labelled_frames=3"]
        train(compose([*data, *RECIPE, "training.steps=2", f"run_dir={folder / 'run'}"]))
        video = PredictDataConfig(video=str(folder / "frames"), masks=str(folder / "masks"))
        for number in range(count):
            output = folder / f"out-{number}"
            where = PredictOutputConfig(folder=str(output))
            predict(PredictConfig(checkpoint=str(folder / "run"), output=where, device="cpu", data=video))
            shutil.rmtree(output)
            samples.take()
    return samples.growth(every=1)


def main() -> None:
    given = parse()
    cases: dict[str, tuple[Callable[..., Reply], int]] = {
        f"{given.steps} steps": (steps, given.steps),
        f"{given.predictions} predictions": (predictions, given.predictions),
    }
    rows = []
    for name, (function, count) in cases.items():
        if not count:
            continue
        ((_, found),) = run_all("growth", function, {name: (count,)}, device="cpu")
        bytes_, files, threads = found["last"]
        rows.append([name, *(f"{value / unit:.3f} +- {error / unit:.3f}" for (value, error), unit in units(found))])
        rows[-1] += [f"{bytes_ / 1e6:.0f} MB, {files} files, {threads} threads"]
    print(table(["for each 1,000 of", "memory, MB", "open files", "threads", "at the end"], rows))


def units(found: Reply) -> list[tuple[tuple[float, float], float]]:
    return [(found["memory"], 1e6), (found["files"], 1), (found["threads"], 1)]


def parse() -> argparse.Namespace:
    made = arguments.parser(__doc__)
    made.add_argument("--steps", type=int, default=10_000, help="of a training (default: 10000; 0: none)")
    made.add_argument("--predictions", type=int, default=500, help="in one process (default: 500; 0: none)")
    return made.parse_args()


if __name__ == "__main__":
    main()

"""From a video and the masks of a few frames to the masks of all frames, in one call."""

from __future__ import annotations

import logging
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from revseg.cli.configured import configured
from revseg.cli.logs import warnings_logged
from revseg.cli.main import TRAIN
from revseg.device import choose_device
from revseg.labels.masks import read_mask, write_mask
from revseg.runs.folder import RunFolder
from revseg.runs.interruption import Interrupted
from revseg.train import train
from revseg.video.names import identity
from revseg.video.slices import frame_files

Array = NDArray[np.uint8]


def segment(
    video: str | Path | Array,
    masks: str | Path | Mapping[int, Array],
    *,
    height: int | None = 96,
    steps: int | None = None,
    device: str = "auto",
    run_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Array:
    """Trains a network on a video with a few labelled frames, as revseg-train does, and returns the masks of all its frames.

    video: a file, a folder of frames, a volume, or an array (T, H, W) or (T, H, W, 3). masks: whatever data.masks takes, or masks
    (H, W) by the numbers of their frames, counted from 0: 0 is background, 1, 2, ... are objects, 255 is unknown.
    height: of the frames that the network sees, None: that of the video. steps: of the training, None: as the recipe says.
    device: auto, cpu, cuda, cuda:1, ... run_dir: a folder to keep the run in, or to go on with; None: none is kept.
    overrides: any other settings of revseg-train, as they are typed there: ["evidence=fast", "data.end=1:30"].

    Returns (T, H, W) uint8 at the video's own size. It prints nothing: the logger "revseg" has what the command would print.
    Raises ValueError or OSError in one sentence for what cannot be used.
    """
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="revseg-")))
        source = Path(video) if isinstance(video, (str, Path)) else _written_video(video, temporary / "video.npy")
        labels = Path(masks) if isinstance(masks, (str, Path)) else _written_masks(masks, temporary / "labels", source)
        words = [f"data.video={source}", f"data.masks={labels}", f"data.height={'null' if height is None else height}"]
        words += [f"device={device}", f"run_dir={run_dir or temporary / 'run'}"]
        words += [f"training.steps={steps}"] if steps is not None else []
        words += ["evidence.cache=false"] if run_dir is None else []
        stack.enter_context(_quiet())
        config, given = configured(TRAIN, [*words, *overrides])
        stack.callback(torch.set_num_threads, torch.get_num_threads())  # in a container, beside other programs it takes fewer
        stack.enter_context(_random_numbers_as_they_were(choose_device(config.device)))
        try:
            train(config, given)
        except Interrupted as error:
            if error.signum != signal.SIGINT:
                raise
            raise KeyboardInterrupt from error  # what Ctrl-C is in Python
        written = (RunFolder(Path(config.run_dir)).predictions / "masks").glob("*.png")
        in_order = sorted(written, key=lambda path: identity(path.stem))
        return np.stack([read_mask(path, "davis2017", ids=True) for path in in_order])


def _written_video(video: Array, path: Path) -> Path:
    frames = np.asarray(video)
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[3] != 3) or not frames.size:
        raise ValueError(
            f"the video is an array of shape {frames.shape} and type {frames.dtype}: give uint8, (T, H, W) or (T, H, W, 3), or "
            "save other volumes with numpy.save and give the file"
        )
    np.save(path, frames)
    return path


def _written_masks(masks: Mapping[int, Array], folder: Path, video: Path) -> Path:
    names = [path.stem for path in frame_files(video)] if video.is_dir() else None
    if not masks:
        raise ValueError("there is no mask: give one of the first and of the last frame, {0: first, 99: last}")
    for frame, mask in masks.items():
        values = np.asarray(mask)
        if values.ndim != 2 or values.dtype.kind not in "bui" or values.min(initial=0) < 0 or values.max(initial=0) > 255:
            raise ValueError(
                f"the mask of frame {frame} has shape {values.shape} and type {values.dtype}: give whole numbers (H, W), 0 for "
                "background, 1, 2, ... for objects, 255 for unknown"
            )
        if frame < 0 or (names is not None and frame >= len(names)):
            raise ValueError(f"there is no frame {frame} in {video}: frames are counted from 0")
        write_mask(folder / f"{names[frame] if names else f'{frame:05d}'}.png", values.astype(np.uint8))
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps warnings off stderr where the program has set up no logging."""
    handler, logger = logging.NullHandler(), logging.getLogger("revseg")
    logger.addHandler(handler)
    try:
        with warnings_logged():
            yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _random_numbers_as_they_were(device: torch.device) -> Iterator[None]:
    """Training sets the seed of PyTorch's own random numbers."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield

"""A video that is segmented in seconds, and a network for it."""

from pathlib import Path

import numpy as np
from PIL import Image

from revseg.labels.masks import write_mask

NETWORK = ["network.channels=2", "network.levels=1", "network.depth=1", "network.rank=4"]
FRAMES, HEIGHT, WIDTH = 8, 20, 30


def write_video(folder: Path, objects: int = 1) -> tuple[Path, Path]:
    """A folder of frames, and of masks for all of them: a bright square runs over a dark background."""
    frames, masks = folder / "frames", folder / "masks"
    frames.mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(FRAMES):
        picture = random.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for number in range(objects):
            at = slice(4 + 8 * number, 10 + 8 * number), slice(3 + 2 * index, 11 + 2 * index)
            picture[at] = (220, 180 * number, 90)
            mask[at] = number + 1
        Image.fromarray(picture).save(frames / f"{index:05d}.png")
        write_mask(masks / f"{index:05d}.png", mask)
    return frames, masks


def arguments(folder: Path, run_dir: Path, *more: str) -> list[str]:
    """Of revseg-train, for the video that `write_video` wrote to the folder."""
    data = [f"data.video={folder / 'frames'}", f"data.masks={folder / 'masks'}", "data.labelled_frames=3"]
    return [
        *data,
        *NETWORK,
        "data.height=null",
        "evidence.flow.least_height=40",
        "evidence.looks.power=0",  # a classifier would take longer than the rest
        "device=cpu",
        f"run_dir={run_dir}",
        *more,
    ]

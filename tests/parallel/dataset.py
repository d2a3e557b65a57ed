"""A dataset of videos that are segmented in a moment, in the layout of DAVIS 2016."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

FRAMES, HEIGHT, WIDTH = 4, 16, 24
TRAINED, MEASURED = ("a", "b", "c", "d"), ("e", "f", "g")

SETTINGS = (
    *("experiment=davis", "evidence=none", "device=cpu", "data.height=null"),
    *("network.channels=2", "network.levels=1", "network.depth=1", "network.rank=4", "network.convolution_dtype=float32"),
    # A grid would round a last digit up or down now and then, and the two trainings part.
    *("network.arithmetic=float", "network.state_dtype=float32", "network.grid_bits=null"),
    *("training.evaluate_every=null", "training.ahead=1"),
)


def write_dataset(root: Path) -> Path:
    for number, name in enumerate((*TRAINED, *MEASURED)):
        random = np.random.default_rng(number)
        frames, masks = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
        frames.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index in range(FRAMES):
            picture = random.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            at = slice(1 + number, 9 + number), slice(2 + 3 * index, 10 + 3 * index)
            picture[at], mask[at] = (220, 30 * number, 90), 255
            Image.fromarray(picture).save(frames / f"{index:05d}.jpg", quality=95)
            Image.fromarray(mask).save(masks / f"{index:05d}.png")
    lists = root / "ImageSets" / "2016"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(TRAINED))
    (lists / "val.txt").write_text("\n".join(MEASURED))
    return root

"""Writes docs/images/alpha.jpg from the film of scripts/alpha_edges.py: python docs/make_alpha_picture.py FOLDER

In columns a piece of a frame, true alpha, the mask, alpha as it is written, and the object on a colour.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from revseg.labels.masks import read_mask

IMAGE = Path(__file__).resolve().parent / "images" / "alpha.jpg"
FRAME = 18
LEFT, TOP, SIDE, MARGIN = 452, 110, 220, 6
GROUND = np.array((40, 90, 200), np.float32)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("make_alpha_picture: give the folder of scripts/alpha_edges.py, with a run in it that wrote alpha")
    folder, name = Path(sys.argv[1]), f"{FRAME:05d}.png"
    out = folder / "run" / "predictions"
    written = np.array(Image.open(out / "alpha" / name))
    share = written[..., 3:].astype(np.float32) / 255
    columns = [
        np.array(Image.open(folder / "frames" / name)),
        grey(np.array(Image.open(folder / "truth" / name))),
        grey(255 * (read_mask(out / "masks" / name, "davis2017") > 0)),
        grey(written[..., 3]),
        np.rint(share * written[..., :3] + (1 - share) * GROUND).astype(np.uint8),
    ]
    canvas = np.full((SIDE, len(columns) * (SIDE + MARGIN) - MARGIN, 3), 255, np.uint8)
    for number, picture in enumerate(columns):
        left = number * (SIDE + MARGIN)
        canvas[:, left : left + SIDE] = picture[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    Image.fromarray(canvas).save(IMAGE, quality=88)
    print(IMAGE)


def grey(plane: np.ndarray) -> np.ndarray:
    return np.repeat(plane[..., None], 3, axis=2).astype(np.uint8)


if __name__ == "__main__":
    main()

"""Writes the pictures of the documentation from a run of the demo: python docs/make_pictures.py runs/demo

overlay.png: three frames, and below them the same frames with the masks that the run predicted.
label.png: a labelled frame, and its mask in the colours of the palette.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from revseg.labels.masks import read_mask
from revseg.labels.palette import PASCAL_PALETTE
from revseg.output.overlay import overlay
from revseg.video.read import iterate_frames

IMAGES = Path(__file__).resolve().parent / "images"
SHOWN = (0.25, 0.45, 0.85)
"""Which frames overlay.png shows, as shares of the film."""
LABELLED = 13
"""The frame of label.png."""
MARGIN = 4

Picture = NDArray[np.uint8]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("make_pictures: give the folder of a run of experiment=demo")
    run = Path(sys.argv[1])
    frames = [pixels for _, _, pixels in iterate_frames(run / "data" / "demo.mp4")]
    shown = [round(share * (len(frames) - 1)) for share in SHOWN]
    masks = [read_mask(run / "predictions" / "masks" / f"{frame:05d}.png", "davis2017") for frame in shown]
    drawn = [overlay(frames[frame], mask) for frame, mask in zip(shown, masks, strict=True)]
    save(grid([[frames[frame] for frame in shown], drawn]), "overlay.png")
    label = read_mask(run / "data" / "masks" / f"{LABELLED:05d}.png", "davis2017")
    save(grid([[frames[LABELLED], PASCAL_PALETTE[label]]]), "label.png")


def grid(rows: list[list[Picture]]) -> Picture:
    """Pictures of one size in rows and columns, with white between them."""
    height, width = rows[0][0].shape[:2]
    canvas = np.full((len(rows) * (height + MARGIN) - MARGIN, len(rows[0]) * (width + MARGIN) - MARGIN, 3), 255, np.uint8)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            top, left = row * (height + MARGIN), column * (width + MARGIN)
            canvas[top : top + height, left : left + width] = picture
    return canvas


def save(picture: Picture, name: str) -> None:
    Image.fromarray(picture).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG).save(
        IMAGES / name, optimize=True
    )
    print(IMAGES / name)


if __name__ == "__main__":
    main()

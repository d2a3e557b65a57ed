"""Labels of a video: a folder with a PNG for each labelled frame, or one volume, a .npy or TIFF file (T, H, W) of whole numbers.

In a volume 255 is unknown, so that a few points, scribbles or boreholes will do. A frame that shows any label is labelled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.labels.assignment import masks_by_frame
from revseg.labels.files import check_labels
from revseg.labels.frames import Frames
from revseg.labels.masks import read_mask
from revseg.labels.palette import VOID
from revseg.labels.suspicion import tell_suspicion
from revseg.labels.values import is_soft
from revseg.video.folder import some
from revseg.video.names import identity, tell_once
from revseg.video.slices import Slices, open_slices

Masks = tuple[Tensor, tuple[int, ...]]
"""(L, H, W) uint8 at the video's own size, and the positions of these frames."""


def read_labels(path: Path, frames: Frames, encoding: str) -> Masks:
    """Returns the masks of a video's labelled frames. Raises ValueError in one sentence where they do not fit it."""
    check_labels(path)
    if not path.is_dir():
        if encoding != "davis2017":
            raise ValueError(f"data.encoding={encoding} is for PNG masks, {path} is a volume of object ids: leave it out")
        return _of_volume(open_slices(path, labels=True), frames)
    return _of_folder(path, frames, encoding)


def _of_volume(slices: Slices, frames: Frames) -> Masks:
    rows = _rows(slices, frames)
    labelled = [position for position, row in enumerate(rows) if (_labels(slices, row) != VOID).any()]
    if not labelled:
        raise ValueError(f"volume of labels {slices.path} is 255, unknown, throughout: label a few voxels of {frames.source}")
    masks = torch.empty(len(labelled), *frames.native_size, dtype=torch.uint8)
    for mask, position in zip(masks, labelled, strict=True):
        values = _labels(slices, rows[position])
        if is_soft(values):
            raise ValueError(
                f"slice {rows[position]} of volume of labels {slices.path} has soft edges, with values between 0 and 255: set "
                "all values from 128 on to 1 and the others to 0"
            )
        mask.copy_(torch.from_numpy(values))
    tell_suspicion(masks, slices.path)
    return masks, tuple(labelled)


def _rows(slices: Slices, frames: Frames) -> list[int]:
    """The slice of each frame; a frame that could not be decoded has a slice, too."""
    height, width, channels = slices.shape
    names = sorted([*frames.names, *frames.lost], key=identity)
    there = len(slices.names)
    if channels != 1 or (height, width) != frames.native_size or there < len(names) or (there > len(names) and not frames.cut):
        shape = (there, height, width, channels)[: 3 if channels == 1 else 4]
        raise ValueError(
            f"volume of labels {slices.path} has shape {shape}, but {frames.source} is (T, H, W) = "
            f"{(len(names), *frames.native_size)}: give a label for each of its voxels, 255 where it is unknown"
        )
    if slices.dtype.kind not in "bui":
        raise ValueError(f"volume of labels {slices.path} has values of type {slices.dtype}: save it as whole numbers")
    position = {name: number for number, name in enumerate(names)}
    return [position[name] for name in frames.names]


def _labels(slices: Slices, row: int) -> NDArray[np.uint8]:
    values = slices.read(row)[..., 0]
    least, most = int(values.min()), int(values.max())
    if least < 0 or most > VOID:
        raise ValueError(
            f"volume of labels {slices.path} holds {least if least < 0 else most} in slice {row}: labels are "
            "0 to 254, and 255 is unknown"
        )
    return np.array(values, np.uint8)


def _of_folder(folder: Path, frames: Frames, encoding: str) -> Masks:
    files = masks_by_frame(folder, frames)
    native = torch.empty(len(files), *frames.native_size, dtype=torch.uint8)
    for row, path in zip(native, files.values(), strict=True):
        mask = read_mask(path, encoding, ids=True)
        if mask.shape != frames.native_size:
            raise ValueError(
                f"mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels, but its frame in {frames.source} is "
                f"{frames.native_size[1]} x {frames.native_size[0]}: save it at the size of the frame"
            )
        row.copy_(torch.from_numpy(mask))
    if not any(((mask > 0) & (mask < VOID)).any() for mask in native):  # nothing shows that values are ids
        for path in files.values():
            read_mask(path, encoding)
    known = [row for row, mask in enumerate(native) if (mask != VOID).any()]
    if not known:
        raise ValueError(f"the masks in {folder} are 255, void, throughout: label some pixels of {frames.source}")
    names = [path.name for path in files.values()]
    if void := [name for row, name in enumerate(names) if row not in known]:
        tell_once(f"{folder}: {some(void)} void all over, and labels nothing")
    tell_suspicion(native[known], folder, [names[row] for row in known])
    return native[known], tuple(np.array(list(files))[known].tolist())

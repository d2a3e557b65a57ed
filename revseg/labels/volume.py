"""Labels as one volume, a .npy or TIFF file (T, H, W) of whole numbers, 255 where nothing is known."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg import storage
from revseg.labels.frames import Frames
from revseg.labels.palette import VOID
from revseg.labels.suspicion import tell_suspicion
from revseg.labels.values import is_soft
from revseg.video.slices import Slices, format_of, open_slices


def read_volume(path: Path, frames: Frames) -> tuple[Tensor, tuple[int, ...]]:
    """Returns the masks of the slices that show any label, at the video's own size, and their positions."""
    slices = open_slices(path, labels=True)
    rows = _rows(slices, frames)
    labelled = [position for position, row in enumerate(rows) if (_labels(slices, row) != VOID).any()]
    if is_layer(slices):
        drawn = [position for position in labelled if _labels(slices, rows[position]).any()]
        if drawn and len(drawn) < len(labelled):
            told = f"labels {path}: a labels layer as napari writes it; {len(labelled) - len(drawn)} frames that show no object"
            logging.getLogger(__name__).info(f"{told} are not labels")
            labelled = drawn
    if not labelled:
        raise ValueError(f"volume of labels {slices.path} is 255, unknown, throughout: label a few voxels of {frames.source}")
    masks = storage.empty(len(labelled), *frames.native_size)
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


def is_layer(slices: Slices) -> bool:
    """Whether numbers are of 32 bits or more in a TIFF file, as napari writes them: there 0 is what nobody has drawn on."""
    return format_of(slices.path) == "tif" and slices.dtype.kind in "ui" and slices.dtype.itemsize >= 4


def _rows(slices: Slices, frames: Frames) -> list[int]:
    """The slice of each frame; a frame that could not be decoded has a slice, too."""
    height, width, channels = slices.shape
    there, places = len(slices.names), frames.places
    least = places[-1] + 1 if frames.count is None else frames.count
    if channels != 1 or (height, width) != frames.native_size or there < least or there > (frames.count or there):
        shape = (there, height, width, channels)[: 3 if channels == 1 else 4]
        raise ValueError(
            f"volume of labels {slices.path} has shape {shape}, but {frames.source} is (T, H, W) = "
            f"{(least, *frames.native_size)}: give a label for each of its voxels, 255 where it is unknown"
        )
    if slices.dtype.kind not in "bui":
        raise ValueError(f"volume of labels {slices.path} has values of type {slices.dtype}: save it as whole numbers")
    return list(places)


def _labels(slices: Slices, row: int) -> NDArray[np.uint8]:
    values = slices.read(row)[..., 0]
    least, most = int(values.min()), int(values.max())
    if least < 0 or most > VOID:
        raise ValueError(
            f"volume of labels {slices.path} holds {least if least < 0 else most} in slice {row}: labels are "
            "0 to 254, and 255 is unknown"
        )
    return np.array(values, np.uint8)

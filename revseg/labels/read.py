"""Labels of a video: a folder with a PNG for each labelled frame, or one volume, a .npy or TIFF file (T, H, W) of whole numbers.

In a volume 255 is unknown, so that a few points, scribbles or boreholes will do. A frame that shows any label is labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.labels.masks import read_mask
from revseg.labels.palette import VOID
from revseg.video.slices import Slices, format_of, open_slices

Masks = tuple[Tensor, tuple[int, ...]]
"""(L, H, W) uint8 at the video's own size, and the positions of these frames."""


@dataclass(frozen=True)
class Frames:
    """What a video says of its frames."""

    source: Path
    names: tuple[str, ...]
    native_size: tuple[int, int]
    lost: tuple[str, ...] = ()
    """Names of frames that could not be decoded."""
    cut: bool = False
    """Whether there may be more frames than were read."""


def read_labels(path: Path, frames: Frames, encoding: str) -> Masks:
    """Returns the masks of a video's labelled frames. Raises ValueError in one sentence where they do not fit it."""
    if not path.is_dir() and format_of(path) is not None:
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
        mask.copy_(torch.from_numpy(_labels(slices, rows[position])))
    return masks, tuple(labelled)


def _rows(slices: Slices, frames: Frames) -> list[int]:
    """The slice of each frame; a frame that could not be decoded has a slice, too."""
    height, width, channels = slices.shape
    numbered = all(name.isdecimal() for name in frames.names)
    names = sorted([*frames.names, *frames.lost], key=lambda name: (int(name) if numbered else 0, name))
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
    files = _masks_by_frame(folder, frames)
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
    return native, tuple(files)


def _masks_by_frame(masks: Path, frames: Frames) -> dict[int, Path]:
    """Returns the position in the volume and the mask of each labelled frame, in order."""
    if not masks.is_dir():
        raise ValueError(f"folder of masks {masks} does not exist: make it, with a PNG per labelled frame")
    positions = {_key(name): position for position, name in enumerate(frames.names)}
    found: dict[int, Path] = {}
    for path in sorted(masks.glob("*.png")):
        key = _key(path.stem)
        if key in positions:
            if positions[key] in found:
                raise ValueError(f"{path} and {found[positions[key]]} are masks of one frame: remove one")
            found[positions[key]] = path
        elif key not in map(_key, frames.lost) and not (frames.cut and _follows(key, frames.names[-1])):
            raise ValueError(
                f"mask {path} is for a frame that does not exist: {frames.source} has frames {frames.names[0]} to "
                f"{frames.names[-1]}, and a mask has the name of its frame; rename or remove it"
            )
    if not found:
        raise ValueError(
            f"no labelled frame: {masks} has no PNG for any of the frames {frames.names[0]} to "
            f"{frames.names[-1]} of {frames.source}; save the mask of the first as {frames.names[0]}.png"
        )
    return dict(sorted(found.items()))


def _key(name: str) -> int | str:
    """12.png is the mask of frame 00012."""
    return int(name) if name.isdecimal() else name


def _follows(key: int | str, last: str) -> bool:
    """Whether a mask may belong to a frame after the last that was read."""
    end = _key(last)
    return not (isinstance(key, int) and isinstance(end, int)) or key > end

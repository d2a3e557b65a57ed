"""The folder of a segmented video.

<folder>/masks/00000.png ...     8-bit palette, the video's own size, named like the frames
        /overlay.mp4             the video with the masks on it: same size, frames and timestamps
        /preview.gif             a few frames of the overlay, small
        /masks.npy, masks.tif    all masks as one volume (T, H, W), where the video is one in NumPy's format or in TIFF
        /prediction.json         how it was made, and the J expected of each frame; marks the folder as ours
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from revseg.labels.masks import read_mask, write_mask
from revseg.output.overlay import overlay
from revseg.output.preview import Preview
from revseg.runs.atomic import replacing
from revseg.runs.phases import phase
from revseg.segment.segmenter import Segmented
from revseg.video.read import iterate_frames, probe
from revseg.video.scale import Scale
from revseg.video.slices import format_of
from revseg.video.stack import write_array, write_pages
from revseg.video.write import VideoWriter

MARK = "prediction.json"


def claim(folder: Path, video: Path) -> None:
    """Before any work: the folder can be written, and nothing of somebody else's lies where ours goes.

    Hand-made labels in a folder `masks` look just like ours: they must not be overwritten, nor the video
    itself.
    """
    masks, volumes = folder / "masks", [folder / f"masks.{kind}" for kind in ("npy", "tif")]
    ours = [masks, folder / "overlay.mp4", *volumes]
    if video.exists() and any(path.exists() and path.samefile(video) for path in ours):
        raise ValueError(f"{video} lies where the prediction goes; choose another folder with output=")
    theirs = [masks] if masks.is_dir() and any(masks.iterdir()) else [path for path in volumes if path.exists()]
    if theirs and not (folder / MARK).exists():
        what = "holds files" if theirs[0].is_dir() else "is a file"
        raise ValueError(f"{theirs[0]} {what} that revseg did not write; choose another folder with output=")
    try:
        masks.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write {folder}: {error.strerror}; choose another folder with output=") from error
    _write_note(folder, {"video": str(video), "complete": False})


@dataclass(frozen=True)
class Source:
    """The video that was segmented."""

    path: Path
    frame_rate: Fraction
    names: Sequence[str]
    """Names of the frames, and so of their masks."""
    on_error: str = "stop"
    axes: str | None = None
    scale: Scale | None = None
    """How the values of a volume became bytes."""


def write_prediction(frames: Iterable[Segmented], source: Source, folder: Path, *, note: dict[str, Any]) -> list[float]:
    """Masks one by one as they come, then the overlay from the video decoded a second time.

    note: what more to say in prediction.json. Returns the J expected of each frame.
    """
    claim(folder, source.path)
    expected = []
    with phase("segmenting", total=len(source.names)) as bar:
        for name, (mask, similarity) in zip(source.names, frames, strict=True):
            write_mask(_mask_file(folder, name), mask)
            expected.append(similarity)
            bar.advance()
    _remove_others(folder, source.names)
    _write_overlay(source, folder)
    _write_volume(source, folder)
    facts = {"video": str(source.path), "complete": True, "frames": len(source.names), **note}
    _write_note(folder, facts | {"expected_J": expected})
    return expected


def _write_overlay(source: Source, folder: Path) -> None:
    frames = islice(_pictures(source), len(source.names))
    preview = Preview(len(source.names), source.frame_rate)
    found, path = probe(source.path, source.axes), folder / "overlay.mp4"
    if found.sound:
        remedy = f"ffmpeg -i {path} -i {source.path} -map 0:v -map 1:a -c copy -shortest sound.mp4 adds it"
        logging.getLogger(__name__).info(f"{path} is without the sound of {source.path}: {remedy}")
    writer_of_it = VideoWriter(path, source.frame_rate, sample_aspect_ratio=found.sample_aspect_ratio)
    with phase("writing", total=len(source.names)) as bar, writer_of_it as writer:
        for index, seconds, frame in frames:
            mask = read_mask(_mask_file(folder, source.names[index]), "davis2017")
            drawn = overlay(frame, mask)
            writer.write(drawn, seconds)
            preview.add(index, drawn)
            bar.advance()
    preview.write(folder / "preview.gif")


def _pictures(source: Source) -> Iterator[tuple[int, Fraction, NDArray[np.uint8]]]:
    return iterate_frames(source.path, on_error=source.on_error, axes=source.axes, scale=source.scale)


def _write_volume(source: Source, folder: Path) -> None:
    """Writes the masks once more, as a volume in the format of the video."""
    kind = format_of(source.path)
    for other in {"npy", "tif"} - {kind}:
        (folder / f"masks.{other}").unlink(missing_ok=True)
    if kind is None:
        return
    masks = (read_mask(_mask_file(folder, name), "davis2017") for name in source.names)
    with replacing(folder / f"masks.{kind}") as temporary:
        if kind == "npy":
            write_array(temporary, masks, count=len(source.names))
        else:
            write_pages(temporary, masks)


def _mask_file(folder: Path, name: str) -> Path:
    return folder / "masks" / f"{name}.png"


def _remove_others(folder: Path, names: Sequence[str]) -> None:
    """Removes masks of a longer video that was segmented into the same folder before."""
    kept = set(names)
    for path in (folder / "masks").glob("*.png"):
        if path.stem not in kept:
            path.unlink()


def _write_note(folder: Path, note: dict[str, Any]) -> None:
    with replacing(folder / MARK) as temporary:
        temporary.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")

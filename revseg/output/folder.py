"""The folder of a segmented video.

<folder>/masks/00000.png ...     8-bit palette, the video's own size, named like the frames
        /overlay.mp4             the video with the masks on it: same size, frames and timestamps
        /preview.gif             a few frames of the overlay, small
        /masks.npy, masks.tif    all masks as one volume (T, H, W), where the video is one in NumPy's format or in TIFF
        /prediction.json         how it was made, and the J expected of each frame; marks the folder as ours

All of it is made in <folder>/.new and moved when it is whole: what was there before stays until then.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
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
from revseg.runs import lock
from revseg.runs.atomic import make_folder, replacing, sync_folder
from revseg.runs.phases import phase
from revseg.runs.provenance import digest_of
from revseg.segment.segmenter import Segmented
from revseg.video.read import iterate_frames, probe
from revseg.video.scale import Scale
from revseg.video.slices import format_of
from revseg.video.stack import write_array, write_pages
from revseg.video.write import VideoWriter

MARK, BEGUN = "prediction.json", "begun.json"
NEW = ".new"
"""Where a prediction is made."""

VOLUMES = ("npy", "tif")
"""Formats of all masks as one volume."""


def name_of(video: Path) -> str:
    """The name of a video's results: a file's without its suffix, a folder's whole name, also where it was typed as `.`."""
    whole = Path(os.path.abspath(video))
    return (whole.name if whole.is_dir() else whole.stem) or "root"


def check(folder: Path, video: Path, digest: str | None = None) -> None:
    """Raises ValueError where something of somebody else's, or of another video, lies where the masks of a video go.

    Hand-made labels in a folder `masks` look just like ours: they must not be overwritten, nor the video
    itself. Two videos may have one name: what counts is what is in them.
    digest: that of the video, where it is known already (``digest_of``).
    """
    masks, volumes = folder / "masks", [folder / f"masks.{kind}" for kind in VOLUMES]
    ours = [masks, folder / "overlay.mp4", *volumes]
    if video.exists() and any(path.exists() and path.samefile(video) for path in ours):
        raise ValueError(f"{video} lies where the prediction goes; choose another folder with output=")
    theirs = [masks] if masks.is_dir() and any(masks.iterdir()) else [path for path in volumes if path.exists()]
    note = _read_note(folder / MARK)
    if theirs and note is None:
        what = "holds files" if theirs[0].is_dir() else "is a file"
        raise ValueError(f"{theirs[0]} {what} that revseg did not write; choose another folder with output=")
    if note is not None and not _is_of(note, video, digest):
        raise ValueError(
            f"{folder} holds the masks of {note['video']}, which is not {video} as it is now; choose another folder with "
            "output=, or remove it"
        )


def _read_note(path: Path) -> dict[str, Any] | None:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        note = None
    if not (isinstance(note, dict) and isinstance(note.get("video"), str)):
        raise ValueError(f"{path} is not what revseg wrote; choose another folder with output=, or remove it")
    return note


def _is_of(note: dict[str, Any], video: Path, digest: str | None) -> bool:
    """Whether a prediction is one of a video; of old ones, which do not say what is in theirs, whether it lay in its place."""
    written = note.get("sha256")
    if written is None:
        return os.path.abspath(note["video"]) == os.path.abspath(video)
    return bool(written == (digest or digest_of(video)))


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
    """Masks one by one as they come, then the overlay from the video decoded a second time; call it under a lock.

    note: what more to say in prediction.json. Returns the J expected of each frame.
    """
    digest = digest_of(source.path)
    check(folder, source.path, digest)
    new, expected, found = _new(folder), list[float](), probe(source.path, source.axes)
    facts = {"video": os.path.abspath(source.path), "sha256": digest}
    try:
        with phase("segmenting", total=len(source.names)) as bar:
            for name, (mask, similarity) in zip(source.names, frames, strict=True):
                write_mask(_mask_file(new, name), mask)
                expected.append(similarity)
                bar.advance()
        _write_overlay(source, new, found.sample_aspect_ratio)
        _write_volume(source, new)
        _write_note(new / BEGUN, facts | {"complete": False})
        whole = facts | {"complete": True, "frames": len(source.names), **note, "expected_J": expected}
        _write_note(new / MARK, whole)
        _move(new, folder, source.names)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if found.sound:
        path = folder / "overlay.mp4"
        remedy = f"ffmpeg -i {path} -i {source.path} -map 0:v -map 1:a -c copy -shortest sound.mp4 adds it"
        logging.getLogger(__name__).info(f"{path} is without the sound of {source.path}: {remedy}")
    return expected


def _new(folder: Path) -> Path:
    """An empty folder to write into, without what a process that was killed left there."""
    new = folder / NEW
    try:
        lock.check_not_removed(new)
        shutil.rmtree(new, ignore_errors=True)
        make_folder(new)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(f"cannot write {folder}: {error.strerror}; choose another folder with output=") from error
    return new


def _move(new: Path, folder: Path, names: Sequence[str]) -> None:
    """Puts what is whole in its place. It takes no space: a disk that is full harms nothing. Killed in between, it says so."""
    try:
        os.replace(new / BEGUN, folder / MARK)
        make_folder(folder / "masks")
        sync_folder(folder)
        for name in names:
            os.replace(_mask_file(new, name), _mask_file(folder, name))
        _remove_others(folder, names)
        sync_folder(folder / "masks")
        for file in ("overlay.mp4", "preview.gif", *(f"masks.{kind}" for kind in VOLUMES)):
            if (new / file).exists():
                os.replace(new / file, folder / file)
            else:
                (folder / file).unlink(missing_ok=True)
        sync_folder(folder)
        os.replace(new / MARK, folder / MARK)
        sync_folder(folder)
    except OSError as error:
        lock.check_not_removed(folder)
        raise OSError(f"cannot write {folder}: {error.strerror}; choose another folder with output=") from error


def _write_overlay(source: Source, folder: Path, sample_aspect_ratio: Fraction) -> None:
    frames = islice(_pictures(source), len(source.names))
    preview = Preview(len(source.names), source.frame_rate)
    film = VideoWriter(folder / "overlay.mp4", source.frame_rate, sample_aspect_ratio=sample_aspect_ratio)
    with phase("writing", total=len(source.names)) as bar, film as writer:
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


def _write_note(path: Path, note: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")

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
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revseg.evidence.ahead import map_ahead
from revseg.labels.masks import read_mask, write_mask
from revseg.output.album import Album
from revseg.output.film import Film
from revseg.output.source import Source
from revseg.runs import lock
from revseg.runs.atomic import make_folder, replacing, sync_files, sync_folder
from revseg.runs.phases import phase
from revseg.runs.provenance import digest_of
from revseg.segmentation.segmenter import Segmented
from revseg.video.slices import format_of
from revseg.video.stack import write_array, write_pages

MARK, BEGUN = "prediction.json", "begun.json"
NEW = ".new"
"""Where a prediction is made."""

VOLUMES = ("npy", "tif")
"""Formats of all masks as one volume."""

WRITERS, AHEAD = 2, 4
"""Threads that write masks, and masks that wait to be written, or to be drawn."""


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
class Prediction:
    """What is known of masks that were written."""

    expected: list[float]
    """J of each frame, by the probabilities alone."""
    album: Album


def write_prediction(
    frames: Iterable[Segmented], source: Source, folder: Path, *, labelled: Collection[int] = (), note: dict[str, Any]
) -> Prediction:
    """Writes masks and overlay as the masks come, in threads; call it under a lock.

    labelled: frames with a label of their own. note: what more to say in prediction.json.
    """
    sha256 = source.sha256 or digest_of(source.path)
    check(folder, source.path, sha256)
    new = _new(folder)
    facts = {"video": os.path.abspath(source.path), "sha256": sha256}
    try:
        made = _write_frames(frames, source, new, labelled=labelled)
        _write_note(new / BEGUN, facts | {"complete": False})
        whole = facts | {"complete": True, "frames": len(source.names), "labelled_frames": sorted(labelled), **note}
        _write_note(new / MARK, whole | {"expected_J": made.expected})
        _move(new, folder, source.names)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if source.sound:
        path = folder / "overlay.mp4"
        remedy = f"ffmpeg -i {path} -i {source.path} -map 0:v -map 1:a -c copy -shortest sound.mp4 adds it"
        logging.getLogger(__name__).info(f"{path} is without the sound of {source.path}: {remedy}")
    return made


def _write_frames(frames: Iterable[Segmented], source: Source, new: Path, *, labelled: Collection[int]) -> Prediction:
    """Writes all that is made of the masks, and puts them on the disk.

    While one mask is made, those before it are compressed, and drawn on the video, which is decoded a second time: none of these
    needs Python's lock for long.
    """
    expected: list[float] = []

    def made() -> Iterator[tuple[str, Segmented]]:
        with phase("segmenting", total=len(source.names)) as bar:
            for name, segmented in zip(source.names, frames, strict=True):
                expected.append(segmented.expected_J)
                yield name, segmented
                bar.advance()

    def written(named: tuple[str, Segmented]) -> Segmented:
        name, segmented = named
        write_mask(_mask_file(new, name), segmented.mask, aside=True)
        return segmented

    with ExitStack() as stack:
        film = stack.enter_context(Film(source, new, labelled))
        writers, drawer = (stack.enter_context(ThreadPoolExecutor(count)) for count in (WRITERS, 1))
        for _ in map_ahead(drawer, film.draw, map_ahead(writers, written, made(), ahead=AHEAD), ahead=AHEAD):
            pass
        with phase("writing"):
            stack.close()
            film.preview.write(new / "preview.gif")
            _write_volume(source, new)
            sync_files(new / "masks")
    return Prediction(expected, film.album)


def _new(folder: Path) -> Path:
    """An empty folder to write into, without what a process that was killed left there."""
    new = folder / NEW
    try:
        lock.check_not_removed(new)
        shutil.rmtree(new, ignore_errors=True)
        make_folder(new / "masks")
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

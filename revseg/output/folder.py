"""The folder of a segmented video.

<folder>/masks/00000.png ...     8-bit palette, the video's own size, named like the frames
        /overlay.mp4             the video with the masks on it: same size, frames and timestamps
        /...                     what else the settings ask for (``formats``)
        /masks.npy, masks.tif    all masks as one volume (T, H, W), where the video is one in NumPy's format or in TIFF
        /prediction.json         how it was made, what was written, and the J expected of each frame; marks the folder as ours

All of it is made in <folder>/.new and moved when it is whole: what was there before stays until then.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from revseg.evidence.ahead import map_ahead
from revseg.labels.masks import read_mask
from revseg.output.album import Album
from revseg.output.config import OutputConfig
from revseg.output.formats import Plan, is_file_of
from revseg.output.frame import OutputFrame
from revseg.output.images import mask_file
from revseg.output.legend import Legend
from revseg.output.memory import WRITERS
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

VOLUMES = ("masks.npy", "masks.tif")
"""All masks as one volume."""
DEFAULT = OutputConfig()

AHEAD = 4
"""Masks that wait to be written, and as many to be drawn."""


def name_of(video: Path) -> str:
    """The name of a video's results: a file's without its suffix, a folder's whole name, also where it was typed as `.`."""
    whole = Path(os.path.abspath(video))
    return (whole.name if whole.is_dir() else whole.stem) or "root"


def check(folder: Path, video: Path, digest: str | None = None, *, config: OutputConfig = DEFAULT) -> None:
    """Raises ValueError where something of somebody else's, or of another video, lies where the results of a video go.

    Hand-made labels in a folder `masks` look just like ours: they must not be overwritten, nor the video
    itself. Two videos may have one name: what counts is what is in them.
    digest: that of the video, where it is known already (``digest_of``).
    """
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    places = [path for path in present if is_file_of(path.name, config) or path.name in VOLUMES]
    if video.exists() and any(path.samefile(video) for path in places):
        raise ValueError(f"{video} lies where the prediction goes; choose another folder with output=")
    note = _read_note(folder / MARK)
    ours = set() if note is None else _files_of(note)
    for path in places:
        if path.name not in ours and not (path.is_dir() and not any(path.iterdir())):
            what = "holds files" if path.is_dir() else "is a file"
            raise ValueError(f"{path} {what} that revseg did not write; choose another folder with output=")
    if note is not None and not _is_of(note, video, digest):
        raise ValueError(
            f"{folder} holds the masks of {note['video']}, which is not {video} as it is now; choose another folder with "
            "output=, or remove it"
        )


def _files_of(note: dict[str, Any]) -> set[str]:
    """Returns what a prediction consists of. An old one does not say it: then all that could be written."""
    found = note.get("files")
    return {str(name) for name in found} if isinstance(found, list) else {"masks", "overlay.mp4", "preview.gif", *VOLUMES}


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


def write_prediction(
    frames: Iterable[Segmented],
    source: Source,
    folder: Path,
    *,
    legend: Legend,
    note: dict[str, Any],
    labelled: Collection[int] = (),
    config: OutputConfig = DEFAULT,
    album: Album | None = None,
) -> list[float]:
    """Writes masks and all that is made of them as they come, in threads; call it under a lock. Returns the J expected of each.

    note: what more to say in prediction.json. labelled: frames with a label of their own. album: takes pictures of some frames.
    """
    sha256 = source.sha256 or digest_of(source.path)
    check(folder, source.path, sha256, config=config)
    new = _new(folder)
    facts = {"video": os.path.abspath(source.path), "sha256": sha256}
    frames = iter(frames)
    try:
        plan = Plan(config, source, legend, folder=new)
        expected = _write_frames(frames, plan, album)
        files = sorted(path.name for path in new.iterdir())
        before = _read_note(folder / MARK)
        former = set() if before is None else _files_of(before)
        _write_note(new / BEGUN, facts | {"complete": False, "files": sorted(former.union(files))})
        whole = facts | {"complete": True, "frames": len(source.names), "labelled_frames": sorted(labelled), "files": files}
        if "probabilities" in config.written:
            whole |= {"planes": ["background", *map(legend.name, legend.ids)]}
        _write_note(new / MARK, whole | note | {"expected_J": expected})
        _move(new, folder, files, former=former)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    for name, remark in plan.remarks.items():
        _tell_of_sound(folder / name, source, remark)
    return expected


def _tell_of_sound(path: Path, source: Source, remark: str) -> None:
    remedy = f"ffmpeg -i {path} -i {source.path} -map 0:v -map 1:a -c copy -shortest sound{path.suffix} adds it"
    logging.getLogger(__name__).info(f"{path} is without the sound of {source.path} ({remark}): {remedy}")


def _write_frames(frames: Iterator[Segmented], plan: Plan, album: Album | None) -> list[float]:
    """Writes all that is made of the masks, and puts them on the disk. Returns the J expected of each.

    While one mask is made, those before it are compressed, and drawn on the video, which is decoded a second time: none of these
    needs Python's lock for long.
    """
    source, expected = plan.source, list[float]()
    with ExitStack() as stack:
        pictures = stack.enter_context(closing(source.pictures())) if album or plan.shows_video else None
        # The last one first: they are closed in the order of the settings.
        takers = [(output, stack.enter_context(output.opened())) for output in reversed(list(plan.outputs()))]

        def made() -> Iterator[OutputFrame]:
            with phase("segmenting", total=len(source.names)) as bar:
                for index, (name, segmented) in enumerate(zip(source.names, frames, strict=True)):
                    expected.append(segmented.expected_J)
                    shown = None if pictures is None else _next_picture(pictures, source)
                    yield OutputFrame(index, name, segmented, config=plan.config, legend=plan.legend, shown=shown)
                    bar.advance()

        def prepared(frame: OutputFrame) -> OutputFrame:
            for output, write in takers:
                output.prepare(frame)
                if not output.ordered:
                    write(frame)
            return frame

        def written(frame: OutputFrame) -> None:
            for output, write in takers:
                if output.ordered:
                    write(frame)
            if album is not None:
                album.add(frame.index, frame.drawn, frame.segmented.expected_J)

        writers, drawer = (stack.enter_context(ThreadPoolExecutor(count)) for count in (WRITERS, 1))
        for _ in map_ahead(drawer, written, map_ahead(writers, prepared, made(), ahead=AHEAD), ahead=AHEAD):
            pass
        with phase("writing"):
            stack.close()
            _write_volume(source, plan.folder)
            for folder in (path for path in plan.folder.iterdir() if path.is_dir()):
                sync_files(folder)
    return expected


def _next_picture(
    pictures: Iterator[tuple[int, Fraction, NDArray[np.uint8]]], source: Source
) -> tuple[Fraction, NDArray[np.uint8]]:
    if (found := next(pictures, None)) is None:
        raise ValueError(f"{source.path} has fewer frames than when it was read; start again, and leave it as it is")
    return found[1:]


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


def _move(new: Path, folder: Path, files: Sequence[str], *, former: set[str]) -> None:
    """Puts what is whole in its place, and removes what was there before and is no more.

    It takes no space: a disk that is full harms nothing. Killed in between, the folder says so.
    """
    try:
        os.replace(new / BEGUN, folder / MARK)
        sync_folder(folder)
        for name in files:
            if (new / name).is_dir():
                _move_pictures(new / name, folder / name)
            else:
                os.replace(new / name, folder / name)
        for name in former.difference(files):
            _remove(folder / name)
        sync_folder(folder)
        os.replace(new / MARK, folder / MARK)
        sync_folder(folder)
    except OSError as error:
        lock.check_not_removed(folder)
        raise OSError(f"cannot write {folder}: {error.strerror}; choose another folder with output=") from error


def _move_pictures(new: Path, folder: Path) -> None:
    """Moves the pictures of a folder; those of a longer video that was segmented before go."""
    make_folder(folder)
    sync_folder(folder.parent)
    moved = {path.name for path in new.iterdir()}
    for name in sorted(moved):
        os.replace(new / name, folder / name)
    for path in folder.glob("*.png"):
        if path.name not in moved:
            path.unlink()
    sync_folder(folder)


def _remove(path: Path) -> None:
    """Removes a result that is no longer written; of a folder, its pictures."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for picture in path.glob("*.png"):
        picture.unlink()
    if not any(path.iterdir()):
        path.rmdir()


def _write_volume(source: Source, folder: Path) -> None:
    """Writes the masks once more, as a volume in the format of the video."""
    kind = format_of(source.path)
    if kind is None:
        return
    masks = (read_mask(mask_file(folder / "masks", name), "davis2017") for name in source.names)
    with replacing(folder / f"masks.{kind}") as temporary:
        if kind == "npy":
            write_array(temporary, masks, count=len(source.names))
        else:
            write_pages(temporary, masks)


def _write_note(path: Path, note: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")

"""Labels of a video, however they are written: what lies at a path is recognised by its content and told in one line.

A folder with a PNG for each labelled frame, or one volume, a .npy or TIFF file (T, H, W) of whole numbers, or what annotation
tools write (``formats``). 255 is unknown, so that a few points, scribbles or boreholes will do. A frame that shows any label is
labelled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from revseg import storage
from revseg.labels.assignment import masks_by_frame, positions_of
from revseg.labels.colours import Table, check_none_of_numbers, check_palettes, is_coloured, read_coloured, table_found, table_of
from revseg.labels.conventions import Conventions, given_names
from revseg.labels.files import check_labels
from revseg.labels.formats.archive import is_archive, unpacked
from revseg.labels.formats.document import Document
from revseg.labels.formats.find import document_at
from revseg.labels.formats.matte import read_matte
from revseg.labels.formats.paint import Overlap, number_objects, paint
from revseg.labels.formats.sequences import only_place, sequence_at
from revseg.labels.frames import Frames
from revseg.labels.masks import read_mask
from revseg.labels.objects import read_objects
from revseg.labels.palette import VOID
from revseg.labels.suspicion import tell_suspicion
from revseg.labels.volume import read_volume
from revseg.video.folder import some
from revseg.video.names import identity, tell_once
from revseg.video.slices import format_of


class Labelled(NamedTuple):
    """The labelled frames of a video."""

    masks: Tensor
    """(L, H, W) uint8 at the video's own size."""
    frames: tuple[int, ...]
    """Their positions, ascending."""
    names: Mapping[int, str] = {}
    """Names of objects by their ids, as far as there are any."""
    by_name: bool = False
    """Whether it is by their names that objects have their ids, which then do not change."""


def read_labels(path: Path, frames: Frames, conventions: Conventions) -> Labelled:
    """Returns the masks of a video's labelled frames. Raises ValueError in one sentence where they do not fit it."""
    with _opened(path) as place:
        return _read(place, frames, conventions, path=path)


def check_readable(path: Path, video: Path) -> None:
    """Raises ValueError in one sentence for what holds no labels, or a tool's that cannot be read: before a video is decoded."""
    with _opened(path) as place:
        if place.is_dir() or format_of(place) is None:
            document_at(place, video.stem)


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """The file or folder itself, or the folder that an archive is unpacked to: sentences name the archive."""
    check_labels(path)
    with unpacked(path) as place:
        try:
            yield place
        except ValueError as error:
            if place == path:
                raise
            raise ValueError(str(error).replace(str(place), str(path))) from error


def _read(place: Path, frames: Frames, conventions: Conventions, *, path: Path) -> Labelled:
    """path: what was given, where `place` is the folder that an archive was unpacked to."""
    if not place.is_dir() and format_of(place) is not None:
        _only_ids(conventions, path, "a volume of object ids")
        return Labelled(*read_volume(place, frames), given_names(conventions.names))
    document = document_at(place, frames.source.stem)
    if document is not None:
        _only_ids(conventions, path, document.title)
        return _of_document(document, frames, conventions, path=path)
    if not place.is_dir():
        _only_ids(conventions, path, "a matte")
        masks, positions = read_matte(place, frames)
        tell_suspicion(masks, path)
        _tell(path, "matte", len(positions), names=given_names(conventions.names))
        return Labelled(masks, positions, given_names(conventions.names))
    sequence = sequence_at(place, frames.source.stem)
    folder = only_place(place) if is_archive(path) and sequence.folder == place else sequence.folder
    if conventions.colours is None and sequence.colours is not None:
        conventions = replace(conventions, colours=str(sequence.colours))
    found = _of_folder(folder, frames, conventions)
    return found._replace(names={**sequence.names, **found.names})


def _only_ids(conventions: Conventions, path: Path, what: str) -> None:
    if conventions.encoding != "davis2017":
        raise ValueError(f"data.encoding={conventions.encoding} is for PNG masks, {path} is {what}: leave it out")
    if conventions.colours is not None:
        raise ValueError(f"data.colours is for PNG masks, {path} is {what}: leave it out")


def _of_document(document: Document, frames: Frames, conventions: Conventions, *, path: Path) -> Labelled:
    keys = {path / _frame_name(drawing.name, frames): drawing for drawing in document.drawings}
    if len(keys) < len(document.drawings):
        raise ValueError(f"labels {path} have two pictures of one name: export the frames of one video")
    found = positions_of(list(keys), frames)
    if not found:
        raise ValueError(
            f"no labelled frame: {path}, {document.title}, labels none of {frames.source}; label some and export again"
        )
    numbering = number_objects(document, conventions, f"labels {path}")
    masks = storage.empty(len(found), *frames.native_size)
    overlap = Overlap()
    for row, key in zip(masks, found.values(), strict=True):
        drawing = keys[key]
        if drawing.size not in (None, frames.native_size):
            height, width = drawing.size
            raise ValueError(
                f"{key} is {width} x {height} pixels, but its frame in {frames.source} is {frames.native_size[1]} x "
                f"{frames.native_size[0]}: label the video at its own size"
            )
        try:
            mask = paint(
                drawing,
                numbering,
                frames.native_size,
                document=document,
                stroke_width=conventions.stroke_width,
                overlap=overlap,
            )
        except ValueError as error:
            raise ValueError(f"labels of {drawing.name} in {path} cannot be read ({error}): export them again") from error
        row.copy_(torch.from_numpy(mask))
    remarks = [*document.remarks, *_remarks(overlap, document)]
    _tell(path, document.title, len(found), names=numbering.names, remarks=remarks)
    files = [key.name for key in found.values()]
    return _known(Labelled(masks, tuple(found), numbering.names, by_name=True), files, path, source=frames.source)


def _frame_name(name: str, frames: Frames) -> str:
    """The name without its folders. The number of a frame in a folder of frames is that of its place there."""
    plain = name.replace("\\", "/").rsplit("/", 1)[-1]
    if frames.numbered or not plain.isdecimal() or any(identity(plain) == identity(each) for each in frames.names):
        return plain
    return frames.there[int(plain)] if int(plain) < len(frames.there) else plain


def _remarks(overlap: Overlap, document: Document) -> list[str]:
    found = []
    if overlap.pixels:
        which = "the smaller" if document.smaller_on_top else "the topmost"
        found.append(f"{overlap.pixels} pixels lie in several objects, {which} counts: {some(overlap.frames).rsplit(' ', 1)[0]}")
    if overlap.nothing:
        found.append(f"{some(overlap.nothing)} without any pixel")
    return found


def _tell(path: Path, title: str, count: int, *, names: Mapping[int, str], remarks: list[str] | None = None) -> None:
    """One line on what was recognised."""
    objects = ", ".join(f"{number} {name}" for number, name in sorted(names.items())[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    parts = [
        f"{count} labelled frame{'s' if count != 1 else ''}",
        *([f"objects {objects}{more}"] if names else []),
        *(remarks or []),
    ]
    logging.getLogger(__name__).info(f"labels {path}: {title}, {'; '.join(parts)}")


def _of_folder(folder: Path, frames: Frames, conventions: Conventions) -> Labelled:
    files = masks_by_frame(folder, frames)
    table = _table(list(files.values()), conventions)
    native = storage.empty(len(files), *frames.native_size)
    for row, path in zip(native, files.values(), strict=True):
        mask = read_mask(path, conventions.encoding, ids=True) if table is None else read_coloured(path, table)
        if mask.shape != frames.native_size:
            raise ValueError(
                f"mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels, but its frame in {frames.source} is "
                f"{frames.native_size[1]} x {frames.native_size[0]}: save it at the size of the frame"
            )
        row.copy_(torch.from_numpy(mask))
    if table is None and not any(((mask > 0) & (mask < VOID)).any() for mask in native):  # nothing shows that values are ids
        for path in files.values():
            read_mask(path, conventions.encoding)
    if table is None:
        names = {each.id: each.name for each in read_objects(folder) or () if each.name} | given_names(conventions.names)
    else:
        names = table.names
        _tell(folder, "masks by colour", len(files), names=names)
    file_names = [path.name for path in files.values()]
    return _known(Labelled(native, tuple(files), names, by_name=table is not None), file_names, folder, source=frames.source)


def _table(files: list[Path], conventions: Conventions) -> Table | None:
    """What the colours of masks mean; None where pixels are numbers."""
    if conventions.encoding == "davis2016":
        if conventions.colours is not None:
            raise ValueError("data.colours does not go with data.encoding=davis2016, in which white is the object: leave one out")
        return None
    if conventions.colours is not None:
        return table_of(conventions)
    if any(map(is_coloured, files)):
        check_none_of_numbers(files)
        return table_found(files, conventions)
    check_palettes(files)
    return None


def _known(labelled: Labelled, files: list[str], path: Path, *, source: Path) -> Labelled:
    """Without the masks that are unknown throughout. Tells what is seldom meant. files: that each mask is of."""
    masks = labelled.masks
    known = [row for row, mask in enumerate(masks) if mask.min() < VOID]  # the greatest there is
    if not known:
        raise ValueError(f"the masks in {path} are 255, void, throughout: label some pixels of {source}")
    if void := [name for row, name in enumerate(files) if row not in known]:
        tell_once(f"{path}: {some(void)} void all over, and labels nothing")
    masks = storage.rows_of(masks, known)
    tell_suspicion(masks, path, [files[row] for row in known])
    return labelled._replace(masks=masks, frames=tuple(labelled.frames[row] for row in known))

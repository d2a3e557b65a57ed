"""Which mask of a folder belongs to which frame of a video.

In a folder of frames a mask has the name of its frame. The frames of a file have numbers, counted from 0; the number in the name
of a mask is that of its frame: 12.png, frame_000012.png and clip_00012_mask.png are all masks of frame 12.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from revseg.labels.files import SUFFIXES, by_name, mask_files
from revseg.labels.frames import Frames
from revseg.video.folder import some, visible
from revseg.video.names import NUMBER, Identity, identity, is_fraction, is_time, kind, tell_once


def masks_by_frame(folder: Path, frames: Frames) -> dict[int, Path]:
    """Returns the position in the volume and the mask of each labelled frame, in order. Tells how names were understood."""
    found = positions_of(mask_files(folder), frames)
    unused = _unused(folder, frames)
    if not found:
        raise ValueError(_none(folder, frames, unused))
    if unused:
        tell_once(f"{folder}: {some(unused)} not used: masks are PNG, BMP or TIFF")
    return found


def positions_of(masks: Sequence[Path], frames: Frames) -> dict[int, Path]:
    """Returns the position in the volume of the frame of each mask, in order, by names alone. Tells how they were understood."""
    positions = {identity(name): position for position, name in enumerate(frames.names)}
    lost = {identity(name) for name in frames.lost}
    found: dict[int, Path] = {}
    outside: list[str] = []
    keys = _numbers(masks, frames) if frames.numbered else by_name(masks)
    for key, path in keys.items():
        if key in positions:
            found[positions[key]] = path
        elif key not in lost:
            if not frames.left_out(key):
                raise ValueError(_no_frame(path, frames) + _from_1(keys, frames))
            outside.append(path.name)
    if outside:
        tell_once(
            f"{some(outside)} not used: only the part of {frames.source} from {frames.names[0]} to {frames.names[-1]} is read"
        )
    if any(not path.stem.isdecimal() for path in found.values()) and frames.numbered:
        position, path = next(iter(sorted(found.items())))
        told = f"{path.name} labels frame {frames.names[position]} of {frames.source}, counted from 0"
        logging.getLogger(__name__).info(f"{told}{', and so on' if len(found) > 1 else ''}")
    return dict(sorted(found.items()))


def _numbers(masks: Sequence[Path], frames: Frames) -> dict[Identity, Path]:
    """Returns masks by the identity of the frame whose number is in their names."""
    names = {path: _without(frames.source.stem, path.stem) for path in masks}
    for path, name in names.items():
        if not NUMBER.search(name):
            raise ValueError(_no_frame(path, frames))
    if not names:
        return {}
    _check_kinds(names)
    place = _place(names)
    found: dict[Identity, Path] = {}
    for path, name in names.items():
        if (other := found.setdefault(identity(NUMBER.findall(name)[place]), path)) != path:
            raise ValueError(f"{path} and {other} are masks of one frame: remove one")
    return found


def _without(video: str, name: str) -> str:
    """A mask's name without that of its video, which may have numbers of its own: clip2_00012 -> _00012."""
    rest = name[len(video) :]
    return rest if name.casefold().startswith(video.casefold()) and not rest[:1].isdecimal() and NUMBER.search(rest) else name


def _check_kinds(names: dict[Path, str]) -> None:
    first, *others = names
    for path in others:
        if kind(names[path]) != kind(names[first]):
            raise ValueError(
                f"masks {first} and {path.name} are named in two ways, so that their numbers may not mean the same: name all "
                "masks like 00012.png, by the number of the frame, counted from 0"
            )


def _place(names: dict[Path, str]) -> int:
    """Which of the numbers in the names is that of the frame: the one that varies, or the last of a single mask."""
    path, name = next(iter(names.items()))
    columns = list(zip(*map(NUMBER.findall, names.values()), strict=True))
    varying = [place for place, column in enumerate(columns) if len(set(map(int, column))) > 1] or [len(columns) - 1]
    place = varying[-1]
    if len(varying) > 1 or is_fraction(kind(name), place) or is_time(name, place):
        raise ValueError(
            f"mask {path} does not tell which number in its name is that of its frame: name it like 00012.png, by the number of "
            "the frame, counted from 0"
        )
    return place


def _no_frame(path: Path, frames: Frames) -> str:
    return (
        f"mask {path} is for a frame that does not exist: {frames.source} has frames {frames.names[0]} to {frames.names[-1]}, "
        "and a mask has the name of its frame; rename or remove it"
    )


def _from_1(keys: Iterable[Identity], frames: Frames) -> str:
    """What to add where masks were perhaps counted from 1."""
    if not frames.numbered or frames.total is None:
        return ""
    numbers = [int(key[1]) for key in keys]
    if 0 in numbers or max(numbers) != frames.total:
        return ""
    return "; frames are counted from 0: where masks were counted from 1, as ffmpeg does, subtract 1 from all numbers"


def _unused(folder: Path, frames: Frames) -> list[str]:
    """Files that are named like a frame, or hold its number, and are no masks."""
    names = {identity(name) for name in frames.names}
    others = [path for path in visible(folder) if path.suffix.lower() not in SUFFIXES]
    if not frames.numbered:
        return sorted(path.name for path in others if identity(path.stem) in names)
    return sorted(path.name for path in others if any(identity(number) in names for number in NUMBER.findall(path.stem)))


def _none(folder: Path, frames: Frames, unused: list[str]) -> str:
    first, last = frames.names[0], frames.names[-1]
    if unused:
        return (
            f"no labelled frame: {folder} has {unused[0]}, but masks are PNG, BMP or TIFF, which keep every label; save the "
            f"masks as PNG, that of the first frame as {first}.png"
        )
    inner = next((path for path in sorted(folder.iterdir()) if path.is_dir() and mask_files(path)), None)
    remedy = f"save the mask of the first as {first}.png" if inner is None else f"there are some in {inner}: give that folder"
    return f"no labelled frame: {folder} has no PNG for any of the frames {first} to {last} of {frames.source}; {remedy}"

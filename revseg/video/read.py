"""Reads a video or a volume, a file or a folder, as one tensor or frame after frame."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg import storage
from revseg.runs.phases import phase
from revseg.video.decode import Decoded
from revseg.video.decoder import open_video
from revseg.video.frame import Frame, Losses, resized
from revseg.video.pages import Pages
from revseg.video.part import Part
from revseg.video.picture import picture_of
from revseg.video.reading import WHOLE, Reading
from revseg.video.resize import resize_picture
from revseg.video.scale import Scale, scale_of, sentence, to_bytes
from revseg.video.slices import Slices, format_of, open_slices
from revseg.video.stack import FRAME_RATE as VOLUME_RATE

CHUNK = 1 << 26  # bytes that are made room for where nobody says how many frames there are


@dataclass(frozen=True)
class Video:
    """A video that was read."""

    volume: Tensor
    """(C, T, H, W) uint8: RGB, or the channels of a volume."""
    frame_rate: Fraction
    """Frames per second, the mean where the rate varies."""
    native_size: tuple[int, int]
    """(H, W) as the video is shown, before resizing."""
    timestamps: tuple[Fraction, ...]
    """Seconds since the first frame of the whole video for each of the T frames, increasing."""
    names: tuple[str, ...]
    """Names of the T frames and of their masks: the file's name in a folder, else the number: "00012"."""
    lost: tuple[str, ...] = ()
    """Names of the frames that were left out because they could not be decoded."""
    total: int | None = None
    """How many frames the whole video has, those too; None where reading ended before it."""
    scale: Scale | None = None
    """How the values of a volume became bytes; None: they were bytes."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel as it is to be shown, for a height of 1."""
    sound: bool = False
    """Whether it has a sound track."""


@dataclass(frozen=True)
class Probe:
    """Size and frame rate of a video, without reading all of it."""

    native_size: tuple[int, int]
    frame_rate: Fraction
    channels: int = 3
    frames: int | None = None
    """How many there are by what a volume or its container says; None: only decoding tells."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel as it is to be shown, for a height of 1."""
    sound: bool = False
    """Whether it has a sound track."""


def read_video(
    path: str | Path, *, height: int | None = None, reading: Reading = WHOLE, threads: int | None = None, show: bool = False
) -> Video:
    """Reads a video file, a folder of JPEG or PNG frames, or a volume (``slices``), as one volume of bytes.

    height: height of the volume, None: the video's own; the width follows. Frames are resized, by averaging, as they
    are decoded: only a few are ever in memory at their own size. reading: which frames, and what at one that cannot be decoded.
    threads: for decoding, None: one per core. show: whether it is a phase of its own, with a bar.
    """
    if height is not None and height < 1:
        raise ValueError(f"height is {height}: give 1 or more, or none for all there is")
    path, part = Path(path), reading.part
    losses, slices = Losses(path, reading.on_error), opened(path, reading)
    names, times, native_size, ratio, sound = [], [], (0, 0), Fraction(1), False
    if slices is None:
        decoded, used = open_video(path, reading, height=height, losses=losses, threads=threads), None
        facts = decoded.facts
        rate, sound = facts.frame_rate, facts.sound
        total = part.count(facts.frames, 1 / rate) if facts.frames else reading.max_frames
        frames = _frames(decoded, losses)
    else:
        places, losses.total, rate = _places(slices, part), len(slices.names), VOLUME_RATE
        total, used = len(places), scale_of(slices, places, given=reading.scale)
        logging.getLogger(__name__).info(sentence(slices, used))
        frames = _decode(slices, places, scale=used, height=height)
    pile = _Pile(total if slices is not None or facts.frames else None)
    with phase("decoding", total=total) if show else nullcontext() as bar, closing(frames):
        for frame in frames:
            pile.add(frame.pixels)
            names.append(frame.name)
            times.append(frame.time)
            native_size, ratio = frame.native_size, frame.sample_aspect_ratio
            if bar is not None:
                bar.advance()
    if not names:
        raise ValueError(f"no frame of {path} can be decoded: give a video with at least one frame")
    return Video(
        pile.volume(),
        frame_rate=part.frame_rate(rate),
        native_size=native_size,
        timestamps=tuple(times),
        names=tuple(names),
        lost=tuple(losses.names),
        total=losses.total,
        scale=used,
        sample_aspect_ratio=ratio,
        sound=sound,
    )


def iterate_frames(
    path: str | Path, reading: Reading = WHOLE, *, threads: int | None = None
) -> Generator[tuple[int, Fraction, NDArray[np.uint8]]]:
    """Yields (index, seconds since the first of the video, picture (H, W, 3) at native size) of each frame."""
    with closing(native_frames(path, reading, threads=threads)) as frames:
        for index, frame in enumerate(frames):
            yield index, frame.time, frame.pixels.copy()


def native_frames(path: str | Path, reading: Reading = WHOLE, *, threads: int | None = None) -> Generator[Frame]:
    """Yields the frames as pictures (H, W, 3) at native size. The pixels of one are there until the next one is asked for."""
    path = Path(path)
    if (slices := opened(path, reading)) is not None:
        places = _places(slices, reading.part)
        used = scale_of(slices, places, given=reading.scale)
        for frame in _decode(slices, places, scale=used, height=None):
            yield frame._replace(pixels=picture_of(list(np.moveaxis(frame.pixels, -1, 0))))
        return
    losses = Losses(path, reading.on_error)
    yield from _frames(open_video(path, reading, height=None, losses=losses, threads=threads), losses)


def probe(path: str | Path, reading: Reading = WHOLE) -> Probe:
    """Returns size, channels and frame rate, from the first frame that can be decoded; of the whole video."""
    path = Path(path)
    if (slices := opened(path, reading)) is not None:
        height, width, channels = slices.shape
        return Probe((height, width), VOLUME_RATE, channels, frames=len(slices.names))
    first = Reading(on_error="skip", decoder=reading.decoder)
    decoded = open_video(path, first, height=None, losses=Losses(path, first.on_error), threads=None)
    with closing(decoded.frames) as frames:
        for frame in frames:
            ratio, sound = frame.sample_aspect_ratio, decoded.facts.sound
            rate, count = decoded.facts.frame_rate, decoded.facts.frames
            return Probe(frame.native_size, rate, frames=count, sample_aspect_ratio=ratio, sound=sound)
    raise ValueError(f"no frame of {path} can be decoded: give a video with at least one frame")


def opened(path: Path, reading: Reading = WHOLE) -> Slices | None:
    """Returns a volume; None for videos and pictures, which are RGB and have neither axes nor a scale."""
    kind = format_of(path)
    if kind == "npy" or (kind == "tif" and (path.is_dir() or Pages(path).deep)):
        return open_slices(path, reading.axes)
    for name, value in (("axes", reading.axes), ("scale", reading.scale)):
        if value is not None:
            raise ValueError(f"data.{name} is about arrays and TIFF files of more than 8 bits: leave it out for {path}")
    return None


def _places(slices: Slices, part: Part) -> list[int]:
    """Returns which slices belong to a part."""
    return part.positions(slices.path, len(slices.names), 1 / VOLUME_RATE)


def _decode(slices: Slices, places: Sequence[int], *, scale: Scale | None, height: int | None) -> Generator[Frame]:
    """Yields slices of a volume as bytes, one in memory at a time."""
    native_size = slices.shape[:2]
    size = resized(native_size, height)
    for place in places:
        pixels = to_bytes(slices.read(place), scale)
        yield Frame(
            slices.names[place],
            time=place / VOLUME_RATE,
            pixels=pixels if size == native_size else resize_picture(pixels, size),
            native_size=native_size,
        )


def _frames(decoded: Decoded, losses: Losses) -> Generator[Frame]:
    """Yields the frames; tells at the end which could not be decoded."""
    try:
        with closing(decoded.frames) as frames:
            yield from frames
    finally:
        losses.warn()


class _Pile:
    """Collects frames into one volume (C, T, H, W), which lies on disk where it is large (``storage``)."""

    def __init__(self, expected: int | None) -> None:
        """expected: how many frames there will be, as far as that is said."""
        self.count, self._expected = 0, expected
        self._volume = torch.empty(0, 0, 0, 0, dtype=torch.uint8)

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Copies a frame (H, W, C)."""
        if not self.count:
            self._volume = self._room(*pixels.shape)
        elif self.count == self._volume.shape[1]:
            self._volume = self._copied(2 * self.count)
        np.copyto(self._volume.numpy()[:, self.count], np.moveaxis(pixels, -1, 0))
        self.count += 1

    def volume(self) -> Tensor:
        """Returns the frames there are."""
        return self._volume if self.count == self._volume.shape[1] else self._copied(self.count)

    def _room(self, height: int, width: int, channels: int) -> Tensor:
        if self._expected:
            with suppress(OSError):  # a container may say anything
                return storage.empty(channels, self._expected, height, width)
        return storage.empty(channels, max(1, CHUNK // (height * width * channels)), height, width)

    def _copied(self, room: int) -> Tensor:
        """The frames, with room for so many."""
        volume = storage.empty(self._volume.shape[0], room, *self._volume.shape[2:])
        for plane, former in zip(volume, self._volume, strict=True):
            plane[: self.count] = former[: self.count]
        return volume

"""Reads a video or a volume, a file or a folder, as one tensor or frame after frame."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.runs.phases import phase
from revseg.video.decode import Decoded
from revseg.video.decoder import open_video
from revseg.video.frame import Frame, Losses, resized
from revseg.video.pages import Pages
from revseg.video.picture import picture_of
from revseg.video.resize import resize_picture
from revseg.video.scale import Scale, scale_of, sentence, to_bytes
from revseg.video.slices import Slices, format_of, open_slices
from revseg.video.stack import FRAME_RATE as VOLUME_RATE

CHUNK = 1 << 26  # bytes of frames that are gathered before they go into one tensor


@dataclass(frozen=True)
class Video:
    """A video in memory."""

    volume: Tensor
    """(C, T, H, W) uint8: RGB, or the channels of a volume."""
    frame_rate: Fraction
    """Frames per second, the mean where the rate varies."""
    native_size: tuple[int, int]
    """(H, W) as the video is shown, before resizing."""
    timestamps: tuple[Fraction, ...]
    """Seconds since the first frame for each of the T frames, increasing."""
    names: tuple[str, ...]
    """Names of the T frames and of their masks: the file's name in a folder, else the number: "00012"."""
    lost: tuple[str, ...] = ()
    """Names of the frames that were left out because they could not be decoded."""
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
    path: str | Path,
    *,
    height: int | None = None,
    max_frames: int | None = None,
    on_error: str = "stop",
    threads: int | None = None,
    show: bool = False,
    axes: str | None = None,
    scale: Any = None,
    decoder: str = "process",
) -> Video:
    """Reads a video file, a folder of JPEG or PNG frames, or a volume (``slices``), as one volume of bytes.

    height: height of the volume, None: the video's own; the width follows. Frames are resized, by averaging, as they
    are decoded: only a few are ever in memory at their own size. max_frames: only the first ones, None: all.
    on_error: at a frame that cannot be decoded, "stop" raises ValueError and "skip" leaves it out.
    threads: for decoding, None: one per core. show: whether it is a phase of its own, with a bar.
    axes: of .npy arrays, "CTHW"; None: THW or THWC. scale: how values become bytes (``scale``), None: by their own range.
    decoder: where videos are decoded (``decoder``): "process" or "inline".
    """
    for name, value in (("height", height), ("max_frames", max_frames)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: give 1 or more, or none for all there is")
    path, pile = Path(path), _Pile()
    losses, slices = Losses(path, on_error), opened(path, axes, scale)
    names, times, native_size, ratio, sound = [], [], (0, 0), Fraction(1), False
    if slices is None:
        decoded, used = open_video(path, height=height, losses=losses, threads=threads, decoder=decoder), None
        rate, promised, sound = decoded.facts.frame_rate, decoded.facts.frames or max_frames, decoded.facts.sound
        total = promised and min(promised, max_frames or promised)
        frames = _frames(decoded, losses)
    else:
        count = min(len(slices.names), max_frames or len(slices.names))
        total, used, rate = count, scale_of(slices, count, given=scale), VOLUME_RATE
        logging.getLogger(__name__).info(sentence(slices, used))
        frames = _decode(slices, used, height)
    with phase("decoding", total=total) if show else nullcontext() as bar, closing(frames):
        for frame in islice(frames, max_frames):
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
        frame_rate=rate,
        native_size=native_size,
        timestamps=tuple(times),
        names=tuple(names),
        lost=tuple(losses.names),
        scale=used,
        sample_aspect_ratio=ratio,
        sound=sound,
    )


def iterate_frames(
    path: str | Path,
    *,
    on_error: str = "stop",
    threads: int | None = None,
    axes: str | None = None,
    scale: Any = None,
    decoder: str = "process",
) -> Generator[tuple[int, Fraction, NDArray[np.uint8]]]:
    """Yields (index, seconds since the first, picture (H, W, 3) at native size) of each frame. axes, scale: of a volume."""
    given = {"on_error": on_error, "threads": threads, "axes": axes, "scale": scale, "decoder": decoder}
    with closing(native_frames(path, **given)) as frames:
        for index, frame in enumerate(frames):
            yield index, frame.time, frame.pixels.copy()


def native_frames(
    path: str | Path,
    *,
    on_error: str = "stop",
    threads: int | None = None,
    axes: str | None = None,
    scale: Any = None,
    decoder: str = "process",
) -> Generator[Frame]:
    """Yields the frames as pictures (H, W, 3) at native size. The pixels of one are there until the next one is asked for."""
    path, slices = Path(path), opened(Path(path), axes, scale)
    if slices is not None:
        used = scale_of(slices, len(slices.names), given=scale)
        for frame in _decode(slices, used, height=None):
            yield frame._replace(pixels=picture_of(list(np.moveaxis(frame.pixels, -1, 0))))
        return
    losses = Losses(path, on_error)
    yield from _frames(open_video(path, height=None, losses=losses, threads=threads, decoder=decoder), losses)


def probe(path: str | Path, axes: str | None = None, *, decoder: str = "process") -> Probe:
    """Returns size, channels and frame rate, from the first frame that can be decoded. axes: of .npy arrays."""
    path = Path(path)
    if (slices := opened(path, axes)) is not None:
        height, width, channels = slices.shape
        return Probe((height, width), VOLUME_RATE, channels, frames=len(slices.names))
    decoded = open_video(path, height=None, losses=Losses(path, "skip"), threads=None, decoder=decoder)
    with closing(decoded.frames) as frames:
        for frame in frames:
            ratio, sound = frame.sample_aspect_ratio, decoded.facts.sound
            rate, count = decoded.facts.frame_rate, decoded.facts.frames
            return Probe(frame.native_size, rate, frames=count, sample_aspect_ratio=ratio, sound=sound)
    raise ValueError(f"no frame of {path} can be decoded: give a video with at least one frame")


def opened(path: Path, axes: str | None = None, scale: Any = None) -> Slices | None:
    """Returns a volume; None for videos and pictures, which are RGB and have neither axes nor a scale."""
    kind = format_of(path)
    if kind == "npy" or (kind == "tif" and (path.is_dir() or Pages(path).deep)):
        return open_slices(path, axes)
    for name, value in (("axes", axes), ("scale", scale)):
        if value is not None:
            raise ValueError(f"data.{name} is about arrays and TIFF files of more than 8 bits: leave it out for {path}")
    return None


def _decode(slices: Slices, scale: Scale | None, height: int | None) -> Generator[Frame]:
    """Yields the slices of a volume as bytes, one in memory at a time."""
    native_size = slices.shape[:2]
    size = resized(native_size, height)
    for index, name in enumerate(slices.names):
        pixels = to_bytes(slices.read(index), scale)
        yield Frame(
            name,
            time=index / VOLUME_RATE,
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
    """Collects frames into one volume, without a second copy of all of them."""

    def __init__(self) -> None:
        self.chunks: list[Tensor] = []
        self.room = 0
        """How many frames the last chunk can still take."""

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Copies a frame (H, W, C)."""
        if not self.room:
            self.room = max(1, CHUNK // pixels.size)
            self.chunks.append(torch.empty(self.room, *pixels.shape, dtype=torch.uint8))
        chunk = self.chunks[-1].numpy()
        np.copyto(chunk[len(chunk) - self.room], pixels)
        self.room -= 1

    def volume(self) -> Tensor:
        """Returns (C, T, H, W). A chunk is freed once it is copied, and memory that is not written yet takes no space."""
        self.chunks[-1] = self.chunks[-1][: len(self.chunks[-1]) - self.room]
        frames = sum(map(len, self.chunks))
        _, height, width, channels = self.chunks[0].shape
        volume = torch.empty(channels, frames, height, width, dtype=torch.uint8)
        self.chunks.reverse()
        start = 0
        while self.chunks:
            chunk = self.chunks.pop()
            volume[:, start : start + len(chunk)] = chunk.permute(3, 0, 1, 2)
            start += len(chunk)
        return volume

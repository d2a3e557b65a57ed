"""Writes video: H.264 that all players can show, or with alpha; with the sound of another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from revseg.runs.atomic import replacing
from revseg.video.encoding import H264, Encoding
from revseg.video.sound import Sound
from revseg.video.track import SoundTrack

TICKS = 90_000  # least ticks per second; their number is a multiple of the frame rate, which is therefore kept exactly

SQUARE = Fraction(1)


class VideoWriter:
    """Writes frames to a video file, which appears, complete, when the block ends without an error.

        with VideoWriter("overlay.mp4", frame_rate=25) as writer:
            writer.write(frame)             # or writer.write(frame, seconds), where the rate varies

    sample_aspect_ratio: width of a pixel as it is to be shown, for a height of 1. sound: with `begins`, the time of the sound at
    the first frame. Raises OSError in one sentence if the folder cannot be written or the disk is full.
    """

    def __init__(
        self,
        path: str | Path,
        frame_rate: Fraction | float = 25,
        *,
        sample_aspect_ratio: Fraction = SQUARE,
        encoding: Encoding = H264,
        sound: Sound | None = None,
        begins: Fraction = Fraction(0),  # noqa: B008 (it never changes)
    ) -> None:
        self.path, self.frame_rate, self.sample_aspect_ratio = Path(path), _simple(frame_rate), _simple(sample_aspect_ratio)
        self.encoding, self.sound, self.begins = encoding, sound, begins
        self.track: SoundTrack | None = None
        self._ticks = self.frame_rate.numerator * -(-TICKS // self.frame_rate.numerator)
        self._frames, self._last = 0, -1
        self._container: OutputContainer
        self._stream: VideoStream
        self._file: AbstractContextManager[None]

    def __enter__(self) -> VideoWriter:
        self._file = self._opened()
        self._file.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return self._file.__exit__(kind, error, trace)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        kind = self.encoding
        with ExitStack() as stack:
            if self.sound is not None:
                stack.callback(self.sound.packets.close)
            temporary = stack.enter_context(replacing(self.path))
            opened = av.open(str(temporary.absolute()), "w", format=kind.container, options=dict(kind.container_options))
            self._container = stack.enter_context(opened)
            yield
            if not self._frames:
                raise ValueError(f"no frame was written to {self.path}: give at least one")
            self._container.mux(self._stream.encode())
            if self.track is not None:
                self.track.write(Fraction(self._last, self._ticks) + 1 / self.frame_rate)

    def write(self, frame: NDArray[np.uint8], time: Fraction | float | None = None) -> None:
        """Writes one frame: (H, W, 3) RGB or as the encoding wants it, all of one size.

        time: seconds, increasing; None: by the frame rate.
        """
        if not self._frames:
            self._stream = self._add_stream(*frame.shape[:2])
            if self.sound is not None:
                self.track = SoundTrack(self._container, self.sound, self.begins, early=self.encoding.early_sound)
        seconds = self._frames / self.frame_rate if time is None else time
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=self.encoding.pixels).reformat(
            width=self._stream.width,
            format=self._stream.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        picture.time_base = Fraction(1, self._ticks)
        picture.pts = self._last = max(round(seconds * self._ticks), self._last + 1)
        picture.duration = round(self._ticks / self.frame_rate)
        self._frames += 1
        self._container.mux(self._stream.encode(picture))
        if self.track is not None:
            self.track.write(Fraction(self._last, self._ticks))

    def _add_stream(self, height: int, width: int) -> VideoStream:
        kind, ratio = self.encoding, self.sample_aspect_ratio
        if kind.square:
            width, ratio = max(1, round(width * ratio)), SQUARE
        stream = self._container.add_stream(kind.codec, rate=self.frame_rate, options=dict(kind.options))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = height, width
        stream.codec_context.sample_aspect_ratio = ratio
        stream.pix_fmt = kind.format_for(height, width)
        stream.metadata.update(kind.metadata)
        context = stream.codec_context
        context.time_base = Fraction(1, self._ticks)
        context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        return stream


def _simple(number: Fraction | float) -> Fraction:
    """Returns a fraction of small numbers, also where it is far below 1."""
    exact = Fraction(number)
    return exact.limit_denominator(1001) if exact >= 1 else 1 / (1 / exact).limit_denominator(1001)

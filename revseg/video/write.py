"""Writes H.264 video that all players can show."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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

TICKS = 90_000  # least ticks per second; their number is a multiple of the frame rate, which is therefore kept exactly

SQUARE = Fraction(1)


class VideoWriter:
    """Writes frames to an MP4 file, which appears, complete, when the block ends without an error.

        with VideoWriter("overlay.mp4", frame_rate=25) as writer:
            writer.write(frame)             # or writer.write(frame, seconds), where the rate varies

    sample_aspect_ratio: width of a pixel as it is to be shown, for a height of 1.
    Raises OSError in one sentence if the folder cannot be written or the disk is full.
    """

    def __init__(self, path: str | Path, frame_rate: Fraction | float = 25, *, sample_aspect_ratio: Fraction = SQUARE) -> None:
        self.path, self.frame_rate, self.sample_aspect_ratio = Path(path), _simple(frame_rate), _simple(sample_aspect_ratio)
        self._ticks = self.frame_rate.numerator * -(-TICKS // self.frame_rate.numerator)
        self._frames, self._last = 0, -1
        self._container: OutputContainer
        self._stream: VideoStream
        self._file: AbstractContextManager[None]

    def __enter__(self) -> "VideoWriter":
        self._file = self._opened()
        self._file.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return self._file.__exit__(kind, error, trace)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        options = {"movflags": "+faststart"}  # so that it plays while it loads
        with (
            replacing(self.path) as temporary,
            av.open(str(temporary.absolute()), "w", format="mp4", options=options) as self._container,
        ):
            yield
            if not self._frames:
                raise ValueError(f"no frame was written to {self.path}: give at least one")
            self._container.mux(self._stream.encode())

    def write(self, frame: NDArray[np.uint8], time: Fraction | float | None = None) -> None:
        """Writes one frame: (H, W, 3) RGB, all of one size. time: seconds, increasing; None: by the frame rate."""
        if not self._frames:
            self._stream = self._add_stream(*frame.shape[:2])
        seconds = self._frames / self.frame_rate if time is None else time
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
            format=self._stream.pix_fmt, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.time_base = Fraction(1, self._ticks)
        picture.pts = self._last = max(round(seconds * self._ticks), self._last + 1)
        picture.duration = round(self._ticks / self.frame_rate)
        self._frames += 1
        self._container.mux(self._stream.encode(picture))

    def _add_stream(self, height: int, width: int) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=self.frame_rate, options={"crf": "18", "preset": "veryfast"})
        stream.height, stream.width = height, width
        stream.codec_context.sample_aspect_ratio = self.sample_aspect_ratio
        # Halved colour planes need even sides. Every player can show them; not every player can show full planes.
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, self._ticks)
        context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        return stream


def _simple(number: Fraction | float) -> Fraction:
    """Returns a fraction of small numbers, also where it is far below 1."""
    exact = Fraction(number)
    return exact.limit_denominator(1001) if exact >= 1 else 1 / (1 / exact).limit_denominator(1001)

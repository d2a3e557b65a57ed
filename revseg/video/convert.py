"""Converts decoded frames of a video file to pixels as they are to be shown."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from revseg.video.crop import Crop
from revseg.video.frame import resized


def sample_aspect_ratio(stream: VideoStream) -> Fraction:
    """Returns the width of a pixel as it is to be shown, for a height of 1; 1 where the file does not say."""
    ratio = stream.sample_aspect_ratio
    return ratio if ratio and ratio > 0 else Fraction(1)


class Picture:
    """Converts frames, all to the size of the first one. ratio: sample aspect ratio as coded. crop: by the container."""

    def __init__(self, height: int | None, ratio: Fraction, crop: Crop | None) -> None:
        self.height, self.sample_aspect_ratio, self.reformatter = height, ratio, VideoReformatter()
        self.crop = crop
        self.native_size: tuple[int, int] = (0, 0)

    def pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Returns (H, W, 3) RGB."""
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        if self.crop is not None and self.crop.fits(frame.width, frame.height):
            frame = cropped(frame, self.crop)
        if self.native_size == (0, 0):
            self._start(frame, matrix)
        height, width = self.coded_size
        method = "AREA" if height < frame.height else "BILINEAR"
        plane: Any = self.reformatter.reformat(frame, width, height, "rgb24", interpolation=method).planes[0]
        lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # no copy: a line may be longer than its pixels
        pixels = lines[:height, : 3 * width].reshape(height, width, 3)
        upright = pixels.transpose(1, 0, 2) if self.transposed else pixels
        return upright[self.order]

    def _start(self, frame: av.VideoFrame, matrix: Any) -> None:
        """Keeps size and orientation: pixel (x, y) of the coded frame is shown at (a x + c y, b x + d y), except for a shift."""
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist() if matrix else (1, 0, 0, 0, 1)
        self.transposed = abs(b) > abs(a)
        x, y = (c, b) if self.transposed else (a, d)
        self.order = slice(None, None, -1 if y < 0 else 1), slice(None, None, -1 if x < 0 else 1)
        coded = frame.height, frame.width
        self.native_size = coded[::-1] if self.transposed else coded
        if self.transposed:
            self.sample_aspect_ratio = 1 / self.sample_aspect_ratio
        shown = resized(self.native_size, self.height)
        self.coded_size = shown[::-1] if self.transposed else shown


def cropped(frame: av.VideoFrame, crop: Crop) -> av.VideoFrame:
    """Returns the part of a frame that is shown, by the filter that the ffmpeg command crops with."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    left, top, right, bottom = crop
    size = f"iw-{left}-{right}:ih-{top}-{bottom}:{left}:{top}"
    graph.link_nodes(source, graph.add("crop", size), graph.add("buffersink")).configure()
    graph.push(frame)
    part: Any = graph.pull()
    return part

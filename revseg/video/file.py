"""Decodes a video file: any container, codec and pixel format that FFmpeg reads."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from revseg.video.frame import Frame, Losses, resized

Packets = Iterator[av.Packet]


def open_file(path: Path) -> InputContainer:
    """Opens a video file. Raises ValueError in one sentence if it is not a video."""
    if not path.exists():
        raise ValueError(f"video {path} does not exist: check the path")
    if not path.stat().st_size:
        raise ValueError(f"video {path} is empty: get a whole copy")
    try:
        # An absolute path, because FFmpeg takes "a:b.mp4" for a protocol; the protocols keep a playlist from opening connections.
        options = {"protocol_whitelist": "file,crypto,data"}
        container = av.open(str(path.absolute()), options=options, metadata_errors="ignore")
    except av.FFmpegError as error:
        problem = "cannot be read" if isinstance(error, OSError) else "is not a video, or it is truncated"
        remedy = "get a whole copy, or convert it with ffmpeg"
        raise ValueError(f"{path} {problem} ({error.strerror}): {remedy}") from error
    if container.format.name == "tty":  # FFmpeg shows a text file as a video of its text
        container.close()
        raise ValueError(f"{path} is a text file, not a video: give a video file or a folder of frames")
    return container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song
            if stream.codec_context is None:  # happens where a file is cut off within its header
                raise ValueError(f"{path} is truncated, or its codec unknown: get a whole copy, or convert it with ffmpeg")
            return stream
    raise ValueError(f"{path} has no video stream: give a file with pictures")


def frame_rate(stream: VideoStream) -> Fraction:
    """Returns the mean rate; 25 where the file does not say."""
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def decode_file(path: Path, height: int | None, losses: Losses, threads: int | None) -> Iterator[Frame]:
    """Yields frames in order of time, resized and turned upright."""
    with open_file(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads or 0
        if _end_of_index(stream) > path.stat().st_size:
            losses.cut("")
        picture, clock = _Picture(height), _Clock(1 / frame_rate(stream))
        for number, frame in _numbered(container.demux(stream), losses):
            yield Frame(f"{number:05d}", time=clock.time(frame), pixels=picture.pixels(frame), native_size=picture.native_size)
        if clock.last < 0.95 * _promised_seconds(stream) - 0.5:
            losses.cut(f", its video ends after {float(clock.last):.1f} s")


def _end_of_index(stream: VideoStream) -> int:
    """Returns where the last frame of an MP4 file ends, by its index; a file that is cut off may still have its whole index."""
    entries = stream.index_entries if "mp4" in stream.container.format.name else ()
    return max((entry.pos + entry.size for entry in entries), default=0)


def _promised_seconds(stream: VideoStream) -> float:
    """Returns the duration by the header of a Matroska file, else 0. Its index does not list all frames."""
    found = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    hours, minutes, seconds = map(float, found.groups() if found else (0, 0, 0))
    return 3600 * hours + 60 * minutes + seconds


def _numbered(packets: Packets, losses: Losses) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yields frames with their numbers; lost frames count as well.

    Threads report an error some packets late. But frames come out in order of time: after an error, a frame that
    did not come out is lost as soon as a later frame comes out; without an error, it was not meant to be shown.
    If a lost frame comes out after all, out of order, it stays lost.
    """
    number, errors, damaged = 0, 0, False
    sent, lost = set[int](), set[int]()
    while (step := _decode_next(packets, sent)) is not None:
        frames, failed = step
        errors, damaged = errors + failed, damaged or failed
        for frame in frames:
            if frame.pts in lost:
                continue
            late = {time for time in sent if frame.pts is not None and time < frame.pts}
            sent -= late | {frame.pts}
            if damaged:
                lost |= late
                number = _lose(losses, number, errors if frame.pts is None else len(late))
            errors = 0
            if frame.is_corrupt:
                number = _lose(losses, number, 1)
            else:
                yield number, frame
                number += 1
    if damaged:
        _lose(losses, number, len(sent) or errors)


def _lose(losses: Losses, number: int, count: int) -> int:
    """Records `count` lost frames, the first with this number; returns the next number."""
    for lost in range(number, number + count):
        losses.add(f"{lost:05d}")
    return number + count


def _decode_next(packets: Packets, sent: set[int]) -> tuple[list[av.VideoFrame], bool] | None:
    """Returns the frames that come out as the next packet goes in, and whether something failed; None at the end."""
    try:
        packet = next(packets, None)
        if packet is None:
            return None
        if packet.pts is not None and packet.size:
            sent.add(packet.pts)
        if packet.is_corrupt:  # incomplete: decoded, it would show half a picture
            return [], True
        return packet.decode(), False
    except av.FFmpegError:
        return [], True


class _Clock:
    """Seconds since the first frame: always increasing, whatever the file says."""

    def __init__(self, usual: Fraction) -> None:
        self.usual, self.last = usual, -usual
        self.first: Fraction | None = None

    def time(self, frame: av.VideoFrame) -> Fraction:
        expected = self.last + self.usual
        if frame.pts is not None and frame.time_base is not None:
            absolute = frame.pts * frame.time_base
            self.first = absolute - expected if self.first is None else self.first
            if absolute - self.first > self.last:
                expected = absolute - self.first
        self.last = expected
        return expected


class _Picture:
    """Converts decoded frames to pixels as they are to be shown, all of the size of the first one."""

    def __init__(self, height: int | None) -> None:
        self.height, self.reformatter = height, VideoReformatter()
        self.native_size: tuple[int, int] = (0, 0)

    def pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        if self.native_size == (0, 0):
            self._start(frame)
        height, width = self.coded_size
        method = "AREA" if height < frame.height else "BILINEAR"
        rgb = self.reformatter.reformat(frame, width, height, "rgb24", interpolation=method)
        pixels: Any = rgb.to_ndarray()
        upright = pixels.transpose(1, 0, 2) if self.transposed else pixels
        return upright[self.order]

    def _start(self, frame: av.VideoFrame) -> None:
        """Keeps size and orientation: pixel (x, y) of the coded frame is shown at (a x + c y, b x + d y), except for a shift."""
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist() if matrix else (1, 0, 0, 0, 1)
        self.transposed = abs(b) > abs(a)
        x, y = (c, b) if self.transposed else (a, d)
        self.order = slice(None, None, -1 if y < 0 else 1), slice(None, None, -1 if x < 0 else 1)
        coded = frame.height, frame.width
        self.native_size = coded[::-1] if self.transposed else coded
        shown = resized(self.native_size, self.height)
        self.coded_size = shown[::-1] if self.transposed else shown

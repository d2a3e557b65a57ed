"""Decodes a video file: any container, codec and pixel format that FFmpeg reads."""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from itertools import dropwhile
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from revseg.video.convert import Picture, sample_aspect_ratio
from revseg.video.crop import crop_of
from revseg.video.entry import Entry, Unexpected, entry_of
from revseg.video.frame import Facts, Frame, Losses, check_pixels
from revseg.video.numbering import Numbered, numbered
from revseg.video.part import Part, Selection
from revseg.video.transport import incomplete_frames

DEFAULT = 5_000_000
"""How many pixels it is worth that a stream is marked as the default one, as for the ffmpeg command."""


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
    except MemoryError:
        raise
    except av.FFmpegError as error:
        problem = "cannot be read" if isinstance(error, OSError) else "is not a video, or it is truncated"
        remedy = "get a whole copy, or convert it with ffmpeg"
        raise ValueError(f"{path} {problem} ({error.strerror}): {remedy}") from error
    if container.format.name == "tty":  # FFmpeg shows a text file as a video of its text
        container.close()
        raise ValueError(f"{path} is a text file, not a video: give a video file or a folder of frames")
    return container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Returns the stream that the ffmpeg command takes: the largest, a default one before others; never the cover of a song."""
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise ValueError(f"{path} has no video stream: give a file with pictures")
    if any(stream.codec_context is None for stream in streams):  # happens where a file is cut off within its header
        raise ValueError(f"{path} is truncated, or its codec unknown: get a whole copy, or convert it with ffmpeg")
    default = Disposition.default
    return max(streams, key=lambda stream: stream.width * stream.height + DEFAULT * bool(stream.disposition & default))


def frame_rate(stream: VideoStream) -> Fraction:
    """Returns the mean rate; 25 where the file does not say."""
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def facts_of_file(path: Path) -> Facts:
    """Returns what the file says of itself."""
    with open_file(path) as container:
        stream = video_stream(container, path)
        return Facts(frame_rate(stream), stream.frames or None, sound=bool(container.streams.audio))


def decode_file(
    path: Path, part: Part, *, height: int | None, losses: Losses, threads: int | None, passed: Callable[[], None]
) -> Generator[Frame]:
    """Yields the frames of a part in order of time, resized and turned upright. passed: see ``decode``."""
    decoded = partial(_decode, path, part, height=height, losses=losses, threads=threads, passed=passed)
    with open_file(path) as container:
        stream = video_stream(container, path)
        entry = entry_of(container.demux(stream), stream, part.start, passed=passed) if part.start else None
    if entry is not None:
        with suppress(Unexpected):
            yield from decoded(entry=entry)
            return
        losses.total = None
    yield from decoded(entry=None)


def _decode(
    path: Path,
    part: Part,
    *,
    entry: Entry | None,
    height: int | None,
    losses: Losses,
    threads: int | None,
    passed: Callable[[], None],
) -> Generator[Frame]:
    """Decodes from the key frame of an entry on, or from the first frame."""
    selection = Selection(part)

    def missed(number: int) -> bool:
        """Whether a lost frame is one of the part; on the way to it from an entry, none is expected to be lost."""
        if entry is not None and number < entry.number + len(entry.expected):
            raise Unexpected
        return selection.misses(number)

    with open_file(path) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        stream.thread_type = "AUTO"
        context.thread_count = threads or 0
        context.copy_opaque = True  # a frame tells which packet it is from
        if _end_of_index(stream) > path.stat().st_size:
            losses.cut("")
        check_pixels(path, stream.width, stream.height)
        crop = crop_of(path, container.format.name, index=container.streams.video.index(stream))
        picture, clock = Picture(height, sample_aspect_ratio(stream), crop), _Clock(1 / frame_rate(stream))
        packets, first = _packets(container, stream, entry), 0 if entry is None else entry.number
        frames = numbered(packets, losses, incomplete=_incomplete(stream, path), missed=missed, first=first)
        if entry is not None:
            clock.begin(entry, stream)
            frames = _checked(frames, entry)
        for number, section, frame in frames:
            time = clock.time(frame, section)
            if selection.ends(number, time):
                break
            if not selection.takes(number, time):
                passed()
                continue
            pixels = picture.pixels(frame)
            yield Frame(
                f"{number:05d}",
                time=time,
                pixels=pixels,
                native_size=picture.native_size,
                sample_aspect_ratio=picture.sample_aspect_ratio,
            )
            if selection.ends_after(number):
                return
        if losses.total is not None and max(clock.end, clock.last + clock.usual) < 0.95 * _promised_seconds(stream) - 0.5:
            losses.cut(f", its video ends after {float(clock.last):.1f} s")
        if losses.total != 0 and not losses.names:  # of a video without any frame, who asked for it says so
            selection.check(path, losses.total, clock.last + clock.usual)


def _packets(container: InputContainer, stream: VideoStream, entry: Entry | None) -> Iterator[av.Packet]:
    if entry is None:
        return container.demux(stream)
    container.seek(entry.expected[0], stream=stream)
    return dropwhile(lambda packet: packet.pts != entry.expected[0], container.demux(stream))


def _checked(frames: Iterator[Numbered], entry: Entry) -> Iterator[Numbered]:
    """Raises Unexpected where other frames come out than an entry says, until the first of the part has come."""
    for stamp in entry.expected:
        found = next(frames, None)
        if found is None or found[2].pts != stamp or found[2].is_corrupt:
            raise Unexpected
        yield found
    yield from frames


def first_moment(path: Path) -> Fraction:
    """Returns when the first frame that can be decoded is shown, in seconds by the clock of the file."""
    with open_file(path) as container:
        stream = video_stream(container, path)
        stream.codec_context.copy_opaque = True
        packets, incomplete = container.demux(stream), _incomplete(stream, path)
        for _, _, frame in numbered(packets, Losses(path, "skip"), incomplete=incomplete, missed=lambda _: False):
            if frame.pts is not None and frame.time_base is not None:
                return Fraction(frame.pts * frame.time_base)
            break
        return Fraction(0)


def _incomplete(stream: VideoStream, path: Path) -> Callable[[av.Packet], bool]:
    """Returns what tells of a packet whether a part of it is missing."""
    if stream.container.format.name != "mpegts":
        return lambda packet: packet.is_corrupt

    places: set[int] | None = None  # looked for only where something is wrong: the whole file is read for it

    def incomplete(packet: av.Packet) -> bool:
        nonlocal places
        if packet.is_corrupt and places is None:
            places = incomplete_frames(path, stream.id)
        return places is not None and packet.pos in places

    return incomplete


def _end_of_index(stream: VideoStream) -> int:
    """Returns where the last frame of an MP4 file ends, by its index; a file that is cut off may still have its whole index."""
    entries = stream.index_entries if "mp4" in stream.container.format.name else ()
    return max((entry.pos + entry.size for entry in entries), default=0)


def _promised_seconds(stream: VideoStream) -> float:
    """Returns the duration by the header of a Matroska file, else 0. Its index does not list all frames."""
    found = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    hours, minutes, seconds = map(float, found.groups() if found else (0, 0, 0))
    return 3600 * hours + 60 * minutes + seconds


class _Clock:
    """Seconds since the first frame: always increasing, whatever the file says."""

    def __init__(self, usual: Fraction) -> None:
        self.usual, self.last = usual, -usual
        self.first: Fraction | None = None
        self.section = 0
        self.end = Fraction(0)
        """When the last frame ends, by the clock of the file."""

    def begin(self, entry: Entry, stream: VideoStream) -> None:
        """Begins with the key frame of an entry."""
        assert stream.time_base is not None
        self.first = entry.first * stream.time_base
        self.last = (entry.expected[0] - entry.first) * stream.time_base - self.usual

    def time(self, frame: av.VideoFrame, section: int) -> Fraction:
        """Returns when a frame is shown. section: another one has a clock that began anew."""
        expected = self.last + self.usual
        if frame.pts is not None and frame.time_base is not None:
            absolute = frame.pts * frame.time_base
            self.end = absolute + ((frame.duration or 0) * frame.time_base or self.usual)
            if self.first is None or section != self.section:
                self.first, self.section = absolute - expected, section
            if absolute - self.first > self.last:
                expected = absolute - self.first
        self.last = expected
        return expected

"""Reads what the container of a video cuts off its frames: PixelCrop of Matroska, the clean aperture of MP4.

FFmpeg's decoders apply the crop of a codec, such as that of H.264, but not that of a container; its command line does.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from struct import unpack
from typing import BinaryIO, NamedTuple

MOST = 100_000
"""Parts of one level that are looked at."""


class Crop(NamedTuple):
    """Pixels that are cut off each side of the coded frame."""

    left: int
    top: int
    right: int
    bottom: int

    def fits(self, width: int, height: int) -> bool:
        """Whether a frame has anything left."""
        return self.left + self.right < width and self.top + self.bottom < height


class Part(NamedTuple):
    """A part of a file: a box of MP4 or an element of Matroska."""

    name: bytes
    start: int
    """Where its content begins."""
    end: int


Parts = Callable[[BinaryIO, Part], Iterator[Part]]
"""Yields the parts within another one."""


def crop_of(path: Path, container: str, index: int) -> Crop | None:
    """Returns the crop of a video stream; None where there is none. container: FFmpeg's name; index: among the video streams."""
    readers = {"matroska": matroska_crops, "mov": mp4_crops}
    reader = readers.get(container.split(",")[0])
    if reader is None:
        return None
    with path.open("rb") as file:
        crops = reader(file)
    return crops[index] if index < len(crops) else None


def mp4_crops(file: BinaryIO) -> list[Crop | None]:
    """Returns the crop of each video track of an MP4 file."""
    crops = list[Crop | None]()
    for media in _below(file, _whole(file), names=[b"moov", b"trak", b"mdia"], parts=boxes):
        kinds = [_content(file, part)[8:12] for part in boxes(file, media) if part.name == b"hdlr"]
        if b"vide" not in kinds:
            continue
        crops.append(None)
        for table in _below(file, media, names=[b"minf", b"stbl", b"stsd"], parts=boxes):
            for entry in boxes(file, table._replace(start=table.start + 8)):
                width, height = unpack(">24x2H", _content(file, entry).ljust(28, b"\0")[:28])
                for part in boxes(file, entry._replace(start=entry.start + 78)):
                    if part.name == b"clap" and len(content := _content(file, part)) >= 32:
                        crops[-1] = _aperture(width, height, unpack(">8i", content[:32]))
    return crops


def matroska_crops(file: BinaryIO) -> list[Crop | None]:
    """Returns the crop of each video track of a Matroska file."""
    crops = list[Crop | None]()
    names = [b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"]  # Segment, Tracks, TrackEntry, Video
    for video in _below(file, _whole(file), names=names, parts=elements):
        values = {part.name: int.from_bytes(_content(file, part)[:8]) for part in elements(file, video)}
        left, top, right, bottom = (values.get(name, 0) for name in (b"\x54\xcc", b"\x54\xbb", b"\x54\xdd", b"\x54\xaa"))
        crop = Crop(left, top, right=right, bottom=bottom)
        crops.append(crop if any(crop) else None)
    return crops


def boxes(file: BinaryIO, inside: Part) -> Iterator[Part]:
    """Yields the boxes of an MP4 file within another one."""
    at = inside.start
    for _ in range(MOST):
        file.seek(at)
        head = file.read(16)
        if at + 8 > inside.end or len(head) < 8:
            return
        size, start = int.from_bytes(head[:4]), at + 8
        if size == 1:
            size, start = int.from_bytes(head[8:16]), at + 16
        end = inside.end if not size else min(at + size, inside.end)
        if end < start:
            return
        yield Part(head[4:8], start, end)
        at = end


def elements(file: BinaryIO, inside: Part) -> Iterator[Part]:
    """Yields the elements of a Matroska file within another one. One of unknown size takes all that follows."""
    at = inside.start
    for _ in range(MOST):
        file.seek(at)
        head = file.read(12)
        if at >= inside.end or len(head) < 2 or head[0] < 0x10:
            return
        length = 9 - head[0].bit_length()  # a number says by its leading zeros how many bytes it has
        if len(head) <= length or not head[length]:
            return
        width = 9 - head[length].bit_length()
        unknown = (1 << 7 * width) - 1
        size = int.from_bytes(head[length : length + width]) & unknown
        start = at + length + width
        end = inside.end if size == unknown else min(start + size, inside.end)
        yield Part(head[:length], start, end)
        at = end


def _below(file: BinaryIO, inside: Part, *, names: list[bytes], parts: Parts) -> Iterator[Part]:
    """Yields the parts that are reached by a path of names."""
    for part in parts(file, inside):
        if part.name == names[0]:
            if names[1:]:
                yield from _below(file, part, names=names[1:], parts=parts)
            else:
                yield part


def _whole(file: BinaryIO) -> Part:
    return Part(b"", 0, file.seek(0, 2))


def _content(file: BinaryIO, part: Part) -> bytes:
    file.seek(part.start)
    return file.read(min(part.end - part.start, 1 << 10))


def _aperture(width: int, height: int, numbers: tuple[int, ...]) -> Crop | None:
    """Returns the crop to a clean aperture: width, height, and how far its centre is off that of the frame, as fractions."""
    if not all(numbers[1::2]):
        return None
    aperture_width, aperture_height, across, down = (Fraction(*numbers[at : at + 2]) for at in range(0, 8, 2))
    left, top = int((width - aperture_width) / 2 + across), int((height - aperture_height) / 2 + down)
    right, bottom = width - left - int(aperture_width), height - top - int(aperture_height)
    crop = Crop(left, top, right=right, bottom=bottom)
    return crop if any(crop) and min(crop) >= 0 else None

"""Containers of real encoders with a part added, as other programs write them."""

from pathlib import Path
from struct import pack

from revseg.video.crop import Crop, Part, boxes, elements

MP4 = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
MATROSKA = [b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"]


def add_clean_aperture(path: Path, size: tuple[int, int], crop: Crop) -> None:
    """Adds a clean aperture to an H.264 stream in MP4, whose index must be at the end. size: (H, W) as coded."""
    height, width = size
    numbers = width - crop.left - crop.right, 1, height - crop.top - crop.bottom, 1
    numbers += crop.left - crop.right, 2, crop.top - crop.bottom, 2
    box = pack(">I4s8i", 40, b"clap", *numbers)
    content = bytearray(path.read_bytes())
    chain, skipped = [], {b"stsd": 8}
    with path.open("rb") as file:
        inside = Part(b"", 0, len(content))
        for name in MP4:
            start = inside.start + skipped.get(inside.name, 0)
            inside = next(part for part in boxes(file, inside._replace(start=start)) if part.name == name)
            chain.append(inside)
    for part in chain:
        length = int.from_bytes(content[part.start - 8 : part.start - 4]) + len(box)
        content[part.start - 8 : part.start - 4] = pack(">I", length)
    content[chain[-1].end : chain[-1].end] = box
    path.write_bytes(content)


def add_pixel_crop(path: Path, crop: Crop) -> None:
    """Adds PixelCrop to the video track of a Matroska file that was written live, and so has no index to mend."""
    content = bytearray(path.read_bytes())
    numbers = zip((0x54CC, 0x54BB, 0x54DD, 0x54AA), crop, strict=True)
    added = b"".join(pack(">HBB", name, 0x81, value) for name, value in numbers)
    chain = []
    with path.open("rb") as file:
        inside = Part(b"", 0, len(content))
        for name in MATROSKA:
            inside = next(part for part in elements(file, inside) if part.name == name)
            chain.append(inside)
    content[chain[-1].end : chain[-1].end] = added
    for part in chain[:0:-1]:  # without the segment, whose size is unknown; a longer size would move what is outside
        width = next(width for width in range(1, 9) if content[: part.start - width].endswith(part.name))
        size = part.end - part.start + len(added)
        assert size < (1 << 7 * width) - 1
        content[part.start - width : part.start] = (size | 1 << 7 * width).to_bytes(width)
    path.write_bytes(content)

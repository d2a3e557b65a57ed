"""Bytes that decoding takes, told from sizes alone."""

from __future__ import annotations

from dataclasses import dataclass

from revseg import storage
from revseg.video.worker import SLOTS

DECODER_BYTES = 64 << 20
"""Program and libraries of the process that decodes, which no other process shares."""
DECODED_AHEAD = 24
"""Frames at their own size that FFmpeg holds: references, and one for each of its threads."""


@dataclass(frozen=True)
class Footage:
    """A video in numbers."""

    frames: int
    native_size: tuple[int, int]
    """(H, W) of its own."""
    channels: int = 3

    @property
    def native_pixels(self) -> int:
        """Pixels of a frame at its own size."""
        return self.native_size[0] * self.native_size[1]

    def volume_bytes(self, size: tuple[int, int]) -> int:
        """Bytes of all frames at a size (H, W)."""
        return self.channels * self.frames * size[0] * size[1]


def decoding_bytes(footage: Footage, size: tuple[int, int]) -> int:
    """Bytes while the frames are gathered at a size (H, W): the volume, of one on disk some pages, and the slots of the decoding
    process."""
    volume = footage.volume_bytes(size)
    return (storage.PAGES if storage.on_disk(volume) else volume) + min(SLOTS, footage.frames) * volume // footage.frames


def decoder_bytes(footage: Footage) -> int:
    """Bytes of the process that decodes: a few frames of 3 bytes a pixel at most, at their own size."""
    return DECODER_BYTES + DECODED_AHEAD * 2 * footage.native_pixels

"""Where decoding can begin, so that a part of a video has the same frames as if it were decoded from the beginning.

The packets before the part are read and not decoded: they tell the numbers of the frames. It is done only where a packet is a
frame, as in MP4 and Matroska, and nothing is damaged or hidden. What then comes out is compared with what was to come, before the
first frame of the part is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import av
from av.video.stream import VideoStream

from revseg.video.part import Moment

CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg", "prores")
"""Those whose key frames need nothing of what was before, and of which a packet is a frame that is shown."""
REORDERED = 32
"""Frames that may come before one that is shown earlier; H.264 and HEVC allow 16."""


class Unexpected(Exception):
    """Other frames came out than those that were to come."""


@dataclass(frozen=True)
class Entry:
    """A key frame to begin with."""

    number: int
    first: int
    """Time stamp of the first frame of the video."""
    expected: tuple[int, ...]
    """Time stamps of the frames from the key frame on to the first of the part."""


def entry_of(
    packets: Iterable[av.Packet], stream: VideoStream, start: Moment, *, passed: Callable[[], None] = lambda: None
) -> Entry | None:
    """Returns the last key frame before a part begins; None where decoding has to begin with the first frame."""
    if not start or stream.container.format.name not in CONTAINERS or stream.time_base is None:
        return None
    if stream.codec_context.codec.canonical_name not in CODECS:
        return None
    stamps, keys, first, clock, beyond = list[int](), list[int](), 0, None, 0
    limit = None if isinstance(start, int) else start / stream.time_base
    for packet in packets:
        passed()
        stamp = packet.pts
        if stamp is None and packet.dts is None and not packet.size:  # the end
            break
        if stamp is None or not packet.size or packet.is_corrupt or packet.is_discard:
            return None
        if clock is not None and packet.dts is not None and packet.dts <= clock:
            return None
        clock = packet.dts if packet.dts is not None else clock
        if not stamps:
            first = stamp
        if stamp < first or (not stamps and not packet.is_keyframe):
            return None
        stamps.append(stamp)
        if packet.is_keyframe:
            keys.append(stamp)
        beyond += limit is not None and stamp - first >= limit
        if beyond > REORDERED or (isinstance(start, int) and len(stamps) > start + REORDERED):
            break
    shown = sorted(stamps)
    if len(set(shown)) < len(shown):
        return None
    target = start if limit is None else next((at for at, stamp in enumerate(shown) if stamp - first >= limit), len(shown))
    if not isinstance(target, int) or target >= len(shown):
        return None
    number = shown.index(max(stamp for stamp in keys if stamp <= shown[target]))
    return Entry(number, first, tuple(shown[number : target + 1])) if number else None

"""Gives the frames of a video file their numbers, which frames that cannot be decoded keep as well."""

from collections.abc import Callable, Iterator
from typing import cast

import av

from revseg.video.frame import Losses

Packets = Iterator[av.Packet]
Place = tuple[int, int]
"""Where a frame is shown: the section of the file, and its time there. A section begins where the clock of the file restarts."""
Numbered = tuple[int, int, av.VideoFrame]
"""The number of a frame, its section, and the frame."""


def numbered(
    packets: Packets,
    losses: Losses,
    *,
    incomplete: Callable[[av.Packet], bool],
    missed: Callable[[int], bool],
    first: int = 0,
) -> Iterator[Numbered]:
    """Yields (number, section, frame). incomplete: tells of a packet whether a part of it is missing. missed: tells of the number
    of a frame that is lost whether anybody asks for it. first: number of the first frame.

    Threads report an error some packets late. But frames come out in order of time: after an error, a frame that
    did not come out is lost as soon as a later frame comes out; without an error, it was not meant to be shown.
    If a lost frame comes out after all, out of order, it stays lost.
    """

    def lose(number: int, count: int) -> int:
        """Records `count` lost frames, the first with this number; returns the next number."""
        for each in range(number, number + count):
            if missed(each):
                losses.add(f"{each:05d}")
        return number + count

    decoding = _Decoding(packets, incomplete)
    number, errors, lost = first, 0, set[Place]()
    while (step := decoding.step()) is not None:
        frames, failed = step
        errors += failed
        for frame in frames:
            section = cast(int, frame.opaque or 0)
            place = None if frame.pts is None else (section, frame.pts)
            if place in lost:
                continue
            late = decoding.overtaken(place)
            if decoding.damaged:
                lost |= late
                number = lose(number, errors if place is None else len(late))
            errors = 0
            if frame.is_corrupt:
                number = lose(number, 1)
            else:
                yield number, section, frame
                number += 1
    if decoding.damaged:
        number = lose(number, len(decoding.sent) or errors)
    losses.total = number


class _Decoding:
    """Packets on their way through the decoder."""

    def __init__(self, packets: Packets, incomplete: Callable[[av.Packet], bool]) -> None:
        self.packets, self.incomplete = packets, incomplete
        self.sent = set[Place]()
        """Frames that went in and are to come out."""
        self.damaged = False
        self.section = 0
        self._clock: int | None = None
        self._first: Place | None = None
        self._begun = False

    def step(self) -> tuple[list[av.VideoFrame], bool] | None:
        """Returns the frames that come out as the next packet goes in, and whether something failed; None at the end."""
        try:
            packet = next(self.packets, None)
            if packet is None:
                return None
            self._send(packet)
            failed = self.incomplete(packet)
            frames = [] if failed else packet.decode()  # decoded, it would show half a picture
        except MemoryError:
            raise
        except BlockingIOError as error:  # no memory for a thread of the decoder
            raise MemoryError from error
        except av.FFmpegError:
            frames, failed = [], True
        failed = failed and self._begun
        self.damaged = self.damaged or failed
        return frames, failed

    def overtaken(self, place: Place | None) -> set[Place]:
        """Returns the frames that should have come out before this one, and no longer waits for them."""
        late = {other for other in self.sent if place is not None and other < place}
        self.sent -= late | {place}
        self._begun = True
        return late

    def _send(self, packet: av.Packet) -> None:
        """Notes where a packet belongs. What comes before the first key frame, in the file or in time, nobody can decode."""
        if packet.dts is not None:
            self.section += self._clock is not None and packet.dts < self._clock
            self._clock = packet.dts
        packet.opaque = self.section
        place = None if packet.pts is None else (self.section, packet.pts)
        if packet.is_keyframe and not self._begun:
            self._begun, self._first = True, place
        hidden = packet.is_discard or not packet.size  # cut away by the file's edit list; the end
        if place is not None and self._begun and not hidden and (self._first is None or place >= self._first):
            self.sent.add(place)

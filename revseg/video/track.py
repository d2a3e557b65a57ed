"""The sound track of a video that is written."""

from __future__ import annotations

import io
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from revseg.video.sound import Sound, SoundPacket


class SoundTrack:
    """Puts sound into a container, up to the time that its pictures have come to.

    begins: what time of the sound is the first picture's. early: whether sound may begin before it.
    """

    def __init__(self, container: OutputContainer, sound: Sound, begins: Fraction, *, early: bool) -> None:
        self.container, self.begins, self.early = container, begins, early
        self.problem: str | None = None
        """Why the sound ends before the pictures do."""
        self.until = Fraction(0)
        """Where the sound ended."""
        self._packets = sound.packets
        self._next: SoundPacket | None = None
        with av.open(io.BytesIO(sound.header), format="nut") as file:
            template = file.streams.audio[0]
            self._rate = template.rate
            self._stream: AudioStream = container.add_stream_from_template(template)

    def write(self, seconds: Fraction) -> None:
        """Writes what is to be heard before a time of the video that is written."""
        while (packet := self._packet()) is not None and packet.time - self.begins < seconds:
            self._next = None
            time = packet.time - self.begins
            if time < 0 and not self.early:
                continue
            written = av.Packet(packet.data)
            written.stream, written.time_base = self._stream, Fraction(1, self._rate)
            written.pts = written.dts = round(time * self._rate)
            written.duration = round(packet.duration * self._rate)
            self.container.mux(written)
            self.until = time + packet.duration

    def _packet(self) -> SoundPacket | None:
        """Returns the next packet, which stays the next one until it is taken."""
        if self._next is None and self.problem is None:
            try:
                self._next = next(self._packets, None)
            except (ValueError, OSError) as error:
                self.problem = str(error)
        return self._next

"""The sound of a video for the container of another one: its packets as they are where that takes the codec, else new ones."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from revseg.video.file import first_moment, open_file

ENCODERS = {"aac": "aac", "opus": "libopus"}
"""Encoders of the codecs that a container may want."""
MOST_RATE = 48_000
"""Samples per second that are encoded: of AAC at most, of Opus always."""
BIT_RATE = 96_000
"""Bits per second of each channel that is encoded."""
BACK = Fraction(1, 10)
"""Seconds by which a packet may begin before the last one: more is a clock that began anew."""


class SoundPacket(NamedTuple):
    """Some compressed sound."""

    data: bytes
    time: Fraction
    """Seconds since the first frame of the video."""
    duration: Fraction


@dataclass
class Sound:
    """A sound track under way."""

    header: bytes
    """A file in the format NUT with the first packet, which says what the codec is."""
    packets: Generator[SoundPacket]
    """In order of time, read as they are asked for. Where the rest cannot be read, a ValueError says so in one sentence."""


def read_sound(path: Path, codecs: Sequence[str], begins: Fraction) -> Sound | None:
    """Opens the sound of a video; None where it has none after `begins`, in seconds since its first frame.

    codecs: those that are taken as they are; the first one is what others become. Raises ValueError in one sentence.
    """
    header = io.BytesIO()
    packets = _packets(path, codecs, begins, header=header)
    first = next(packets, None)
    return None if first is None else Sound(header.getvalue(), _with_first(first, packets))


def _with_first(first: SoundPacket, others: Generator[SoundPacket]) -> Generator[SoundPacket]:
    with closing(others):
        yield first
        yield from others


def _packets(path: Path, codecs: Sequence[str], begins: Fraction, *, header: io.BytesIO) -> Generator[SoundPacket]:
    """Yields the packets; with the first one, the header is there."""
    try:
        first, last = first_moment(path), None
        with open_file(path) as container, av.open(header, "w", format="nut") as file:
            stream = container.streams.best("audio")
            if not isinstance(stream, AudioStream):
                return
            if stream.codec_context is None:
                raise ValueError("its codec is unknown")
            copied = stream.codec_context.codec.canonical_name in codecs
            target = file.add_stream_from_template(stream) if copied else _encoder(file, stream, codecs[0])
            for packet in _read(container, stream) if copied else _encoded(container, stream, target):
                if packet.pts is None or packet.time_base is None:
                    continue
                duration, time = (packet.duration or 0) * packet.time_base, packet.pts * packet.time_base - first
                if last is not None and time < last - BACK:
                    raise ValueError(f"its clock begins anew after {float(last):.1f} s")
                last = time if last is None else max(last, time)
                if time + duration < begins:
                    continue  # one that ends there stays: decoders of AAC need the packet before
                if not header.tell():
                    _write_header(file, target, packet)
                yield SoundPacket(bytes(packet), last, duration)
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"the sound of {path} cannot be read ({error})") from error


def _read(container: InputContainer, stream: AudioStream) -> Iterator[av.Packet]:
    return (packet for packet in container.demux(stream) if packet.size)


def _encoder(file: OutputContainer, stream: AudioStream, codec: str) -> AudioStream:
    """Returns a stream that encodes the sound of another one."""
    rate = MOST_RATE if codec == "opus" else min(stream.rate, MOST_RATE)
    layout = "mono" if stream.channels == 1 else "stereo"
    target = file.add_stream(ENCODERS[codec], rate=rate, layout=layout)
    assert isinstance(target, AudioStream)
    target.bit_rate = BIT_RATE * target.channels
    return target


def _encoded(container: InputContainer, stream: AudioStream, target: AudioStream) -> Iterator[av.Packet]:
    """Yields the sound encoded anew; where it has gaps, with silence."""
    context = target.codec_context
    context.open(strict=False)
    resampler = av.AudioResampler(
        context.format.name, context.layout.name, context.rate, frame_size=context.frame_size, options={"async": "1"}
    )
    frames = (frame for packet in container.demux(stream) for frame in packet.decode() if isinstance(frame, av.AudioFrame))
    for frame in chain(frames, [None]):
        for even in resampler.resample(frame):
            yield from context.encode(even)
    yield from context.encode(None)


def _write_header(file: OutputContainer, target: AudioStream, first: av.Packet) -> None:
    """Writes what says what the codec is; a file without any packet cannot be opened."""
    packet = av.Packet(bytes(first))
    packet.stream, packet.time_base, packet.pts, packet.dts = target, first.time_base, 0, 0
    file.mux(packet)
    file.close()

"""Videos of known content, made with real encoders."""

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

Pixels = np.ndarray


@pytest.fixture
def pictures() -> Callable[..., Pixels]:
    """make(frames, height, width): (T, H, W, 3), ever brighter; redder to the right, greener downwards."""

    def make(frames: int = 12, height: int = 64, width: int = 96) -> Pixels:
        y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
        one = np.stack([20 + 120 * x, 20 + 120 * y, np.full_like(x, 60)], axis=-1)
        return np.stack([one + 90 * t / max(1, frames - 1) for t in range(frames)]).astype(np.uint8)

    return make


@pytest.fixture
def encode() -> Callable[..., Path]:
    """encode(path, frames, codec=...): writes a video with PyAV."""

    def write(
        path: Path,
        frames: Pixels,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        rate: int = 25,
        times: Sequence[int] | None = None,
        rotation: int | None = None,
        options: dict[str, str] | None = None,
        container: dict[str, str] | None = None,
    ) -> Path:
        with av.open(str(path), "w", options=container or {}) as file:
            stream = file.add_stream(codec, rate=rate, options=options or {})
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            if rotation is not None:
                stream.set_display_rotation(rotation)
            for index, pixels in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                picture.pts = index if times is None else times[index]
                file.mux(stream.encode(picture))
            file.mux(stream.encode())
        if codec == "libsvtav1":  # as root it makes a real-time process of this one, for which all others wait
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return path

    return write


@pytest.fixture
def break_packet() -> Callable[[Path, int], None]:
    """break_packet(path, frame): overwrites the compressed data of one frame with noise."""

    def overwrite(path: Path, frame: int) -> None:
        with av.open(str(path)) as file:
            packets = [packet for packet in file.demux(video=0) if packet.size]
            packet = sorted(packets, key=lambda packet: packet.pts)[frame]
            start, size = packet.pos, packet.size
        noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()
        content = path.read_bytes()
        path.write_bytes(content[:start] + noise + content[start + size :])

    return overwrite

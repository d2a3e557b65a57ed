"""A video with a sound track of known content, and what FFmpeg's own programs say of a file."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

RATE = 24_000
"""Samples per second."""


def tone(seconds: float) -> np.ndarray:
    """Mono float32: 440 Hz, which begins anew, louder, with every half second."""
    time = np.arange(int(seconds * RATE)) / RATE
    return (0.2 + 0.15 * np.floor(2 * time)).clip(max=0.9).astype(np.float32) * np.sin(2 * np.pi * 440 * time).astype(np.float32)


def write_film(path: Path, frames: np.ndarray, codec: str, *, rate: int = 25, seconds: float | None = None) -> Path:
    """Writes frames (T, H, W, 3) with a tone, as long as they are unless told otherwise."""
    samples = tone(len(frames) / rate if seconds is None else seconds)
    with av.open(str(path), "w") as file:
        # Without frames that refer to later ones, whose times AVI would not know.
        video, sound = (
            file.add_stream("libx264", rate=rate, options={"bf": "0"}),
            file.add_stream(codec, rate=RATE, layout="mono"),
        )
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], "yuv420p"
        for index, pixels in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts = index
            file.mux(video.encode(picture))
        if codec == "libmp3lame":
            sound.format = "s16p"
        kind = sound.codec_context.format.name
        for start in range(0, len(samples), 960):
            part = samples[None, start : start + 960]
            if kind.startswith("s16"):
                part = (part * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format=kind, layout="mono")
            frame.rate, frame.pts = RATE, start
            file.mux(sound.encode(frame))
        file.mux([*video.encode(), *sound.encode()])
    return path


def program(name: str) -> str:
    """Returns where a program of FFmpeg is; skips where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install ffmpeg")
    return found


def probed(path: Path) -> dict[str, dict[str, Any]]:
    """Returns what ffprobe says of the streams, by their kind."""
    line = [program("ffprobe"), "-v", "error", "-show_streams", "-of", "json", str(path)]
    streams = json.loads(subprocess.run(line, check=True, capture_output=True).stdout)["streams"]
    return {stream["codec_type"]: stream for stream in streams}


def heard(path: Path) -> np.ndarray:
    """Returns the sound as ffmpeg decodes it, from the time of the first frame on: mono float32."""
    from_zero = ["-af", "aresample=async=1:first_pts=0"]
    line = [program("ffmpeg"), "-v", "error", "-i", str(path), *from_zero, "-f", "f32le", "-ac", "1", "-ar", str(RATE), "-"]
    return np.frombuffer(subprocess.run(line, check=True, capture_output=True).stdout, np.float32)


def shown(path: Path, pixels: str, size: tuple[int, int], *options: str) -> np.ndarray:
    """Returns the frames as ffmpeg decodes them: (T, H, W, channels). options: before the file."""
    line = [program("ffmpeg"), "-v", "error", *options, "-i", str(path), "-f", "rawvideo", "-pix_fmt", pixels, "-vsync", "0", "-"]
    data = subprocess.run(line, check=True, capture_output=True).stdout
    channels = {"rgba": 4, "rgb24": 3, "gray": 1}[pixels]
    return np.frombuffer(data, np.uint8).reshape(-1, *size, channels)

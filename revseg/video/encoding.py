"""The kinds of video that are written: container, codec, pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Encoding:
    """How frames become a video file."""

    container: str
    codec: str
    pixel_format: str
    options: Mapping[str, str]
    pixels: str = "rgb24"
    """How frames come, in FFmpeg's words."""
    odd_format: str | None = None
    """Pixel format for odd sizes; None: the same."""
    sound: tuple[str, ...] = ()
    """Codecs of sound that the container takes; the first one is what others become."""
    early_sound: bool = True
    """Whether sound may begin before the first frame."""
    square: bool = False
    """Whether pixels are made square, because players take them for it."""
    container_options: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the stream of pictures says of itself."""

    def format_for(self, height: int, width: int) -> str:
        """Returns the pixel format for frames of a size."""
        return self.odd_format if self.odd_format and (height % 2 or width % 2) else self.pixel_format


FAST_START = {"movflags": "+faststart"}
"""So that it plays while it loads."""

H264 = Encoding(
    "mp4",
    "libx264",
    # Halved colour planes need even sides. Every player can show them; not every player can show full planes.
    pixel_format="yuv420p",
    odd_format="yuv444p",
    options={"crf": "18", "preset": "veryfast"},
    sound=("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    container_options=FAST_START,
)
"""What all players can show."""

MATTE = replace(H264, options={"crf": "12", "preset": "veryfast"}, pixels="gray", sound=())
"""Black and white, with edges as exact as 8 bits allow."""

PRORES_4444 = Encoding(
    "mov",
    "prores_ks",
    pixel_format="yuva444p10le",
    options={"profile": "4444", "vendor": "apl0", "alpha_bits": "16"},
    pixels="rgba",
    sound=("aac", "pcm_s16le", "pcm_s24le", "pcm_f32le", "mp3", "ac3", "alac"),
)
"""What programs for editing film take: alpha of 16 bits, each frame on its own."""

VP9_ALPHA = Encoding(
    "webm",
    "libvpx-vp9",
    pixel_format="yuva420p",
    options={"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "auto-alt-ref": "0"},
    pixels="rgba",
    sound=("opus", "vorbis"),
    early_sound=False,
    square=True,
    metadata={"alpha_mode": "1"},
)
"""What browsers show with alpha. Frames that refer to later ones would lose it."""

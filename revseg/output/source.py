"""The video that masks are written for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from revseg.labels.sample import Sample
from revseg.video.decoder import open_sound
from revseg.video.read import iterate_frames
from revseg.video.scale import Scale
from revseg.video.sound import Sound


@dataclass(frozen=True)
class Source:
    """The video that was segmented."""

    path: Path
    frame_rate: Fraction
    names: Sequence[str]
    """Names of the frames, and so of their masks."""
    on_error: str = "stop"
    decoder: str = "process"
    axes: str | None = None
    scale: Scale | None = None
    """How the values of a volume became bytes."""
    begins: Fraction = Fraction(0)
    """Seconds from the first frame of the video to the first of these."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel as it is to be shown, for a height of 1."""
    sound: bool = False
    """Whether it has a sound track."""
    sha256: str | None = None
    """Hash of what is in it (``digest_of``), where it is known already."""

    @classmethod
    def of(cls, video: Sample, **more: Any) -> Source:
        """The source of a video that was read. more: on_error, axes, decoder, sha256."""
        return cls(
            video.source,
            video.frame_rate,
            video.frame_names,
            scale=video.scale,
            sample_aspect_ratio=video.sample_aspect_ratio,
            sound=video.sound,
            **more,
        )

    def pictures(self) -> Generator[tuple[int, Fraction, NDArray[np.uint8]]]:
        """Decodes it once more: index, seconds since the first, picture (H, W, 3) of each frame."""
        return iterate_frames(self.path, on_error=self.on_error, axes=self.axes, scale=self.scale, decoder=self.decoder)

    def track(self, codecs: Sequence[str]) -> Sound | None:
        """Opens its sound, in one of these codecs; None where these frames have none. Raises ValueError in one sentence."""
        return open_sound(self.path, codecs, self.begins, decoder=self.decoder)

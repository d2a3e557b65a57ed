"""The video that masks are written for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from revseg.labels.sample import Sample
from revseg.video.decoder import open_sound
from revseg.video.read import iterate_frames
from revseg.video.reading import WHOLE, Reading
from revseg.video.sound import Sound


@dataclass(frozen=True)
class Source:
    """The video that was segmented."""

    path: Path
    frame_rate: Fraction
    names: Sequence[str]
    """Names of the frames, and so of their masks."""
    reading: Reading = WHOLE
    """How it was read, with the scale of a volume that was found."""
    begins: Fraction = Fraction(0)
    """Seconds from the first frame of the video to the first of these."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel as it is to be shown, for a height of 1."""
    sound: bool = False
    """Whether it has a sound track."""
    sha256: str | None = None
    """Hash of what is in it (``digest_of``), where it is known already."""

    @classmethod
    def of(cls, video: Sample, reading: Reading = WHOLE, *, sha256: str | None = None) -> Source:
        """The source of a video that was read."""
        return cls(
            video.source,
            video.frame_rate,
            video.frame_names,
            reading=replace(reading, scale=video.scale),
            begins=video.begins,
            sample_aspect_ratio=video.sample_aspect_ratio,
            sound=video.sound,
            sha256=sha256,
        )

    def pictures(self) -> Generator[tuple[int, Fraction, NDArray[np.uint8]]]:
        """Decodes it once more: index, seconds since the first of these, picture (H, W, 3) of each frame."""
        with closing(iterate_frames(self.path, self.reading)) as frames:
            for index, seconds, picture in frames:
                yield index, seconds - self.begins, picture

    def track(self, codecs: Sequence[str]) -> Sound | None:
        """Opens its sound, in one of these codecs; None where these frames have none. Raises ValueError in one sentence."""
        return open_sound(self.path, codecs, self.begins, decoder=self.reading.decoder)

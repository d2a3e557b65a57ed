"""Where videos are decoded: in a process of its own with limits, or in this one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings are checked before a library that decodes is loaded
    from revseg.video.decode import Decoded
    from revseg.video.frame import Losses
    from revseg.video.reading import Reading
    from revseg.video.sound import Sound

DECODERS = ("process", "inline")


def check_decoder(name: str) -> None:
    """Raises ValueError for an unknown one."""
    if name not in DECODERS:
        raise ValueError(f"data.decoder is {name}; choose {' or '.join(DECODERS)}")


def open_video(path: Path, reading: Reading, *, height: int | None, losses: Losses, threads: int | None) -> Decoded:
    """Opens a video where its reading says; systems without fork decode inline."""
    if reading.decoder == "inline" or not hasattr(os, "fork"):
        from revseg.video.decode import decode

        return decode(path, reading.part, height=height, losses=losses, threads=threads)
    from revseg.video.process import decode_apart  # only here: systems without fork cannot load it

    return decode_apart(path, reading, height=height, losses=losses, threads=threads)


def open_sound(path: Path, codecs: Sequence[str], begins: Fraction, *, decoder: str) -> Sound | None:
    """Opens the sound of a video (``read_sound``), where it is decoded."""
    check_decoder(decoder)
    if decoder == "inline" or not hasattr(os, "fork"):
        from revseg.video.sound import read_sound

        return read_sound(path, codecs, begins)
    from revseg.video.process import sound_apart

    return sound_apart(path, codecs, begins)

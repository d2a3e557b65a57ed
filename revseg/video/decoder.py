"""Where videos are decoded: in a process of its own with limits, or in this one."""

from __future__ import annotations

import os
from pathlib import Path

from revseg.video.decode import Decoded, decode
from revseg.video.frame import Losses

DECODERS = ("process", "inline")

_chosen = "process"


def choose_decoder(name: str) -> None:
    """Sets where this process decodes from now on: "process" or "inline"."""
    global _chosen
    if name not in DECODERS:
        raise ValueError(f"data.decoder is {name}; choose one of {', '.join(DECODERS)}")
    _chosen = name


def open_video(path: Path, *, height: int | None, losses: Losses, threads: int | None) -> Decoded:
    """Opens a video. Systems without fork decode inline."""
    if _chosen == "inline" or not hasattr(os, "fork"):
        return decode(path, height=height, losses=losses, threads=threads)
    from revseg.video.process import decode_apart  # only here: systems without fork cannot load it

    return decode_apart(path, height=height, losses=losses, threads=threads)

"""Decodes a video of any kind that is read as pictures: a file, a folder of images, a stack. Imports no PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from revseg.video.file import decode_file, facts_of_file
from revseg.video.folder import FRAME_RATE, decode_folder, image_files
from revseg.video.frame import Facts, Frame, Losses
from revseg.video.part import Part

STACKS = (".tif", ".tiff", ".webp")


@dataclass
class Decoded:
    """A video under way."""

    facts: Facts
    frames: Generator[Frame]
    """Those of the part in order, decoded as they are asked for. The pixels of one are there until the next one is asked for:
    copy what is kept."""


def decode(
    path: Path,
    part: Part,
    *,
    height: int | None,
    losses: Losses,
    threads: int | None,
    passed: Callable[[], None] = lambda: None,
) -> Decoded:
    """Opens a part of a video. height: of the frames, None: the video's own. threads: None: one per core. passed: is called for
    each frame that is read on the way to the part."""
    if path.is_dir():
        files = image_files(path)
        facts = Facts(FRAME_RATE, len(files))
        return Decoded(facts, decode_folder(files, part, height=height, losses=losses, threads=threads))
    if is_stack(path):
        from revseg.video.stack import decode_stack, frame_rate_of  # only here: it loads OpenCV

        return Decoded(Facts(frame_rate_of(path), None), decode_stack(path, part, height=height, losses=losses, threads=threads))
    frames = decode_file(path, part, height=height, losses=losses, threads=threads, passed=passed)
    return Decoded(facts_of_file(path), frames)


def is_stack(path: Path) -> bool:
    """Whether a file has several pictures and is none for FFmpeg."""
    return path.suffix.lower() in STACKS and path.is_file()


def prepare(path: Path) -> None:
    """Loads what decoding a video takes."""
    if is_stack(path):
        import revseg.video.stack  # noqa: F401

"""A video among the results, written frame by frame as the masks come: of the same size, frames and times as the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from revseg.output.frame import OutputFrame, Write
from revseg.output.source import Source
from revseg.video.encoding import Encoding
from revseg.video.write import VideoWriter


@contextmanager
def film(
    path: Path,
    source: Source,
    encoding: Encoding,
    *,
    pixels: Callable[[OutputFrame], NDArray[np.uint8]],
    remarks: dict[str, str],
    sound: bool = False,
) -> Iterator[Write]:
    """Writes a video.

    pixels: what is shown of a frame. sound: whether that of the source is wanted: where it cannot be had, `remarks` says why, by
    the name of the file: pictures without it are better than none.
    """
    track = None
    if sound and source.sound:
        try:
            track = source.track(encoding.sound)
        except (ValueError, OSError) as error:
            remarks[path.name] = str(error)
    with VideoWriter(
        path,
        source.frame_rate,
        sample_aspect_ratio=source.sample_aspect_ratio,
        encoding=encoding,
        sound=track,
        begins=source.begins,
    ) as writer:
        yield lambda frame: writer.write(pixels(frame), frame.seconds)
    if writer.track is not None and writer.track.problem is not None:
        remarks[path.name] = f"{writer.track.problem}: it has the first {float(writer.track.until):.1f} s"

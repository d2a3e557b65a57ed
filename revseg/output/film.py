"""The overlay of a prediction, drawn mask by mask as they come, its preview and its album."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType

from revseg.output.album import Album
from revseg.output.overlay import overlay
from revseg.output.preview import Preview
from revseg.output.source import Source
from revseg.segmentation.segmenter import Segmented
from revseg.video.write import VideoWriter


class Film:
    """Writes overlay.mp4 into a folder: `with Film(source, folder) as film:`, and in it `film.draw(frame)` of each in order.

    labelled: frames with a label of their own. Any one thread at a time may draw. The file is there when the block has ended
    without an error.
    """

    def __init__(self, source: Source, folder: Path, labelled: Collection[int] = ()) -> None:
        self.source = source
        self.album = Album(len(source.names), labelled)
        self.preview = Preview(len(source.names), source.frame_rate)
        self._writer = VideoWriter(folder / "overlay.mp4", source.frame_rate, sample_aspect_ratio=source.sample_aspect_ratio)

    def __enter__(self) -> Film:
        self._stack = ExitStack()
        self._stack.enter_context(self._writer)
        self._pictures = self._stack.enter_context(closing(self.source.pictures()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def draw(self, segmented: Segmented) -> None:
        """Draws the mask of the next frame on it."""
        if (found := next(self._pictures, None)) is None:
            raise ValueError(f"{self.source.path} has fewer frames than when it was read; start again, and leave it as it is")
        index, seconds, frame = found
        drawn = overlay(frame, segmented.mask)
        self._writer.write(drawn, seconds)
        self.preview.add(index, drawn)
        self.album.add(index, drawn, segmented.expected_J)

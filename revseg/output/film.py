"""The overlay of a prediction, drawn mask by mask as they come, and its preview."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType

from revseg.labels.masks import Labels
from revseg.output.overlay import overlay
from revseg.output.preview import Preview
from revseg.output.source import Source
from revseg.video.write import VideoWriter


class Film:
    """Writes overlay.mp4 into a folder: `with Film(source, folder) as film:`, and in it `film.draw(mask)` of each frame in order.

    Any one thread at a time may draw. The file is there when the block has ended without an error.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self.source = source
        self.preview = Preview(len(source.names), source.frame_rate)
        self._writer = VideoWriter(folder / "overlay.mp4", source.frame_rate, sample_aspect_ratio=source.sample_aspect_ratio)

    def __enter__(self) -> Film:
        self._stack = ExitStack()
        self._stack.enter_context(self._writer)
        self._pictures = self._stack.enter_context(closing(self.source.pictures()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def draw(self, mask: Labels) -> None:
        """Draws a mask on the next frame."""
        if (found := next(self._pictures, None)) is None:
            raise ValueError(f"{self.source.path} has fewer frames than when it was read; start again, and leave it as it is")
        index, seconds, frame = found
        drawn = overlay(frame, mask)
        self._writer.write(drawn, seconds)
        self.preview.add(index, drawn)

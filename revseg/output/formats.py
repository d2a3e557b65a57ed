"""The formats of results by name: the file of each, what it takes, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from revseg.output.coco import coco
from revseg.output.config import WITH_ALPHA, OutputConfig
from revseg.output.film import film
from revseg.output.frame import OutputFrame, Write
from revseg.output.images import alpha_images, masks
from revseg.output.legend import Legend
from revseg.output.preview import preview
from revseg.output.probabilities import probabilities
from revseg.output.source import Source
from revseg.output.youtube_vis import youtube_vis
from revseg.video.encoding import H264, MATTE, PRORES_4444, VP9_ALPHA

FILES = {
    "masks": "masks",
    "overlay": "overlay.mp4",
    "alpha": "alpha",
    "prores": "alpha.mov",
    "webm": "alpha.webm",
    "matte": "matte.mp4",
    "cutout": "cutout.mp4",
    "coco": "coco.json",
    "youtube-vis": "youtube_vis.json",
    "probabilities": "probabilities.npy",
    "gif": "preview.gif",
}
"""What each is called in the folder of the results."""

UNORDERED = ("masks", "alpha")
"""Those of which every frame is a file of its own."""
BLIND = ("masks", "coco", "youtube-vis", "probabilities")
"""Those that do not show the video."""


@dataclass(frozen=True)
class Output:
    """Results of one format, or of one object in it."""

    file: str
    opened: Callable[[], AbstractContextManager[Write]]
    """Opens it; then it takes one frame after the other."""
    ordered: bool
    prepare: Callable[[OutputFrame], object]
    """Makes of a frame what takes long, before it is its turn; any thread may do that."""


@dataclass(frozen=True)
class Plan:
    """What is to be written, and of what."""

    config: OutputConfig
    source: Source
    legend: Legend
    folder: Path
    remarks: dict[str, str] = field(default_factory=dict)
    """On films without the sound of the source, by the name of the file."""

    @property
    def shows_video(self) -> bool:
        """Whether anything but masks is shown."""
        return any(name not in BLIND for name in self.config.written)

    def outputs(self) -> Iterator[Output]:
        """Yields what the settings ask for."""
        for name in self.config.written:
            parts: list[int | None] = [None]
            if self.config.each_object and name in WITH_ALPHA:
                parts += self.legend.ids
            for part in parts:
                file = file_of(name, part)
                opened = self._opener(name, self.folder / file, part)
                yield Output(file, opened, ordered=name not in UNORDERED, prepare=_preparation(name, part))

    def _opener(self, name: str, path: Path, part: int | None) -> Callable[[], AbstractContextManager[Write]]:
        sound = self.config.sound
        a_film = partial(film, path, self.source, remarks=self.remarks)
        openers: dict[str, Callable[[], AbstractContextManager[Write]]] = {
            "masks": partial(masks, path),
            "overlay": partial(a_film, H264, pixels=lambda frame: frame.drawn, sound=sound),
            "alpha": partial(alpha_images, path, part),
            "prores": partial(a_film, PRORES_4444, pixels=lambda frame: frame.with_alpha(part), sound=sound),
            "webm": partial(a_film, VP9_ALPHA, pixels=lambda frame: frame.with_alpha(part), sound=sound),
            "matte": partial(a_film, MATTE, pixels=lambda frame: frame.alpha(part)),
            "cutout": partial(a_film, H264, pixels=lambda frame: frame.cut_out(part), sound=sound),
            "coco": partial(coco, path, self.source, self.legend),
            "youtube-vis": partial(youtube_vis, path, self.source, self.legend),
            "probabilities": partial(probabilities, path, len(self.source.names)),
            "gif": partial(preview, path, len(self.source.names), self.source.frame_rate),
        }
        return openers[name]


def _preparation(name: str, part: int | None) -> Callable[[OutputFrame], object]:
    if name not in WITH_ALPHA:
        return lambda frame: None
    return (lambda frame: frame.alpha(part)) if name == "matte" else (lambda frame: frame.colours(part))


def file_of(name: str, part: int | None = None) -> str:
    """Returns the file of a format: matte.mp4; that of an object in it: matte_3.mp4."""
    stem, dot, suffix = FILES[name].partition(".")
    return FILES[name] if part is None else f"{stem}_{part}{dot}{suffix}"


def is_file_of(file: str, config: OutputConfig) -> bool:
    """Whether a file is called like one of these results."""
    if file in {FILES[name] for name in config.written}:
        return True
    whole = re.sub(r"_\d+(?=\.|$)", "", file)
    return config.each_object and whole in {FILES[name] for name in config.written if name in WITH_ALPHA}

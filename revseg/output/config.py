"""Settings of what is written of a segmented video. Imports no PyTorch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FORMATS = (
    "masks",
    "overlay",
    "alpha",
    "prores",
    "webm",
    "matte",
    "cutout",
    "coco",
    "youtube-vis",
    "probabilities",
    "gif",
)
"""What can be written; ``formats`` says how."""

WITH_ALPHA = ("alpha", "prores", "webm", "matte", "cutout")
"""Those for which edges are refined."""

HEX = re.compile(r"#[0-9a-fA-F]{6}")

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class OutputConfig:
    """What is written of a segmented video, and how it looks (docs/howto/results.md)."""

    formats: list[str] = field(default_factory=lambda: ["masks", "overlay"])
    """What is written: masks (palette PNG), overlay (MP4), alpha (PNG), prores (MOV with alpha), webm (VP9 with alpha), matte
    (black-and-white MP4), cutout (MP4), coco, youtube-vis (JSON), probabilities (NumPy), gif. masks are written in any case:
    report, page and revseg-evaluate rest on them."""
    colours: str | None = None
    """Colours of objects 1, 2, ... in overlay and gif: #ff8800,#00aaff; null: those of the masks."""
    strength: float = 0.5
    """How much of an object's colour is in the overlay: 0 (none) to 1 (nothing else)."""
    contours: bool = True
    """Whether the overlay has a bright contour around each object."""
    background: str = "#00b140"
    """Colour behind the objects of cutout."""
    each_object: bool = False
    """Whether alpha, prores, webm, matte and cutout are written of each object, too: alpha_1/, matte_1.mp4, ..."""
    sound: bool = True
    """Whether overlay, prores, webm and cutout have the sound of the video."""
    edge_width: float = 0.018
    """Width of the band around contours in which alpha is soft: to either side, as a share of the frame's height; 0: none."""
    edge_noise: float = 1e-4
    """Variance of a colour, of 1, that counts as noise: with less, alpha follows finer differences of colour."""
    edge_sharpness: float = 4.0
    """How much steeper probabilities become before the picture refines them: they say how sure the object is, not how much of a
    pixel it covers."""

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in FORMATS:
                raise ValueError(f"output.formats has {name!r}; choose among {', '.join(FORMATS)}")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"output.strength is {self.strength}; give 0 to 1")
        if not 0 <= self.edge_width <= 0.1:
            raise ValueError(f"output.edge_width is {self.edge_width}; give 0 to 0.1 of the height")
        if not 0 < self.edge_noise <= 1:
            raise ValueError(f"output.edge_noise is {self.edge_noise}; give more than 0, at most 1")
        if self.edge_sharpness < 1:
            raise ValueError(f"output.edge_sharpness is {self.edge_sharpness}; give 1 or more")
        _colour("output.background", self.background)
        _ = self.object_colours

    @property
    def written(self) -> tuple[str, ...]:
        """The formats, masks among them, each once."""
        return tuple(name for name in FORMATS if name == "masks" or name in self.formats)

    @property
    def needs_probabilities(self) -> bool:
        """Whether masks alone are not enough."""
        return any(name == "probabilities" or name in WITH_ALPHA for name in self.written)

    @property
    def background_colour(self) -> Colour:
        """Red, green and blue of the background."""
        return _colour("output.background", self.background)

    @property
    def object_colours(self) -> tuple[Colour, ...]:
        """Red, green and blue of objects 1, 2, ...; none: those of the masks."""
        if self.colours is None:
            return ()
        return tuple(_colour("output.colours", each) for each in self.colours.split(","))


@dataclass(frozen=True)
class PredictOutputConfig(OutputConfig):
    """What is written of a segmented video, where, and how it looks (docs/howto/results.md)."""

    folder: str | None = None
    """Folder of what is written, of several videos for such folders by their names; null: predictions/ and the name of the video.
    output=DIR is the same."""


def _colour(setting: str, text: str) -> Colour:
    """Returns red, green and blue of #rrggbb."""
    if not HEX.fullmatch(text.strip()):
        raise ValueError(f"{setting} has {text!r}; write colours as #ff8800")
    number = int(text.strip()[1:], 16)
    return number >> 16, number >> 8 & 255, number & 255

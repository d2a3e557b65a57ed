"""One frame with all that is written of it: made once, whatever the number of formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from revseg.output.alpha import Edge, alpha_of, foreground
from revseg.output.config import OutputConfig
from revseg.output.legend import Legend
from revseg.output.overlay import overlay, palette_of
from revseg.segmentation.segmenter import Segmented

Picture = NDArray[np.uint8]
Alpha = NDArray[np.uint8]


@dataclass
class OutputFrame:
    """A frame of the video and its mask."""

    index: int
    name: str
    segmented: Segmented
    config: OutputConfig
    legend: Legend
    shown: tuple[Fraction, Picture] | None = None
    """Seconds since the first frame, and the picture (H, W, 3); None where nothing needs it."""
    _alphas: dict[int | None, Alpha] = field(default_factory=dict)
    _colours: dict[int | None, Picture] = field(default_factory=dict)

    @property
    def mask(self) -> NDArray[np.uint8]:
        """(H, W): the number of the object in every pixel."""
        return self.segmented.mask

    @property
    def seconds(self) -> Fraction:
        """When the frame is shown, since the first one."""
        assert self.shown is not None
        return self.shown[0]

    @property
    def picture(self) -> Picture:
        """(H, W, 3)."""
        assert self.shown is not None
        return self.shown[1]

    @cached_property
    def drawn(self) -> Picture:
        """The picture with the mask on it."""
        palette = palette_of(self.config.object_colours)
        return overlay(self.picture, self.mask, self.config.strength, palette=palette, contours=self.config.contours)

    def probability(self, part: int | None) -> NDArray[np.float32]:
        """Returns (H, W) of an object, or of all together: None."""
        planes = self.segmented.probabilities
        assert planes is not None
        if part is None:
            return 1 - planes[0].astype(np.float32)
        return planes[1 + self.legend.ids.index(part)].astype(np.float32)

    def alpha(self, part: int | None) -> Alpha:
        """Returns alpha (H, W) of an object, or of all together: None."""
        if part not in self._alphas:
            inside = self.mask > 0 if part is None else self.mask == part
            self._alphas[part] = alpha_of(self.probability(part), inside, self.picture, edge=self._edge)
        return self._alphas[part]

    def colours(self, part: int | None) -> Picture:
        """Returns the picture with the colours of an object, or of all, where its edge is soft."""
        if part not in self._colours:
            self._colours[part] = foreground(self.picture, self.alpha(part), self._edge.pixels(len(self.mask)))
        return self._colours[part]

    def with_alpha(self, part: int | None) -> Picture:
        """Returns (H, W, 4): these colours, and alpha, which they are not multiplied with."""
        return np.dstack([self.colours(part), self.alpha(part)])

    def cut_out(self, part: int | None) -> Picture:
        """Returns (H, W, 3): an object, or all of them, on a colour."""
        share = self.alpha(part)[..., None].astype(np.float32) / 255
        ground = np.array(self.config.background_colour, np.float32)
        return np.rint(share * self.colours(part) + (1 - share) * ground).astype(np.uint8)

    @property
    def _edge(self) -> Edge:
        return Edge(self.config.edge_width, self.config.edge_noise, self.config.edge_sharpness)


Write = Callable[[OutputFrame], None]
"""Takes the next frame."""

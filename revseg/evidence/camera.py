"""The camera's own motion between two frames: a homography H, found among the displacements of the flow.

    x' ~ H x     of most x that stand still

RANSAC (Fischler and Bolles, 1981) finds the motion that most displacements share. An object that fills the picture has the most;
where it is known what is ground, H can be told from the ground alone (``of_ground``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from revseg.evidence.config import MotionConfig
from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow

Homography: TypeAlias = NDArray[np.float64]
"""(3, 3), of points (x, y, 1) in pixels."""

Ground: TypeAlias = Callable[[int], NDArray[np.uint8]]
"""Returns of a frame where it is ground, (h, w), 1 or 0, at any size."""

LEAST_POINTS = 20
"""With fewer points of the ground the camera's motion is not told."""


@dataclass(frozen=True, eq=False)
class Displaced:
    """Points (x, y) of a frame, and where another frame shows them: (N, 2) float32 each."""

    here: NDArray[np.float32]
    there: NDArray[np.float32]

    @classmethod
    def on_grid(cls, flow: Flow, position: Field, spacing: int) -> Displaced:
        """position: (2, H, W), where the pixels of a frame are found. spacing: pixels between the points."""
        rows, columns = (slice(min(spacing, side) // 2, None, spacing) for side in position.shape[-2:])
        here, there = (flow.fields.array(points[:, rows, columns]).reshape(2, -1).T for points in (flow.identity, position))
        return cls(here, there)

    def camera(self, tolerance: float) -> Homography:
        """The homography that most points follow, to within a tolerance in pixels; a shift by their median if there is none."""
        found = cv2.findHomography(self.here, self.there, cv2.RANSAC, tolerance)[0] if len(self.here) >= 4 else None
        if found is None or abs(np.linalg.det(found)) < 1e-6:
            right, down = np.median(self.there - self.here, 0)
            return np.array([[1, 0, right], [0, 1, down], [0, 0, 1]], np.float64)
        return found

    def following(self, camera: Homography, tolerance: float) -> int:
        """How many of the points follow it."""
        led = cv2.perspectiveTransform(self.here[None], camera)[0]
        return int((np.square(led - self.there).sum(1) < tolerance**2).sum())

    def on(self, ground: NDArray[np.uint8], size: tuple[int, int]) -> Displaced:
        """Those that lie on the ground (h, w). size: (W, H), in whose pixels points are told."""
        lines, columns = ground.shape
        x, y = (self.here * (columns / size[0], lines / size[1])).astype(np.intp).T
        chosen = ground[y.clip(max=lines - 1), x.clip(max=columns - 1)] > 0
        return Displaced(self.here[chosen], self.there[chosen])


def of_ground(displaced: Displaced, ground: Displaced, config: MotionConfig) -> Homography | None:
    """Returns the camera of the ground's points, if that of all is an object's: far less of the ground follows it than could.

    None: it is not.
    """
    if len(ground.here) < LEAST_POINTS:
        return None
    following = ground.following(displaced.camera(config.tolerance), config.tolerance)
    if following >= config.follows * len(ground.here):
        return None  # no camera could be followed by more
    own = ground.camera(config.tolerance)
    return own if following < config.follows * ground.following(own, config.tolerance) else None

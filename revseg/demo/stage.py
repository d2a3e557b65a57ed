"""What every part of the demo's film stands on: the camera, and flat pictures in the scene.

Lengths are in metres: x to the right, y up from the ground, z away from the viewer. Times are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FOCAL = 1.6  # in heights of the picture
EYE = 1.15
SUN = np.array([-0.52, 0.72, -0.46])  # towards it, of length 1
GROUND = (-8.0, 9.0, 0.01)  # left, far, metres a texel

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Texture = NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera."""

    place: Array
    projection: Array
    """(3, 3): from directions in the scene to pixels, homogeneous."""
    height: int
    width: int

    @classmethod
    def at(cls, time: float, *, height: int, width: int, shift: Array) -> Camera:
        """The camera walks and pans to the right, held by hand. shift: of the picture, in pixels."""
        shake = [sum(np.sin(f * time + p + i) / f for f, p in ((7.1, 0.3), (16.3, 2.1), (29.7, 4.4))) for i in range(0, 9, 2)]
        place = np.array([-0.75 + 0.62 * time + 0.04 * shake[0], EYE + 0.04 * shake[1], 0])
        yaw, pitch, roll = -0.05 + 0.065 * time + 0.02 * shake[2], -0.105 + 0.02 * shake[3], 0.02 * shake[4]
        turned = _rotation(2, roll) @ _rotation(0, pitch) @ _rotation(1, yaw)
        lens = np.array([[FOCAL * height, 0, width / 2], [0, -FOCAL * height, height / 2], [0, 0, 1]])
        lens[:2, 2] += shift - 0.5  # the centre of the first pixel is at 0
        return cls(place, lens @ turned, height=height, width=width)

    def window(self, points: Array) -> tuple[slice, slice]:
        """The rows and columns that hold the points (n, 3), all of them in front of the camera."""
        x, y, z = self.projection @ (points - self.place).T
        return tuple(
            slice(int(np.clip(v.min() - 1, 0, end)), int(np.clip(v.max() + 3, 0, end)))
            for v, end in ((y / z, self.height), (x / z, self.width))
        )  # type: ignore[return-value]


def _rotation(axis: int, angle: float) -> Array:
    matrix, (i, j) = np.eye(3), [other for other in range(3) if other != axis]
    matrix[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


@dataclass(frozen=True)
class Sheet:
    """A flat picture in the scene."""

    texture: Texture
    """(h, w, 4), colours times opacity, opacity."""
    corner: Array
    across: Array
    """From one texel to the next in its row."""
    down: Array

    @classmethod
    def standing(cls, texture: Texture, *, x: float, z: float, height: float, y: float = 0) -> Sheet:
        """Upright, `height` high, its foot at y, its middle at x."""
        rows, columns = texture.shape[:2]
        texel = height / rows
        corner = np.array([x - texel * columns / 2, y + height, z])
        return cls(texture, corner, across=np.array([texel, 0, 0]), down=np.array([0, -texel, 0]))

    @classmethod
    def lying(cls, texture: Texture, *, x: float, z: float, texel: float) -> Sheet:
        """On the ground, its left far corner at x, z."""
        return cls(texture, np.array([x, 0, z]), across=np.array([texel, 0, 0]), down=np.array([0, 0, -texel]))

    def draw(self, picture: Floats, camera: Camera) -> None:
        """Lays it over the picture (H, W, 4), whose last plane is what is seen of the object."""
        rows, columns = self.texture.shape[:2]
        corners = [self.corner + u * self.across + v * self.down for u in (0, columns) for v in (0, rows)]
        y, x = camera.window(np.array(corners))
        if y.start == y.stop or x.start == x.stop:
            return
        mapping = camera.projection @ np.stack([self.across, self.down, self.corner - camera.place], axis=1)
        mapping = np.array([[1, 0, -x.start], [0, 1, -y.start], [0, 0, 1]]) @ mapping
        texels = cv2.warpPerspective(self.texture, mapping, (x.stop - x.start, y.stop - y.start)).astype(np.float32)
        part, opacity = picture[y, x], texels[..., 3].copy()
        texels[..., 3] = 0
        part *= cv2.merge([1 - opacity / 255] * 4)  # much faster than NumPy on a short last axis
        part += texels

"""The object of the demo's film: a painted barrel that rolls, and its shadow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from revseg.demo.stage import GROUND, SUN, Array, Camera, Floats, Sheet, Texture


@dataclass(frozen=True)
class Barrel:
    """A painted barrel: an ellipsoid without its ends. It rolls on the ground, along a curve."""

    paint: Texture
    """(h, w, 3) of its side: from end to end, around."""
    lid: Texture
    dapple: Floats
    """Light that comes through the trees, on the ground (`GROUND`)."""
    radius: float = 0.42
    end: float = 0.35
    half: float = 0.46

    def pose(self, time: float) -> tuple[Array, Array, float]:
        """Its middle, its own directions (3, 3: ahead, up, along its axis) and how far it has turned."""
        speed, turn, start = 2.05, 0.18, -0.6
        heading = start + turn * time
        x = -1.95 + speed / turn * (np.sin(heading) - np.sin(start))
        z = 4.7 - speed / turn * (np.cos(heading) - np.cos(start))
        ahead, axis = np.array([np.cos(heading), 0, np.sin(heading)]), np.array([-np.sin(heading), 0, np.cos(heading)])
        middle = np.array([x, self.radius + 0.006 * np.sin(21 * time), z])
        return middle, np.stack([ahead, np.array([0, 1, 0]), axis]), speed * time / self.radius

    def hit(self, origin: Array, rays: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Where rays (n, 3) from `origin`, in the barrel's own directions, meet it first (nan: nowhere), and whether on a lid."""
        slim = (1 - (self.end / self.radius) ** 2) * (self.radius / self.half) ** 2
        scale = np.array([1, 1, slim])
        a, b, c = rays**2 @ scale, (rays * origin) @ scale, origin**2 @ scale - self.radius**2
        with np.errstate(invalid="ignore", divide="ignore"):
            side = origin + ((-b - np.sqrt(b**2 - a * c)) / a)[:, None] * rays
            lid = origin + ((-np.sign(rays[:, 2]) * self.half - origin[..., 2]) / rays[:, 2])[:, None] * rays
        on_lid = np.hypot(lid[:, 0], lid[:, 1]) <= self.end
        side[~(np.abs(side[:, 2]) < self.half)] = np.nan
        return np.where(on_lid[:, None], lid, side), on_lid

    def draw(self, picture: Floats, camera: Camera, time: float) -> None:
        """Lays it over the picture (H, W, 4) and marks it in the last plane."""
        middle, own, turned = self.pose(time)
        y, x = camera.window(middle + 0.7 * (np.mgrid[0:2, 0:2, 0:2].reshape(3, -1).T - 0.5) * 2)
        rows, columns = np.mgrid[y, x]
        pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
        rays = (own @ np.linalg.inv(camera.projection) @ pixels).T
        points, on_lid = self.hit(own @ (camera.place - middle), rays)
        seen = np.isfinite(points[:, 0])
        points, on_lid, rays = points[seen], on_lid[seen], rays[seen]
        colours = self._paint_at(points, on_lid, turned) * self._light_at(points, on_lid, rays=rays, middle=middle, own=own)
        picture[y, x][seen.reshape(rows.shape)] = np.column_stack([colours, np.ones(len(colours))])

    def _paint_at(self, points: Array, on_lid: NDArray[np.bool_], turned: float) -> Array:
        angle = np.arctan2(points[:, 1], points[:, 0]) + turned
        distance = np.hypot(points[:, 0], points[:, 1])
        (height, width), size = self.paint.shape[:2], self.lid.shape[0]
        side = _texels(self.paint, (points[:, 2] / self.half + 1) / 2 * height, angle / (2 * np.pi) * width)
        scale = distance / self.end
        lid = _texels(self.lid, (1 - scale * np.sin(angle)) / 2 * size, (1 + scale * np.cos(angle)) / 2 * size)
        return np.where(on_lid[:, None], lid, side)

    def _light_at(self, points: Array, on_lid: NDArray[np.bool_], *, rays: Array, middle: Array, own: Array) -> Array:
        slim = (1 - (self.end / self.radius) ** 2) * (self.radius / self.half) ** 2
        normals = np.where(on_lid[:, None], -np.sign(rays) * [0, 0, 1], points * [1, 1, slim])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        there, sun, rays = points @ own + middle, own @ SUN, rays / np.linalg.norm(rays, axis=1, keepdims=True)
        shadow = there - (there[:, 1] / SUN[1])[:, None] * SUN
        sunlight = np.clip(normals @ sun, 0, None) * _texels(self.dapple, *_ground_texel(shadow[:, 0], shadow[:, 2]))
        halfway = (sun - rays) / np.linalg.norm(sun - rays, axis=1, keepdims=True)
        gloss = 0.22 * np.clip((normals * halfway).sum(axis=1), 0, 1) ** 24
        sky = (0.34 + 0.16 * normals[:, 1]) * (0.55 + 0.45 * np.clip(there[:, 1] / 0.4, 0, 1))  # less of it near the ground
        return (sky + 0.95 * sunlight + gloss)[:, None] * [1.03, 1, 0.95]

    def shadow(self, time: float, texels: int = 90, texel: float = 0.028) -> Sheet:
        """Its shadow on the ground: how much of the sun, which is not a point, it hides there."""
        middle, own, _ = self.pose(time)
        corner = middle + [-0.9, 0, 1.65]
        row, column = np.mgrid[:texels, :texels] + 0.5
        ground = np.stack([corner[0] + texel * column, np.zeros(row.shape), corner[2] - texel * row], axis=-1).reshape(-1, 3)
        suns = SUN + 0.045 * np.array([[0, 0, 0], [1, 0, 0.3], [-0.3, 0, 1], [-1, 0, -0.3], [0.3, 0, -1]])
        hidden = [np.isfinite(self.hit((ground - middle) @ own.T, np.tile(own @ sun, (len(ground), 1)))[0][:, 0]) for sun in suns]
        near = np.exp(-(np.linalg.norm((ground - middle) @ own.T * [2.4, 0, 1.1], axis=1) ** 2) / 0.2)
        opacity = 1 - (1 - 0.6 * np.mean(hidden, axis=0)) * (1 - 0.45 * near)
        texture = np.zeros((texels, texels, 4), np.uint8)
        texture[..., 3] = np.rint(255 * opacity).reshape(texels, texels)
        return Sheet.lying(texture, x=corner[0], z=corner[2], texel=texel)


def _ground_texel(x: Array, z: Array) -> tuple[Array, Array]:
    return (GROUND[1] - z) / GROUND[2], (x - GROUND[0]) / GROUND[2]


def _texels(texture: Texture | Floats, row: Array, column: Array) -> Array:
    """Colours (n, 3) or values (n) at places of a texture that repeats itself."""
    x, y = (v.astype(np.float32)[:, None] for v in (column % texture.shape[1], row % texture.shape[0]))
    found: Array = cv2.remap(texture, map1=x, map2=y, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)[:, 0]
    return found.astype(float)

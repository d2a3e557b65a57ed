"""A short film with known masks, made by computation: a painted barrel rolls through a yard, behind a post and a bush.

Lengths are in metres: x to the right, y up from the ground, z away from the viewer. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from revseg.labels.masks import Labels, write_mask
from revseg.video.write import VideoWriter

FRAME_RATE = 24
SAMPLES = 6  # pictures averaged in a frame, at other times and places within the pixel: motion blur and soft edges
SHUTTER = 0.5  # of the time between two frames
FOCAL = 1.6  # in heights of the picture
EYE = 1.15
SUN = np.array([-0.52, 0.72, -0.46])  # towards it, of length 1
HAZE = np.array([196, 208, 218])

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Texture = NDArray[np.uint8]


def generate_demo(folder: str | Path, frames: int = 36, height: int = 240, width: int = 426) -> tuple[Path, Path]:
    """Writes `demo.mp4` (H.264) and the masks of all its frames, `masks/00000.png`, ...; returns both paths.

    The same arguments give the same pictures. The video appears when all of it and all masks are written. A mask holds 1 where
    the barrel is seen, 0 elsewhere, on its shadow too (encoding davis2017).
    """
    for name, value in (("frames", frames), ("height", height), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} of the demo is {value}: give 1 or more")
    video, masks = Path(folder) / "demo.mp4", Path(folder) / "masks"
    with VideoWriter(video, FRAME_RATE) as writer:
        for frame, (picture, mask) in enumerate(film(frames, height, width)):
            writer.write(picture)
            write_mask(masks / f"{frame:05d}.png", mask)
    return video, masks


def film(frames: int, height: int, width: int) -> Iterator[tuple[NDArray[np.uint8], Labels]]:
    """Yields each frame (H, W, 3) and its mask (H, W)."""
    scene, sensor = Scene(np.random.default_rng(7)), np.random.default_rng(8)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = (1 - 0.16 * (x**2 + y**2))[..., None]
    for frame in range(frames):
        seen = scene.render(frame / FRAME_RATE, height, width)
        light = seen[..., :3] * vignette / 255
        light = np.clip(light + 0.35 * light * (1 - light) * (2 * light - 1), 0, 1)  # more contrast in the middle tones
        noise = sensor.standard_normal(light.shape) * (1 + 1.5 * np.sqrt(light))
        yield np.clip(np.rint(255 * light + noise), 0, 255).astype(np.uint8), (seen[..., 3] >= 0.5).astype(np.uint8)


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


GROUND = (-8.0, 9.0, 0.01)  # left, far, metres a texel


def _ground_texel(x: Array, z: Array) -> tuple[Array, Array]:
    return (GROUND[1] - z) / GROUND[2], (x - GROUND[0]) / GROUND[2]


def _texels(texture: Texture | Floats, row: Array, column: Array) -> Array:
    """Colours (n, 3) or values (n) at places of a texture that repeats itself."""
    x, y = (v.astype(np.float32)[:, None] for v in (column % texture.shape[1], row % texture.shape[0]))
    found: Array = cv2.remap(texture, map1=x, map2=y, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)[:, 0]
    return found.astype(float)


class Scene:
    """What is filmed: sheets on the ground and behind the barrel, the barrel, sheets in front of it."""

    def __init__(self, generator: Generator) -> None:
        dapple = _noise(generator, (750, 1600), 1.7, least=9)
        light = np.clip(0.9 + 0.2 * dapple, 0.55, 1)
        self.barrel = Barrel(barrel_side(generator), barrel_lid(generator), light.astype(np.float32))
        bush, other, trees = (
            bushes(generator, (200, 300), clumps=13),
            bushes(generator, (220, 260), clumps=11),
            bushes(generator, (150, 1700), clumps=90, leaf=3),
        )
        tufts = grass(generator, (48, 2600), blades=4200)
        self.floor = [
            Sheet.standing(sky(generator), x=4, z=60, height=30, y=5),
            Sheet.standing(faded(trees, 0.55), x=-1, z=24, height=4.6, y=2.2),
            Sheet.standing(faded(trees[:, ::-1], 0.2), x=3, z=14, height=2.4, y=1.4),
            Sheet.lying(yard(generator, light), x=GROUND[0], z=GROUND[1], texel=GROUND[2]),
        ]
        self.behind = [
            Sheet.standing(wall(generator), x=0, z=8.5, height=1.75),
            Sheet.standing(tufts, x=0.5, z=8.4, height=0.3),
            Sheet.standing(faded(other, 0.08), x=-3.6, z=7.9, height=1.5),
            Sheet.standing(faded(bush, 0.08), x=1.1, z=7.7, height=1.15),
            Sheet.standing(faded(other[:, ::-1], 0.05), x=5.2, z=7.5, height=1.7),
            Sheet.standing(tufts[:, ::-1], x=0.5, z=7.35, height=0.24),
        ]
        self.front = [
            Sheet.standing(bush[:, ::-1], x=1.5, z=2.45, height=0.6, y=-0.1),
            Sheet.standing(post(generator), x=0.1, z=2.3, height=1.34),
            Sheet.standing(faded(cv2.GaussianBlur(other, (0, 0), 4), 0), x=-1.5, z=1.7, height=0.72, y=-0.1),
        ]

    def render(self, time: float, height: int, width: int) -> Floats:
        """The frame (H, W, 4): its colours, 0 to 255, and how much of a pixel shows the barrel, 0 to 1."""
        frame, shadow = np.zeros((height, width, 4), np.float32), self.barrel.shadow(time)
        for sample in range(SAMPLES):
            picture, moment = np.zeros_like(frame), time + ((sample + 0.5) / SAMPLES - 0.5) * SHUTTER / FRAME_RATE
            shift = (np.array([0.7549, 0.5698]) * (sample + 0.5)) % 1 - 0.5  # spread evenly over the pixel
            camera = Camera.at(moment, height=height, width=width, shift=shift)
            for sheet in [*self.floor, shadow, *self.behind]:
                sheet.draw(picture, camera)
            self.barrel.draw(picture, camera, moment)
            for sheet in self.front:
                sheet.draw(picture, camera)
            frame += picture / SAMPLES
        return frame


def _noise(generator: Generator, size: tuple[int, int], steepness: float, *, least: float = 1, stretch: float = 1) -> Array:
    """Fractal noise (h, w) that repeats itself, of deviation 1: its amplitude falls with a power of the frequency.

    least: the lowest frequency, in waves along the longer side. stretch: the smaller, the longer it is across.
    """
    height, width = size
    y, x = np.meshgrid(np.fft.fftfreq(height) * stretch, np.fft.rfftfreq(width), indexing="ij")
    frequency = np.hypot(y, x) * max(height, width)
    amplitude = np.where(frequency >= least, np.maximum(frequency, 1) ** -steepness, 0)
    noise = np.fft.irfft2(np.fft.rfft2(generator.standard_normal((height, width))) * amplitude, (height, width))
    return noise / noise.std()


def _opaque(colours: Array | Floats) -> Texture:
    return np.dstack([np.clip(np.rint(colours), 0, 255), np.full(colours.shape[:2], 255)]).astype(np.uint8)


def faded(texture: Texture, haze: float) -> Texture:
    """What is far away takes on the colour of the sky."""
    colours, opacity = texture[..., :3], texture[..., 3:]
    return np.dstack([(1 - haze) * colours + haze * HAZE * (opacity / 255), opacity]).astype(np.uint8)


def _stones(generator: Generator, area: tuple[int, int], *, size: int, longer: float) -> tuple[Array, Array]:
    """Stones set beside each other: relief (h, w), 0 in the joints to 1, and a random number (h, w) for each stone."""
    height, width = area
    seeds = np.ones((height, int(width / longer)), np.uint8)
    for y in range(size // 2, seeds.shape[0], size):
        for x in range(size // 2, seeds.shape[1], size):
            place = np.array([y, x + size // 2 * (y // size % 2)]) + generator.integers(-size // 4, size // 4 + 1, 2)
            seeds[tuple(np.minimum(place, np.array(seeds.shape) - 1))] = 0
    _, cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    cells = cv2.resize(cells.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST).astype(int)
    joints = (cells != np.roll(cells, 1, 0)) | (cells != np.roll(cells, 1, 1))
    depth = cv2.distanceTransform((~joints).astype(np.uint8), cv2.DIST_L2, 5)
    relief = cv2.GaussianBlur(np.minimum(depth / (0.28 * size), 1) ** 0.6, (0, 0), 0.8)
    return relief.astype(float), generator.uniform(-1, 1, cells.max() + 1)[cells]


def _lit(relief: Array, strength: float) -> Array:
    """How bright a relief is in light from the upper left."""
    down, right = np.gradient(relief)
    return np.clip(1 + strength * (down + right), 0.4, 1.7)


def yard(generator: Generator, dapple: Array) -> Texture:
    """Cobblestones with earth and moss between them and grass at the far end."""
    height, width = dapple.shape
    relief, tint = _stones(generator, (height, width), size=15, longer=1.15)
    rough, patches = _noise(generator, (height, width), 0.7), _noise(generator, (height, width), 1.5, least=4)
    relief += 0.05 * rough
    stone = np.array([166, 153, 136]) + tint[..., None] * [24, 21, 17] + 7 * rough[..., None]
    earth = np.array([104, 100, 66]) + 9 * rough[..., None] + 14 * patches[..., None] * [-0.6, 0.5, -0.3]
    share = np.clip(2.2 * relief - 0.35, 0, 1)[..., None]
    far = np.clip(np.linspace(3.6, -14, height)[:, None] + 1.1 * patches + 0.5 * rough, 0, 1)[..., None]  # grass along the wall
    blades = np.array([84, 104, 44]) + 18 * _noise(generator, (height, width), 0.5, stretch=0.5)[..., None]
    colours = (1 - far) * ((1 - share) * earth + share * stone) * _lit(relief, 0.9)[..., None] + far * blades
    colours *= (0.2 + 0.8 * dapple * (1 + 0.05 * patches))[..., None]
    blurred, distance = colours.astype(np.float32), GROUND[1] - GROUND[2] * np.arange(height)
    for deviation in (1, 2, 3, 4.5, 6):  # what a pixel sees of the ground is long where it is far away
        rows = int((distance**2 / (240 * FOCAL * EYE) / GROUND[2] * 0.35 > deviation).sum())
        part = colours[: rows + 20].astype(np.float32)
        blurred[:rows] = cv2.GaussianBlur(part, (0, 0), sigmaX=deviation / 3, sigmaY=deviation)[:rows]
    return _opaque(blurred)


def wall(generator: Generator, height: int = 140, width: int = 1500) -> Texture:
    """A wall of rubble, darker at its foot, with stains and moss."""
    relief, tint = _stones(generator, (height, width), size=20, longer=1.7)
    rough, stains = _noise(generator, (height, width), 0.8), _noise(generator, (height, width), 1.4, least=8, stretch=0.4)
    colours = np.array([168, 150, 128]) + tint[..., None] * [24, 22, 20] + 8 * rough[..., None]
    colours += (np.clip(stains, 0, 2) * np.linspace(0.3, 1, height)[:, None])[..., None] * [-26, -14, -28]
    share = np.clip(2.5 * relief - 0.2, 0, 1)[..., None]
    colours = (share * colours + (1 - share) * [120, 110, 94]) * _lit(relief + 0.04 * rough, 0.8)[..., None]
    colours *= (1 - 0.35 * np.linspace(0, 1, height) ** 4)[:, None, None] * np.where(np.arange(height) < 9, 1.12, 1)[
        :, None, None
    ]
    return _opaque(cv2.GaussianBlur(colours, (0, 0), 0.7))


def sky(generator: Generator, height: int = 240, width: int = 900) -> Texture:
    """Light clouds, paler towards the horizon."""
    cloud = np.clip(0.45 * _noise(generator, (height, width), 1.6, least=2, stretch=0.35) + 0.2, 0, 1)[..., None]
    rise = np.linspace(1, 0, height)[:, None, None]
    clear = rise * [96, 142, 200] + (1 - rise) * [206, 220, 232]
    return _opaque((1 - 0.75 * cloud) * clear + 0.75 * cloud * [240, 238, 234])


def bushes(generator: Generator, size: tuple[int, int], *, clumps: int, leaf: float = 4.5) -> Texture:
    """Clumps of leaves, each lit from the upper left."""
    height, width = size
    picture = np.zeros((height, width, 4), np.uint8)
    across = np.sort(generator.uniform(0.12 if width < 500 else 0.02, 0.88 if width < 500 else 0.98, clumps)) * 2 - 1
    top = 0.62 * (1 - np.abs(across) ** (2.5 if width < 500 else 40))
    radius = height * generator.uniform(0.16, 0.26, clumps)
    centres = np.stack([(across + 1) / 2 * width, height * (1 - 0.12 - top * generator.uniform(0.2, 1, clumps))], axis=1)
    for clump in np.argsort(centres[:, 1]):
        spots = generator.normal(0, 0.42, (150, 2))
        spots /= np.maximum(1, np.hypot(*spots.T))[:, None]
        light = 0.42 + np.linspace(0, 0.3, 150) - spots @ [0.15, 0.26] + generator.uniform(-0.1, 0.1, 150)
        colours = np.array([98, 132, 50]) + generator.uniform(-1, 1, (150, 1)) * [26, 10, 14]
        colours = np.clip(colours * (0.2 + 1.15 * np.clip(light, 0, 1))[:, None], 0, 255)
        places = np.rint(8 * (centres[clump] + radius[clump] * spots * [1.15, 1])).astype(int)
        axes = np.rint(8 * leaf * generator.uniform([0.8, 0.4], [1.4, 0.7], (150, 2))).astype(int)
        angles = generator.uniform(0, 180, 150)
        for place, axis, angle, colour in zip(places.tolist(), axes.tolist(), angles, colours.tolist(), strict=True):
            cv2.ellipse(picture, place, axis, angle, 0, 360, (*colour, 255), -1, cv2.LINE_AA, 3)
    return picture


def grass(generator: Generator, size: tuple[int, int], *, blades: int) -> Texture:
    """A strip of grass: bent blades, the paler ones in front."""
    height, width = size
    picture = np.zeros((height, width, 4), np.uint8)
    bow = np.linspace(0, 1, 6)
    for i in range(blades):
        x, lean = generator.uniform(8, width - 8), generator.normal(0, 9)
        tall = height * generator.uniform(0.3, 0.95) * (1 - abs(2 * x / width - 1) ** 4)
        line = np.stack([x + lean * bow**2, height - tall * bow], axis=1)
        colour = (np.array([104, 126, 52]) + generator.normal(0, 12) * np.array([1, 0.5, 0.6])) * (0.5 + 0.6 * i / blades)
        cv2.polylines(picture, [np.rint(8 * line).astype(np.int32)], False, (*np.clip(colour, 0, 255), 255), 1, cv2.LINE_AA, 3)
    return picture


def post(generator: Generator, height: int = 700, width: int = 66) -> Texture:
    """A round post of old wood."""
    grain = _noise(generator, (height, width), 1.0, least=2, stretch=9)
    turned = np.linspace(-1, 1, width)
    light = 0.35 + 0.75 * np.clip(0.75 * np.sqrt(1 - turned**2) - 0.6 * turned, 0, 1)
    colours = (np.array([142, 116, 88]) + 17 * grain[..., None] * [1, 0.95, 0.85]) * light[:, None]
    colours[:14] *= 1.25
    colours[14:22] *= 0.7
    return _opaque(colours)


def barrel_side(generator: Generator, height: int = 384, width: int = 1024) -> Texture:
    """Staves with painted bands and lozenges, and iron hoops."""
    y, x = np.mgrid[:height, :width]
    end, stave = np.abs(2 * (y + 0.5) / height - 1), x * 18 / width
    grain, worn = _noise(generator, (height, width), 0.9, least=3, stretch=0.12), _noise(generator, (height, width), 1.1, least=5)
    tone = generator.uniform(-1, 1, 18)[stave.astype(int)]
    colours = np.full((height, width, 3), [226.0, 208, 168])
    lozenge = np.abs(x * 9 / width % 1 - 0.5) * 0.62 + end
    colours[lozenge < 0.31] = [186, 44, 34]
    colours[lozenge < 0.12] = [236, 190, 70]
    colours[(end > 0.5) & (end < 0.74)] = [34, 86, 128]
    wood = np.array([150, 112, 72])
    colours += np.clip(3 * worn - 4.2, 0, 0.85)[..., None] * (wood - colours)
    colours += (9 * grain + 8 * tone)[..., None]
    colours *= np.where(np.abs(stave % 1 - 0.5) > 0.47, 0.55, 1)[..., None]
    hoop = (np.abs(end - 0.43) < 0.045) | (end > 0.9) | (np.abs(end - 0.77) < 0.035)
    colours[hoop] = (np.array([66, 64, 64]) + 10 * grain[..., None] + 8 * worn[..., None])[hoop]
    return np.clip(cv2.GaussianBlur(colours, (0, 0), 1.2), 0, 255).astype(np.uint8)


def barrel_lid(generator: Generator, size: int = 320) -> Texture:
    """Boards, a painted star, an iron rim."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size * 2 - 1
    distance, angle = np.hypot(y, x), np.arctan2(y, x)
    grain, board = _noise(generator, (size, size), 0.9, least=3, stretch=0.15), (y + 1) * 3.5
    colours = np.full((size, size, 3), [34.0, 86, 128])
    colours[distance < 0.72] = [226, 208, 168]
    colours[distance * (1 + 0.5 * np.abs((angle * 5 / (2 * np.pi)) % 1 - 0.5) * 2) < 0.42 + 0.1] = [186, 44, 34]
    colours[distance < 0.14] = [236, 190, 70]
    colours += (10 * grain + 12 * generator.uniform(-1, 1, 8)[board.astype(int)])[..., None]
    colours *= np.where(np.abs(board % 1 - 0.5) > 0.46, 0.55, 1)[..., None]
    colours[distance > 0.9] = [70, 68, 68]
    colours *= np.where((distance > 0.84) & (distance < 0.9), 0.6, 1)[..., None]
    return np.clip(cv2.GaussianBlur(colours, (0, 0), 1.0), 0, 255).astype(np.uint8)

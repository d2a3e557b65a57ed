"""The surfaces of the demo's film, painted by computation: stone, leaves, grass, wood, sky."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from revseg.demo.stage import EYE, FOCAL, GROUND, Array, Floats, Texture

HAZE = np.array([196, 208, 218])


def noise(generator: Generator, size: tuple[int, int], steepness: float, *, least: float = 1, stretch: float = 1) -> Array:
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
    rough, patches = noise(generator, (height, width), 0.7), noise(generator, (height, width), 1.5, least=4)
    relief += 0.05 * rough
    stone = np.array([166, 153, 136]) + tint[..., None] * [24, 21, 17] + 7 * rough[..., None]
    earth = np.array([104, 100, 66]) + 9 * rough[..., None] + 14 * patches[..., None] * [-0.6, 0.5, -0.3]
    share = np.clip(2.2 * relief - 0.35, 0, 1)[..., None]
    far = np.clip(np.linspace(3.6, -14, height)[:, None] + 1.1 * patches + 0.5 * rough, 0, 1)[..., None]  # grass along the wall
    blades = np.array([84, 104, 44]) + 18 * noise(generator, (height, width), 0.5, stretch=0.5)[..., None]
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
    rough, stains = noise(generator, (height, width), 0.8), noise(generator, (height, width), 1.4, least=8, stretch=0.4)
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
    cloud = np.clip(0.45 * noise(generator, (height, width), 1.6, least=2, stretch=0.35) + 0.2, 0, 1)[..., None]
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
    grain = noise(generator, (height, width), 1.0, least=2, stretch=9)
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
    grain, worn = noise(generator, (height, width), 0.9, least=3, stretch=0.12), noise(generator, (height, width), 1.1, least=5)
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
    grain, board = noise(generator, (size, size), 0.9, least=3, stretch=0.15), (y + 1) * 3.5
    colours = np.full((size, size, 3), [34.0, 86, 128])
    colours[distance < 0.72] = [226, 208, 168]
    colours[distance * (1 + 0.5 * np.abs((angle * 5 / (2 * np.pi)) % 1 - 0.5) * 2) < 0.42 + 0.1] = [186, 44, 34]
    colours[distance < 0.14] = [236, 190, 70]
    colours += (10 * grain + 12 * generator.uniform(-1, 1, 8)[board.astype(int)])[..., None]
    colours *= np.where(np.abs(board % 1 - 0.5) > 0.46, 0.55, 1)[..., None]
    colours[distance > 0.9] = [70, 68, 68]
    colours *= np.where((distance > 0.84) & (distance < 0.9), 0.6, 1)[..., None]
    return np.clip(cv2.GaussianBlur(colours, (0, 0), 1.0), 0, 255).astype(np.uint8)

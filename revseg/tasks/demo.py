"""A made-up video with known masks: textured objects over a moving textured background, in changing light."""

from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from revseg.labels.masks import Labels, write_mask
from revseg.video.write import VideoWriter

FRAME_RATE = 24
SAMPLES = 3  # per pixel and axis, odd: objects get the soft edges that a camera gives them
TEXELS = 96  # of a texture, to the height of the video

Array = NDArray[np.float64]


def generate_demo(
    folder: str | Path, frames: int = 48, height: int = 96, width: int = 160, seed: int = 0, objects: int = 1
) -> tuple[Path, Path]:
    """Writes `demo.mp4` (H.264) and the masks of all its frames, `masks/00000.png`, ...; returns both paths.

    The same arguments give the same pictures. The colours of object and background overlap, so no threshold
    separates them: texture, form and motion do. The masks are in encoding davis2017.
    """
    for name, value in (("frames", frames), ("height", height), ("width", width), ("objects", objects)):
        if value < 1:
            raise ValueError(f"{name} of the demo is {value}: give 1 or more")
    video, masks = Path(folder) / "demo.mp4", Path(folder) / "masks"
    scene = Scene(np.random.default_rng(seed), objects)
    with VideoWriter(video, FRAME_RATE) as writer:
        for frame in range(frames):
            picture, mask = scene.render(frame / FRAME_RATE, height, width)
            writer.write(picture)
            write_mask(masks / f"{frame:05d}.png", mask)
    return video, masks


class Scene:
    """What is filmed. Lengths are in heights of the video, times in seconds."""

    def __init__(self, generator: Generator, objects: int) -> None:
        self.background = Texture.random(generator, np.array([104.0, 118.0, 100.0]), roughness=1.5)
        self.drift = generator.uniform(-0.2, 0.2, 2)
        self.blobs = [Blob.random(generator) for _ in range(objects)]

    def render(self, time: float, height: int, width: int) -> tuple[NDArray[np.uint8], Labels]:
        """The picture (H, W, 3) and its mask (H, W); the later of two objects is in front."""
        points = (np.arange(SAMPLES * height) + 0.5) / (SAMPLES * height)
        y, x = np.meshgrid(points, (np.arange(SAMPLES * width) + 0.5) / (SAMPLES * height), indexing="ij")
        zoom = 1 + 0.08 * np.sin(2 * time)
        colours = self.background.at((y - 0.5) * zoom + self.drift[0] * time, x * zoom + self.drift[1] * time)
        labels = np.zeros(y.shape, dtype=np.uint8)
        for label, blob in enumerate(self.blobs, 1):
            v, u = blob.coordinates(y, x, time, width / height)
            covered = blob.covers(v, u)
            colours[covered] = blob.texture.at(v[covered], u[covered])
            labels[covered] = label
        light = 1 + 0.12 * np.sin(2.5 * time) + 0.15 * np.sin(2 * x + 1.5 * time)
        colours *= light[..., None]
        pixels = colours.reshape(height, SAMPLES, width, SAMPLES, 3).mean(axis=(1, 3))
        middle = slice(SAMPLES // 2, None, SAMPLES)
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), labels[middle, middle]


@dataclass(frozen=True)
class Texture:
    """Smooth noise in colour, periodic."""

    pixels: Array
    """(S, S, 3)"""

    @classmethod
    def random(cls, generator: Generator, colour: Array, roughness: float, size: int = 256) -> "Texture":
        """Noise whose amplitude falls with the frequency to the power of `roughness`, about a mean colour."""
        frequency = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(size, 1 / size)]))
        amplitude = np.where((frequency >= 3) & (frequency < size / 5), np.maximum(frequency, 1) ** -roughness, 0)
        noise = np.fft.ifft2(np.fft.fft2(generator.standard_normal((3, size, size))) * amplitude).real
        noise /= noise.std(axis=(1, 2), keepdims=True)
        mixing = 13 * np.eye(3) + 15  # channels vary together more than apart, as in nature
        return cls(colour + np.einsum("ij,jyx->yxi", mixing, noise))

    def at(self, y: Array, x: Array) -> Array:
        """Colours (..., 3) at points, bilinear."""
        row, column = np.floor(TEXELS * y).astype(int), np.floor(TEXELS * x).astype(int)
        down, right = (TEXELS * y - row)[..., None], (TEXELS * x - column)[..., None]
        above, below = ((1 - right) * self._texel(r, column) + right * self._texel(r, column + 1) for r in (row, row + 1))
        return (1 - down) * above + down * below

    def _texel(self, row: NDArray[np.int_], column: NDArray[np.int_]) -> Array:
        size = len(self.pixels)
        return self.pixels[row % size, column % size]


@dataclass(frozen=True)
class Blob:
    """A rounded object that moves along a curve, turns and breathes."""

    texture: Texture
    radius: float
    waves: Array
    """(3, 2): amplitude and phase of 2, 3 and 4 waves around the outline."""
    swing: Array
    """(2, 3): amplitude, angular velocity and phase of the motion along y and x."""
    spin: float
    """Radians a second."""

    @classmethod
    def random(cls, generator: Generator) -> "Blob":
        texture = Texture.random(generator, generator.normal([142.0, 106.0, 118.0], 4), roughness=0.9)
        waves = np.stack([generator.uniform(0.05, 0.15, 3), generator.uniform(0, 2 * np.pi, 3)], axis=1)
        low, high = [[0.12, 2.0, 0], [0.3, 1.6, 0]], [[0.22, 3.2, 2 * np.pi], [0.45, 2.6, 2 * np.pi]]
        return cls(
            texture,
            generator.uniform(0.28, 0.33),
            waves,
            generator.uniform(low, high),
            generator.uniform(-1.5, 1.5),
        )

    def coordinates(self, y: Array, x: Array, time: float, aspect: float) -> tuple[Array, Array]:
        """Points of the picture in the object's own frame."""
        amplitude, velocity, phase = self.swing.T
        centre = np.array([0.5, 0.5 * aspect]) + amplitude * np.sin(velocity * time + phase)
        size, angle = 1 + 0.15 * np.sin(1.7 * time + phase[0]), self.spin * time
        dy, dx = (y - centre[0]) / size, (x - centre[1]) / size
        return np.cos(angle) * dy - np.sin(angle) * dx, np.sin(angle) * dy + np.cos(angle) * dx

    def covers(self, v: Array, u: Array) -> NDArray[np.bool_]:
        direction = np.arctan2(v, u)
        outline = reduce(np.add, (depth * np.cos(n * direction + phase) for n, (depth, phase) in enumerate(self.waves, 2)))
        return np.hypot(v, u) < self.radius * (1 + outline)

"""A short film with known masks, made by computation: a painted barrel rolls through a yard, behind a post and a bush."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from revseg.demo.barrel import Barrel
from revseg.demo.stage import GROUND, Camera, Floats, Sheet
from revseg.demo.textures import barrel_lid, barrel_side, bushes, faded, grass, noise, post, sky, wall, yard
from revseg.labels.masks import Labels, write_mask
from revseg.runs.phases import phase
from revseg.video.write import VideoWriter

FRAME_RATE = 24
SAMPLES = 6  # pictures averaged in a frame, at other times and places within the pixel: motion blur and soft edges
SHUTTER = 0.5  # of the time between two frames

FRAMES, SIZE = 36, (240, 426)
"""Frames of the demo, and their size (H, W), where nothing else is asked for."""


def generate_demo(folder: str | Path, frames: int = FRAMES, height: int = SIZE[0], width: int = SIZE[1]) -> tuple[Path, Path]:
    """Writes `demo.mp4` (H.264) and the masks of all its frames, `masks/00000.png`, ...; returns both paths.

    The same arguments give the same pictures. The video appears when all of it and all masks are written. A mask holds 1 where
    the barrel is seen, 0 elsewhere, on its shadow too (encoding davis2017).
    """
    for name, value in (("frames", frames), ("height", height), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} of the demo is {value}: give 1 or more")
    video, masks = Path(folder) / "demo.mp4", Path(folder) / "masks"
    with phase("drawing the film", total=frames) as bar, VideoWriter(video, FRAME_RATE) as writer:
        for frame, (picture, mask) in enumerate(film(frames, height, width)):
            writer.write(picture)
            write_mask(masks / f"{frame:05d}.png", mask)
            bar.advance()
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


class Scene:
    """What is filmed: sheets on the ground and behind the barrel, the barrel, sheets in front of it."""

    def __init__(self, generator: Generator) -> None:
        dapple = noise(generator, (750, 1600), 1.7, least=9)
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

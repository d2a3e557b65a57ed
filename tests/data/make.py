"""Makes the clip of the tests, `tests/data/clip`: a scene that is rendered, filmed as a camera films, with masks of every frame.

    python tests/data/make.py FOLDER

The scene is that of the demo: a barrel rolls behind a post and a bush, and the camera is carried by hand. Added here is what
makes real video differ from pictures: rows that are exposed one after the other (rolling shutter), a Bayer pattern, noise of the
light and of the sensor, hot pixels, sharpening, white balance that drifts, chroma of half the resolution and H.264 of few bits.
Masks are of the time of each row, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from revseg.demo.film import FRAME_RATE, Scene  # noqa: E402
from revseg.labels.masks import Labels, write_mask  # noqa: E402

FRAMES, HEIGHT, WIDTH = 20, 144, 256
FIRST = 8
"""The barrel has come into the picture by then."""
READOUT, BANDS = 0.5, 6
"""Part of the time between two frames that the sensor takes to read its rows, in so many bands."""

Pixels = NDArray[np.uint8]
Light = NDArray[np.float32]


def exposed(scene: Scene, frame: int) -> tuple[Light, Labels]:
    """Returns the linear light (H, W, 3) of a frame and its mask, band after band at their times."""
    bands = np.array_split(np.arange(HEIGHT), BANDS)
    seen = np.empty((HEIGHT, WIDTH, 4), np.float32)
    for number, rows in enumerate(bands):
        time = (FIRST + frame + READOUT * number / BANDS) / FRAME_RATE
        seen[rows] = scene.render(time, HEIGHT, WIDTH)[rows]
    return (np.clip(seen[..., :3], 0, 255) / 255) ** 2.2, (seen[..., 3] >= 0.5).astype(np.uint8)


def photographed(light: Light, frame: int, sensor: np.random.Generator, hot: NDArray[np.int64]) -> Pixels:
    """Returns the picture (H, W, 3) that a small sensor and its processor make of the light."""
    gains = np.array([1 + 0.02 * np.sin(frame / 5), 1, 1 - 0.02 * np.sin(frame / 7)], np.float32)
    raw = np.empty((HEIGHT, WIDTH), np.float32)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        raw[row::2, column::2] = light[row::2, column::2, channel]
    electrons = sensor.poisson(raw * 2500) + sensor.normal(0, 6, raw.shape)
    electrons[hot[0], hot[1]] += 900
    digits = np.clip(np.rint(electrons / 2500 * 1023), 0, 1023).astype(np.uint16)
    colours = cv2.cvtColor(digits, cv2.COLOR_BayerRGGB2RGB).astype(np.float32) / 1023 * gains
    picture = 255 * np.clip(colours, 0, 1) ** (1 / 2.2)
    sharp = picture + 0.6 * (picture - cv2.GaussianBlur(picture, (0, 0), 1.2))
    return np.clip(np.rint(sharp), 0, 255).astype(np.uint8)


def main(folder: Path) -> None:
    """Writes clip.mp4 and masks/00000.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    scene, sensor = Scene(np.random.default_rng(7)), np.random.default_rng(5)
    hot = np.stack([sensor.integers(0, HEIGHT, 12), sensor.integers(0, WIDTH, 12)])
    with av.open(str(folder / "clip.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=FRAME_RATE, options={"crf": "20", "bf": "2", "preset": "slow", "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for frame in range(FRAMES):
            light, mask = exposed(scene, frame)
            write_mask(folder / "masks" / f"{frame:05d}.png", mask)
            picture = photographed(light, frame, sensor, hot)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))

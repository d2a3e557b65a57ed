"""The scene that the files beside it label: two frames of six, with a dog and a cat."""

import numpy as np

FRAMES, HEIGHT, WIDTH = 6, 24, 32
LABELLED = (1, 4)


def outline(frame: int) -> list[tuple[int, int]]:
    """The dog: corners (x, y) along the edges of pixels."""
    left = 3 + frame
    return [(left, 4), (left + 9, 4), (left + 9, 9), (left + 5, 9), (left + 5, 14), (left, 14)]


def dog(frame: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[4:9, 3 + frame : 12 + frame] = True
    mask[9:14, 3 + frame : 8 + frame] = True
    return mask


def cat(frame: int) -> np.ndarray:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return abs(rows - 17) + abs(columns - 22 - frame // 2) <= 4


def truth(frame: int) -> np.ndarray:
    """0 background, 1 dog, 2 cat."""
    return (dog(frame) + 2 * cat(frame)).astype(np.uint8)


def pictures() -> list[np.ndarray]:
    """The frames, (H, W, 3)."""
    ground = np.random.default_rng(0).integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return [np.where(truth(frame)[..., None] > 0, 200, ground).astype(np.uint8) for frame in range(FRAMES)]

"""J of a few strokes beside full masks on the same frames, by the recommended recipe.

    python scripts/strokes.py [--sequences blackswan,libby] [--frames 5] [--out build/strokes]

Two strokes on each frame: one through the object, one through the background, drawn along the middle of the true mask from a
seed, and saved as labelme saves them. J is that of all other frames, at 96 lines.
"""

from __future__ import annotations

import argparse
import heapq
import json
from pathlib import Path

import cv2
import numpy as np
from harness import ROOT
from harness.page import table
from harness.process import Reply, run
from harness.settings import compose
from numpy.typing import NDArray

from revseg.labels.dataset import evenly_spaced
from revseg.labels.masks import read_mask, resize_mask, write_mask
from revseg.train import train

LINES = 96
"""Height at which paths are looked for."""
WIDTH = 7
"""Width of a stroke in pixels of the video."""
SHARE = 0.8
"""How much of the longest path a stroke covers."""


def stroke(mask: NDArray[np.bool_], random: np.random.Generator) -> list[list[float]]:
    """Points [x, y] of a stroke along the middle of a mask: the longest of the paths that keep away from its edge."""
    small = resize_mask(mask.astype(np.uint8), LINES, round(mask.shape[1] * LINES / mask.shape[0]))
    distance = cv2.distanceTransform(np.pad(small, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    _, parts = cv2.connectedComponents(small, connectivity=8)
    distance[parts != np.argmax(np.bincount(parts[small > 0]))] = 0
    inside = np.argwhere(distance > 0)
    start = tuple(inside[random.integers(len(inside))].tolist())
    first = farthest(distance, start)[-1]
    path = farthest(distance, first)
    cut = round((1 - SHARE) / 2 * len(path))
    path = path[cut : len(path) - cut : 3] or path
    return [[(x + 0.5) * mask.shape[1] / small.shape[1], (y + 0.5) * mask.shape[0] / small.shape[0]] for y, x in path]


def farthest(distance: NDArray[np.float32], start: tuple[int, int]) -> list[tuple[int, int]]:
    """The path along the middle to the pixel that it is farthest to."""
    costs, before, done = {start: 0.0}, {start: start}, start
    queue, settled = [(0.0, start)], set()
    while queue:
        cost, at = heapq.heappop(queue)
        if at in settled:
            continue
        settled.add(at)
        done = at
        for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            y, x = at[0] + down, at[1] + right
            if not (0 <= y < distance.shape[0] and 0 <= x < distance.shape[1]) or distance[y, x] <= 0:
                continue
            onward = cost + np.hypot(down, right) * (1 + 8 / distance[y, x] ** 2)
            if onward < costs.get((y, x), np.inf):
                costs[y, x], before[y, x] = onward, at
                heapq.heappush(queue, (onward, (y, x)))
    path = [done]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


def draw(folder: Path, name: str, mask: NDArray[np.bool_], random: np.random.Generator) -> None:
    """Writes a file as labelme does, with a stroke on the object and one on the background."""
    shapes = [
        {"label": label, "points": stroke(part, random), "shape_type": "linestrip", "group_id": None, "flags": {}}
        for label, part in (("object", mask), ("background", ~mask))
    ]
    size = {"imageHeight": mask.shape[0], "imageWidth": mask.shape[1]}
    content = {"version": "6.3.1", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None, **size}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content))


def labels_of(out: Path, root: Path, sequence: str, frames: int, seed: int) -> None:
    """Writes strokes and masks of some frames, and the masks of all others as truth."""
    random = np.random.default_rng(seed)
    files = sorted((root / "Annotations" / "480p" / sequence).glob("*.png"))
    chosen = evenly_spaced(len(files), frames)
    for index, path in enumerate(files):
        mask = read_mask(path, "davis2016")
        write_mask(out / ("masks" if index in chosen else "truth") / path.name, mask)
        if index in chosen:
            draw(out / "strokes", path.stem, mask > 0, random)


def trained(overrides: list[str]) -> Reply:
    """What a run says of itself."""
    config = compose(overrides)
    train(config)
    return json.loads((Path(str(config.run_dir)) / "metrics.json").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", default="blackswan,libby,car-shadow")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "davis")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "strokes")
    parser.add_argument("--override", action="append", default=[], help="a setting of the runs; may be repeated")
    given = parser.parse_args()
    rows = []
    for sequence in given.sequences.split(","):
        folder = given.out / sequence
        labels_of(folder, given.data, sequence, given.frames, given.seed)
        row = [sequence]
        for kind in ("masks", "strokes"):
            overrides = [
                f"data.video={given.data / 'JPEGImages' / '480p' / sequence}",
                f"data.masks={folder / kind}",
                f"data.truth={folder / 'truth'}",
                f"data.stroke_width={WIDTH}",
                f"data.height={LINES}",
                f"run_dir={folder / kind}-run",
                "device=cpu",
                *given.override,
            ]
            reply = run(trained, overrides, log=folder / f"{kind}.log")
            row.append(reply["error"] if "error" in reply else f"{reply['J']:.3f}")
        rows.append(row)
        print(table(["sequence", "full masks", "strokes"], rows), flush=True)


if __name__ == "__main__":
    main()

"""J of a few strokes beside full masks on the same frames, by the recommended recipe.

    python scripts/strokes.py --root data/DAVIS [--sequences blackswan,libby] [--page docs/results/label.md] [key=value ...]

Two strokes on each frame: one through the object, one through the background, drawn along the middle of the true mask from a
seed, and saved as labelme saves them. J is that of all other frames, at 96 lines. Drawn: the share of a frame's pixels.
"""

from __future__ import annotations

import argparse
import heapq
import json
from pathlib import Path

import cv2
import numpy as np
from harness import ROOT, arguments
from harness.page import table, write_section
from harness.process import Reply, run
from harness.results import Results
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
HEADER = ("sequence", "frames", "J of full masks", "J of strokes")


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


def labels_of(out: Path, root: Path, sequence: str, frames: int, seed: int, most: int | None) -> int:
    """Writes strokes and masks of some frames, and the masks of all others as truth; returns how many frames there are."""
    random = np.random.default_rng(seed)
    files = sorted((root / "Annotations" / "480p" / sequence).glob("*.png"))[:most]
    chosen = evenly_spaced(len(files), frames)
    for index, path in enumerate(files):
        mask = read_mask(path, "davis2016")
        write_mask(out / ("masks" if index in chosen else "truth") / path.name, mask)
        if index in chosen:
            draw(out / "strokes", path.stem, mask > 0, random)
    return len(files)


def trained(overrides: list[str]) -> Reply:
    """What a run says of itself."""
    config = compose(overrides)
    train(config)
    return json.loads((Path(str(config.run_dir)) / "metrics.json").read_text())


def measured(given: argparse.Namespace, sequence: str) -> Reply:
    """Returns J of both kinds of labels."""
    folder = given.output / sequence
    found: Reply = {"frames": labels_of(folder, given.root, sequence, given.frames, given.seed, given.max_frames)}
    for kind in ("masks", "strokes"):
        overrides = [
            f"data.video={given.root / 'JPEGImages' / '480p' / sequence}",
            f"data.masks={folder / kind}",
            f"data.truth={folder / 'truth'}",
            f"data.stroke_width={WIDTH}",
            f"data.height={LINES}",
            f"data.max_frames={given.max_frames or 'null'}",
            f"run_dir={folder / kind}-run",
            "device=cpu",
            *given.overrides,
        ]
        reply = run(trained, overrides, log=folder / f"{kind}.log")
        if "error" in reply:
            raise RuntimeError(f"{sequence}, {kind}: {reply['error']}")
        found[kind] = reply["J"]
    return found


def main() -> None:
    given = parse()
    common = {"frames": given.frames, "seed": given.seed, "max_frames": given.max_frames, "settings": given.overrides}
    results, rows = Results(given.output, common, "choose another --output"), []
    for sequence in given.sequences:
        if (record := results.get(sequence)) is None:
            results.keep(sequence, record := measured(given, sequence))
        rows.append([sequence, record["frames"], f"{record['masks']:.3f}", f"{record['strokes']:.3f}"])
        print(*rows[-1], sep="  ", flush=True)
    text = table(HEADER, rows)
    print(text)
    if given.page:
        write_section(given.page, "strokes", given.section, text)


def parse() -> argparse.Namespace:
    made = arguments.parser(__doc__)
    made.add_argument("--root", type=Path, required=True, help="folder DAVIS")
    made.add_argument("--sequences", type=arguments.words, default=["blackswan", "libby", "car-shadow"])
    made.add_argument("--frames", type=int, default=5, help="with labels (default: 5)")
    made.add_argument("--max-frames", type=int, help="only the first frames of each sequence")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--output", type=Path, default=ROOT / "runs" / "strokes", help="folder of the results")
    made.add_argument("--page", type=Path, help="Markdown page whose section is written")
    made.add_argument("--section", default="height 96", help="name of the page's section (default: 'height 96')")
    made.add_argument("overrides", nargs="*", metavar="key=value", help="settings of revseg-train")
    return made.parse_intermixed_args()


if __name__ == "__main__":
    main()

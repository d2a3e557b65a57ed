"""Measures alpha on hair: a procedural matte over real frames, so that the truth is known.

    python scripts/alpha_edges.py film FOLDER DAVIS               # writes frames/, masks/ (three labels), truth/
    revseg-train data.video=FOLDER/frames data.masks=FOLDER/masks run_dir=FOLDER/run 'output.formats=[alpha,probabilities]'
    python scripts/alpha_edges.py measure FOLDER                  # a table: mask, probabilities, widths and epsilons

A ball of fur of one real picture moves over another one. No matte by hand is taken: none can be had without a network, and they
are made with the same tools that would be measured.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from revseg.labels.masks import read_mask, write_mask
from revseg.output.alpha import Edge, alpha_of

SIZE, FRAMES, LABELLED = (480, 854), 24, (0, 12, 23)
HAIRS, OVERSAMPLING = 900, 4
WIDTHS, EPSILONS, SHARPNESSES = (0.006, 0.012, 0.018, 0.025), (1e-5, 1e-4, 1e-3), (1, 2, 4)
OBJECT, GROUND = "libby", "car-shadow"


@dataclass(frozen=True)
class Hair:
    """One hair: where it grows, where it points, and how it bends."""

    angle: float
    length: float
    bend: float
    width: float


def matte(frame: int, hairs: list[Hair]) -> NDArray[np.float32]:
    """Returns alpha (H, W), 0 to 1: a disk with hairs, drawn four times as large and averaged."""
    height, width = (OVERSAMPLING * side for side in SIZE)
    canvas = np.zeros((height, width), np.uint8)
    time = frame / FRAMES
    middle = np.array([width * (0.3 + 0.4 * time), height * (0.5 + 0.06 * np.sin(7 * time))])
    radius = 0.2 * height
    cv2.circle(canvas, middle.astype(int).tolist(), int(radius), 255, -1)
    for hair in hairs:
        steps = np.linspace(0, 1, 12)[:, None]
        turned = hair.angle + 0.3 * np.sin(6 * time) + (hair.bend + 0.3 * np.sin(9 * time + hair.angle)) * steps
        along = radius * (0.96 + hair.length * steps)
        points = middle + along * np.concatenate([np.cos(turned), np.sin(turned)], axis=1)
        for index, (one, other) in enumerate(zip(points[:-1], points[1:], strict=True)):
            thick = max(1, round(hair.width * OVERSAMPLING * (1 - index / 12)))
            cv2.line(canvas, one.astype(int).tolist(), other.astype(int).tolist(), 255, thick)
    return cv2.resize(canvas, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def film(folder: Path, davis: Path) -> None:
    """Writes the frames, the masks of three of them, and alpha of all."""
    random = np.random.default_rng(0)
    hairs = [
        Hair(random.uniform(0, 2 * np.pi), random.uniform(0.05, 0.3), random.normal(0, 0.25), random.uniform(0.6, 1.8))
        for _ in range(HAIRS)
    ]
    pictures = davis / "JPEGImages" / "480p"
    fur = cv2.resize(cv2.imread(str(pictures / OBJECT / "00000.jpg")), SIZE[::-1])
    fur = cv2.resize(fur[150:330, 250:570], SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    grounds = sorted((pictures / GROUND).glob("*.jpg"))[:FRAMES]
    for name in ("frames", "masks", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for frame, ground in enumerate(grounds):
        alpha = matte(frame, hairs)
        picture = cv2.resize(cv2.imread(str(ground)), SIZE[::-1]).astype(np.float32)
        shown = alpha[..., None] * fur + (1 - alpha[..., None]) * picture
        shown = np.rint(shown + random.normal(0, 2, shown.shape)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "frames" / f"{frame:05d}.png"), shown)
        cv2.imwrite(str(folder / "truth" / f"{frame:05d}.png"), np.rint(255 * alpha))
        if frame in LABELLED:
            write_mask(folder / "masks" / f"{frame:05d}.png", (alpha >= 0.5).astype(np.uint8))


def measure(folder: Path, run: str) -> None:
    """Prints the errors of alpha on the frames without a label, against 0 to 1."""
    out = folder / run / "predictions"
    probabilities = np.load(out / "probabilities.npy", mmap_mode="r")
    errors: dict[str, list[tuple[float, float, float]]] = {}
    for frame in (frame for frame in range(FRAMES) if frame not in LABELLED):
        name = f"{frame:05d}.png"
        truth = cv2.imread(str(folder / "truth" / name), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        picture = cv2.imread(str(folder / "frames" / name))[..., ::-1]
        inside = read_mask(out / "masks" / name, "davis2017") > 0
        probability = 1 - probabilities[frame, 0].astype(np.float32)
        soft = cv2.dilate(((truth > 0) & (truth < 1)).astype(np.uint8), np.ones((5, 5))) > 0
        found = {"mask": inside.astype(np.float32), "probabilities": probability}
        for width, epsilon, sharpness in product(WIDTHS, EPSILONS, SHARPNESSES):
            refined = alpha_of(probability, inside, picture, edge=Edge(width, epsilon, sharpness))
            found[f"width {width}, epsilon {epsilon:g}, sharpness {sharpness}"] = refined.astype(np.float32) / 255
        for key, alpha in found.items():
            error = np.abs(alpha - truth)
            errors.setdefault(key, []).append((error.mean(), error[soft].mean(), error.sum() / 1000))
    for key, values in sorted(errors.items(), key=lambda item: np.mean(item[1], axis=0)[0]):
        whole, edges, total = np.mean(values, axis=0)
        print(
            json.dumps(
                {
                    "alpha": key,
                    "MAD": round(float(whole), 5),
                    "MAD_at_edges": round(float(edges), 4),
                    "SAD": round(float(total), 2),
                }
            )
        )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("film")
    made.add_argument("folder", type=Path)
    made.add_argument("davis", type=Path)
    measured = commands.add_parser("measure")
    measured.add_argument("folder", type=Path)
    measured.add_argument("--run", default="run")
    given = parser.parse_args()
    if given.command == "film":
        film(given.folder, given.davis)
    else:
        measure(given.folder, given.run)


if __name__ == "__main__":
    main()

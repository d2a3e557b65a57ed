"""What revseg and nnU-Net do with the same broken inputs: a few frames with masks, one of them with a fault.

    pip install nnunetv2
    python scripts/damaged_input_peers.py [--page docs/results/reliability.md]

revseg gets a folder of frames and one of masks, and trains a step. nnU-Net gets the same pictures as a data set of two
dimensions, and plans and preprocesses it with its check of integrity. Told are the exit status, the number of lines on stderr,
whether it is a traceback, and the last line; or that the input was taken, with the warning where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import ROOT, arguments
from harness.page import table, write_section
from PIL import Image

FRAMES, HEIGHT, WIDTH = 6, 48, 64
LONGEST = 300
"""Seconds that either may take."""
REVSEG = [
    "network.channels=2", "network.levels=1", "network.depth=1", "network.rank=4", "device=cpu", "training.steps=1",
    "placements=1", "data.height=null", "evidence=none",
]  # fmt: skip

Harm = Callable[[Path, Path], None]
"""Damages the folder of frames or that of masks."""


def main() -> None:
    given = parse()
    planner = shutil.which("nnUNetv2_plan_and_preprocess")
    if planner is None:
        raise SystemExit("nnU-Net is not installed: pip install nnunetv2")
    rows = []
    for name, harm in HARMS.items():
        with tempfile.TemporaryDirectory() as folder:
            frames, masks = Path(folder) / "frames", Path(folder) / "masks"
            write(frames, masks)
            harm(frames, masks)
            rows.append([name, answer(revseg(frames, masks)), answer(nnunet(planner, frames, masks, folder=Path(folder) / "nn"))])
            print("\n    ".join(rows[-1]), flush=True)
    text = table(["input", "revseg", "nnU-Net"], rows)
    if given.page:
        write_section(given.page, "damaged_input_peers", "the same broken inputs", text)


def write(frames: Path, masks: Path) -> None:
    """Writes noise with a bright square, and its masks."""
    random = np.random.default_rng(0)
    for folder in (frames, masks):
        folder.mkdir()
    for index in range(FRAMES):
        picture, mask = random.integers(0, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[10:30, 5 + 4 * index : 25 + 4 * index] = 1
        picture[mask > 0] = (220, 160, 40)
        Image.fromarray(picture).save(frames / f"{index:05d}.png")
        Image.fromarray(mask).save(masks / f"{index:05d}.png")


def changed(which: str, change: Callable[[np.ndarray], np.ndarray]) -> Harm:
    """Saves the third frame or mask with other values."""

    def harm(frames: Path, masks: Path) -> None:
        path = (frames if which == "frame" else masks) / "00002.png"
        Image.fromarray(change(np.array(Image.open(path)))).save(path)

    return harm


def soft(mask: np.ndarray) -> np.ndarray:
    """An object 255 with a blurred edge."""
    import cv2

    return cv2.GaussianBlur(255 * mask, (9, 9), 0)


def transparent(mask: np.ndarray) -> np.ndarray:
    """White on white that is clear."""
    return np.concatenate([np.full((*mask.shape, 3), 255, np.uint8), 255 * mask[..., None]], -1)


def cut(frames: Path, masks: Path) -> None:
    path = frames / "00002.png"
    path.write_bytes(path.read_bytes()[:2000])


def cut_mask(frames: Path, masks: Path) -> None:
    path = masks / "00002.png"
    path.write_bytes(path.read_bytes()[:60])


def no_picture(frames: Path, masks: Path) -> None:
    (masks / "00002.png").write_text("nothing")


HARMS: dict[str, Harm] = {
    "nothing wrong": lambda frames, masks: None,
    "frame cut off": cut,
    "mask cut off": cut_mask,
    "mask that is a text file": no_picture,
    "mask of another size": changed("mask", lambda mask: mask[:20, :30]),
    "frame of another size": changed("frame", lambda frame: frame[:20, :30]),
    "one mask 0 and 255 among masks of ids": changed("mask", lambda mask: 255 * mask),
    "mask with soft edges": changed("mask", soft),
    "mask of 16 bits": changed("mask", lambda mask: 257 * mask.astype(np.uint16)),
    "mask white on transparent white": changed("mask", transparent),
    "mask in colours": changed("mask", lambda mask: np.stack([200 * mask, 40 * mask, 0 * mask], -1)),
    "ids with a hole": changed("mask", lambda mask: 7 * mask),
}


def revseg(frames: Path, masks: Path) -> subprocess.CompletedProcess[str]:
    words = [f"data.video={frames}", f"data.masks={masks}", *REVSEG]
    return run([sys.executable, "-m", "revseg.train", *words], frames.parent, {"PYTHONPATH": str(ROOT)})


def nnunet(planner: str, frames: Path, masks: Path, *, folder: Path) -> subprocess.CompletedProcess[str]:
    data = folder / "raw" / "Dataset001_broken"
    for kind, source, ending in (("imagesTr", frames, "_0000"), ("labelsTr", masks, "")):
        (data / kind).mkdir(parents=True)
        for path in source.iterdir():
            shutil.copy(path, data / kind / f"{path.stem}{ending}{path.suffix}")
    facts = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "object": 1}, "numTraining": FRAMES}
    (data / "dataset.json").write_text(json.dumps(facts | {"file_ending": ".png"}))
    places = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    words = ["-d", "1", "-c", "2d", "-np", "1", "-npfp", "1", "--verify_dataset_integrity"]
    return run([planner, *words], folder, places)


def run(line: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(line, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(line, -9, "", f"not done in {LONGEST} s")


def answer(done: subprocess.CompletedProcess[str]) -> str:
    """Returns what came of it, on one line."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == 0:
        told = next((line for line in done.stdout.splitlines() if "check that" in line), "")
        return f"taken; told: {told.rpartition('/')[2]}" if told else "taken"
    kind = f"traceback, {len(lines)} lines" if "Traceback" in done.stderr else f"{len(lines)} line{'s' * (len(lines) != 1)}"
    last = lines[-1].replace(str(Path(tempfile.gettempdir())), "").replace("|", "\\|") if lines else ""
    return f"status {done.returncode}, {kind}: {last[:160]}"


def parse() -> argparse.Namespace:
    made = arguments.parser(__doc__)
    made.add_argument("--page", type=Path, help="Markdown page whose section is written")
    return made.parse_args()


if __name__ == "__main__":
    main()

"""Peak memory of one training step on a whole video with evidence: revseg beside MONAI's 3D UNet, a process each.

    python scripts/step_memory.py                                              # 40 frames of 854 x 480, five of them labelled
    python scripts/step_memory.py --size 80x480x854 --device cuda --page docs/results/gpu.md

The video with its evidence, six bytes a pixel, is part of it; weights and libraries are not. The UNet is the one of
davis_benchmark.py, and needs `pip install 'revseg[bench]'`. Prints a Markdown table, and writes it into a section of the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import arguments
from harness.memory import Footprint
from harness.page import table, write_section
from harness.process import Reply, run_all
from quality import unet

from revseg.labels.dataset import evenly_spaced
from revseg.network.network import RevSegNet
from revseg.network.step import training_step
from revseg.training.augment import Augmented
from revseg.training.loss import SegmentationLoss

Step = Callable[[Augmented], object]

CLASSES, INPUTS, LABELLED = 2, 6, 5
SMALL = {"state_dtype": "int16", "adjoint_dtype": "float16", "grid_bits": 4}
CASES: dict[str, dict[str, Any] | None] = {
    "MONAI UNet": None,
    "revseg, 4 channels": {"channels": 4},
    "revseg, 2 channels": {"channels": 2},
    "revseg, 2 channels, int16, float16 adjoints": {"channels": 2, **SMALL},
    "revseg, 1 channel": {"channels": 1},
    "revseg, 1 channel, int16, float16 adjoints (recommended: `network=small`)": {"channels": 1, **SMALL},
}


def main() -> None:
    given = parse()
    cases = {name: (settings, given.size) for name, settings in CASES.items()}
    found = dict(run_all("step_memory", measured, cases, given.device))
    print(text := section(found, given))
    if given.page is not None:
        write_section(given.page, "step_memory", "peak of a step", text)


def measured(settings: dict[str, Any] | None, size: tuple[int, int, int], device_name: str) -> Reply:
    """Measures a step, after a first one in small that loads what is loaded once."""
    torch.manual_seed(0)
    device = torch.device(device_name)
    step = new_step(settings, device)
    step(random_video((16, 64, 64), device))
    footprint = Footprint(device, live=True)
    step(random_video(size, device))
    peak = footprint.peak()
    if peak is None:
        raise OSError("the peak of a process is read from Linux's /proc, which is not there")
    return {"peak": peak, "threads": torch.get_num_threads()}


def random_video(size: tuple[int, int, int], device: torch.device) -> Augmented:
    frames = evenly_spaced(size[0], LABELLED)
    volume = torch.randint(0, 256, (INPUTS, *size), dtype=torch.uint8, device=device)
    labels = torch.randint(0, CLASSES, (LABELLED, *size[1:]), dtype=torch.uint8, device=device)
    return Augmented(volume, labels, tuple(frames), (0, 0, 0), frames=volume.shape[1])


def new_step(settings: dict[str, Any] | None, device: torch.device) -> Step:
    loss = SegmentationLoss()
    if settings is None:
        other = unet.new_unet(INPUTS, CLASSES, 0, device)
        return lambda video: unet.value(other, video, video.offset, loss).backward()
    net = RevSegNet(evidence=True, classes=CLASSES, **({"grid_bits": 10, "step_size": 1.0} | settings)).to(device)
    return lambda video: training_step(
        net, video.volume[None], video.labels[None], labelled_frames=video.labelled_frames, loss=loss
    )


def section(found: dict[str, Reply], given: argparse.Namespace) -> str:
    frames, height, width = given.size
    where = f"{given.device} (threads: {found['MONAI UNet']['threads']}), torch {torch.__version__}"
    caption = f"One training step on {frames} frames of {width} x {height}, {LABELLED} of them labelled, on {where}:"
    largest = found["MONAI UNet"]["peak"]
    rows = [(name, f"{reply['peak'] / 1e6:.0f}", f"{largest / reply['peak']:.1f}") for name, reply in found.items()]
    return f"{caption}\n\n" + table(("network", "peak memory, MB", "UNet's / its"), rows)


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__, device=True)
    parser.add_argument("--size", type=arguments.size, default=(40, 480, 854), help="of the video (default: 40x480x854)")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: none)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Peak memory of one training step on a whole guided video: revseg beside MONAI's 3D UNet, a process each.

    python scripts/step_memory.py                                              # 40 frames of 854 x 480, five of them labelled
    python scripts/step_memory.py --size 80x480x854 --device cuda --page docs/quality.md

The video with its evidence, six bytes a pixel, is part of it; weights and libraries are not. The UNet is the one of
davis_benchmark.py, and needs `pip install 'revseg[bench]'`. Prints a Markdown table, and writes it into a section of the page.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # so that the checkout need not be installed

from benchmark.memory import baseline  # noqa: E402
from davis_benchmark import unet  # noqa: E402
from davis_benchmark.page import write_section  # noqa: E402

from revseg.labels.dataset import evenly_spaced  # noqa: E402
from revseg.network.network import RevSegNet  # noqa: E402
from revseg.network.step import training_step  # noqa: E402
from revseg.training.augment import Augmented  # noqa: E402
from revseg.training.loss import SegmentationLoss  # noqa: E402

Step = Callable[[Augmented], None]

CLASSES, INPUTS, LABELLED = 2, 6, 5
SMALL = {"state_dtype": "int16", "adjoint_dtype": "bfloat16", "grid_bits": 4}
CASES: dict[str, dict[str, Any] | None] = {
    "MONAI UNet": None,
    "revseg, 4 channels": {"channels": 4},
    "revseg, 2 channels": {"channels": 2},
    "revseg, 2 channels, int16, bfloat16 adjoints": {"channels": 2, **SMALL},
    "revseg, 1 channel": {"channels": 1},
    "revseg, 1 channel, int16, bfloat16 adjoints (network=guided)": {"channels": 1, **SMALL},
}


def main() -> None:
    arguments = parse()
    if arguments.case is not None:
        print(measured(CASES[arguments.case], arguments.size, torch.device(arguments.device)))
        return
    found = {name: in_a_process(name, arguments) for name in CASES}
    text = table(found, arguments.size, arguments.device)
    print(text)
    if arguments.page is not None:
        write_section(arguments.page, "peak of a step", text, "step_memory")


def in_a_process(name: str, arguments: argparse.Namespace) -> int:
    size = "x".join(map(str, arguments.size))
    command = [sys.executable, __file__, "--size", size, "--device", arguments.device, "--case", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"step_memory: {name}: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout.splitlines()[-1])


def measured(settings: dict[str, Any] | None, size: tuple[int, int, int], device: torch.device) -> int:
    """Bytes of a step, after a first one in small that loads what is loaded once."""
    torch.manual_seed(0)
    step = unet_step(device) if settings is None else revseg_step(settings, device)
    step(random_video((16, 64, 64), device))
    before = baseline(device)
    step(random_video(size, device))
    peak = before.peak()["peak"]
    if peak is None:
        raise OSError("the peak of a process is read from Linux's /proc, which is not there")
    return peak


def random_video(size: tuple[int, int, int], device: torch.device) -> Augmented:
    frames = evenly_spaced(size[0], LABELLED)
    volume = torch.randint(0, 256, (INPUTS, *size), dtype=torch.uint8, device=device)
    labels = torch.randint(0, CLASSES, (LABELLED, *size[1:]), dtype=torch.uint8, device=device)
    return Augmented(volume, labels, tuple(frames), (0, 0, 0))


def revseg_step(settings: dict[str, Any], device: torch.device) -> Step:
    net = RevSegNet(guided=True, classes=CLASSES, **({"grid_bits": 10, "step_size": 1.0} | settings)).to(device)
    loss = SegmentationLoss()

    def step(video: Augmented) -> None:
        training_step(net, video.volume[None], video.labels[None], video.labelled_frames, loss, video.offset)

    return step


def unet_step(device: torch.device) -> Step:
    net, loss = unet.new_unet(INPUTS, CLASSES, 0, device), SegmentationLoss()

    def step(video: Augmented) -> None:
        value: Tensor = unet.value(net, video, video.offset, loss)
        value.backward()

    return step


def table(found: dict[str, int], size: tuple[int, int, int], device: str) -> str:
    lines = [
        f"One training step on {size[0]} frames of {size[2]} x {size[1]}, {LABELLED} of them labelled, on {device} "
        f"(threads: {torch.get_num_threads()}), torch {torch.__version__}:\n",
        "| network | peak memory, MB | UNet's / its |",
        "|---|--:|--:|",
    ]
    lines += [f"| {name} | {peak / 1e6:.0f} | {found['MONAI UNet'] / peak:.1f} |" for name, peak in found.items()]
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=size, default=(40, 480, 854), help="frames x height x width (default: 40x480x854)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: none)")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    return parser.parse_args()


def size(text: str) -> tuple[int, int, int]:
    frames, height, width = map(int, text.split("x"))
    return frames, height, width


if __name__ == "__main__":
    main()

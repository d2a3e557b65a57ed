"""Is the forecast right? Peak memory of real training steps and predictions beside what revseg-plan says, one process each.

    python scripts/check_forecast.py [--device cuda] [--quick]

Writes a section of docs/results/forecast.md. Memory on a CPU: the resident peak of the process (Linux) above its size before the
step, with the weights, the optimizer's state and the input not yet made, and malloc told to return what is freed (else it keeps
up to a tenth more); on CUDA: the allocator's peak.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from harness import ROOT, arguments
from harness.memory import Footprint
from harness.page import row, table, write_section
from harness.process import Reply, run_all

from revseg.labels.dataset import evenly_spaced
from revseg.network.config import NetworkConfig
from revseg.network.inference import predict_probabilities
from revseg.network.memory import forecast_prediction, forecast_training
from revseg.network.network import RevSegNet
from revseg.network.step import training_step
from revseg.training.config import OptimizerConfig
from revseg.training.loss import SegmentationLoss
from revseg.training.optimizer import Optimizer

Size = tuple[int, int, int]

SMALL = {"state_dtype": "int16", "adjoint_dtype": "bfloat16"}
CASES: list[tuple[str, dict[str, Any], Size, str]] = [
    ("default", {}, (32, 360, 640), "training"),
    ("default, wider video", {}, (24, 480, 854), "training"),
    ("default, long video", {}, (120, 180, 320), "training"),
    ("int16, bfloat16 adjoints", SMALL, (32, 480, 854), "training"),
    ("bfloat16 adjoints", {"adjoint_dtype": "bfloat16"}, (32, 360, 640), "training"),
    ("int32", {"state_dtype": "int32"}, (32, 360, 640), "training"),
    ("float32 convolutions", {"convolution_dtype": "float32"}, (16, 360, 640), "training"),
    ("2 levels", {"levels": 2, "depth": (0, 2, 2)}, (32, 360, 640), "training"),
    ("T kept on level 0", {"coarsen_time": (False, True, True)}, (32, 360, 640), "training"),
    ("8 channels, rank 32, depth 1", {"channels": 8, "rank": 32, "depth": 1}, (16, 360, 640), "training"),
    ("rank 48", {"rank": 48}, (32, 360, 640), "training"),
    ("hidden kept", {"keep_hidden": True}, (32, 360, 640), "training"),
    ("float arithmetic", {"arithmetic": "float"}, (24, 360, 640), "training"),
    ("with evidence", {"evidence": True}, (32, 360, 640), "training"),
    ("default", {}, (48, 480, 854), "prediction"),
    ("int16", {"state_dtype": "int16"}, (80, 480, 854), "prediction"),
]
LABELLED = 4


def main() -> None:
    parser = arguments.parser(__doc__, device=True)
    parser.add_argument("--quick", action="store_true", help="the first case only, and no page")
    page = ROOT / "docs" / "results" / "forecast.md"
    parser.add_argument("--output", type=Path, default=page, help="page (default: docs/results/forecast.md)")
    given = parser.parse_args()
    cases = CASES[:1] if given.quick else CASES
    replies = run_all("check_forecast", measured, {", ".join(map(str, case)): case[1:] for case in cases}, given.device)
    rows = [line(*case, given.device, reply["peak"]) for case, (_, reply) in zip(cases, replies, strict=True)]
    header = ("network", "T x H x W", "task", "forecast GB", "measured GB", "forecast / measured")
    print(text := table(header, rows, words=3))
    if not given.quick:
        versions = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
        heading = f"`python scripts/check_forecast.py --device {given.device}`, {given.device}, {versions}."
        write_section(given.output, "check_forecast", given.device, f"{heading}\n\n{text}")


def line(name: str, settings: dict[str, Any], size: Size, task: str, device: str, peak: int) -> list[str]:
    config = NetworkConfig(**settings)
    training = partial(forecast_training, labelled_frames=LABELLED)
    forecast = (training if task == "training" else forecast_prediction)(config, size, device=device).total
    numbers = [f"{value:.3f}" for value in (forecast / 1e9, peak / 1e9, forecast / peak)]
    cells = [name, " x ".join(map(str, size)), task, *numbers]
    print(row(cells), file=sys.stderr, flush=True)
    return cells


def measured(settings: dict[str, Any], size: Size, task: str, device_name: str) -> Reply:
    config, device = NetworkConfig(**settings), torch.device(device_name)
    warm_up(config, device)
    footprint = Footprint(device, live=True)
    net = RevSegNet(**asdict(config)).to(device)
    volume = torch.randint(0, 256, (config.inputs, *size), dtype=torch.uint8).to(device)
    if task == "prediction":
        for _ in predict_probabilities(net, volume):
            pass
        return {"peak": footprint.peak()}
    labels = torch.randint(0, 2, (1, LABELLED, *size[1:]), dtype=torch.uint8).to(device)
    frames = evenly_spaced(size[0], LABELLED)
    optimizer = Optimizer(net, OptimizerConfig())
    t, h, w = (m - 1 for m in net.multiple)
    for _ in range(2):  # the optimizer's state exists from the second step on
        training_step(net, volume[None], labels, labelled_frames=frames, loss=SegmentationLoss(), offset=(t, h, w))
        optimizer.step(1e-6)
    return {"peak": footprint.peak()}


def warm_up(config: NetworkConfig, device: torch.device) -> None:
    """Loads libraries, thread pools and compiled kernels: they are not the step's memory."""
    net = RevSegNet(**asdict(config)).to(device)
    volume = torch.zeros(1, config.inputs, 9, 40, 40, dtype=torch.uint8, device=device)
    training_step(net, volume, volume[:, 0, :1], labelled_frames=[0], loss=SegmentationLoss())
    Optimizer(net, OptimizerConfig()).step(1e-6)


if __name__ == "__main__":
    main()

"""Is the forecast right? Peak memory of real training steps and predictions beside what revseg-plan says, one process each.

    python scripts/check_forecast.py [--device cuda] [--quick]

Writes docs/forecast.md. Memory on CPU: the resident peak of the process (Linux) above its size before the step, with the
weights, the optimizer's state and the input not yet made, and malloc told to return what is freed (else it keeps up to a
tenth more); on CUDA: the allocator's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from revseg.network.config import NetworkConfig
from revseg.network.inference import predict_probabilities
from revseg.network.memory import forecast_prediction, forecast_training
from revseg.network.network import RevSegNet
from revseg.network.step import training_step
from revseg.training.loss import SegmentationLoss
from revseg.training.optimizer import Optimizer, OptimizerConfig

SMALL = {"state_dtype": "int16", "adjoint_dtype": "bfloat16"}
CASES: list[tuple[str, dict[str, Any], tuple[int, int, int], str]] = [
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
    ("guided", {"guided": True}, (32, 360, 640), "training"),
    ("default", {}, (48, 480, 854), "prediction"),
    ("int16", {"state_dtype": "int16"}, (80, 480, 854), "prediction"),
]
LABELLED = 4
# glibc by default keeps freed pieces that do not fit the next request: what a process holds then exceeds what it uses.
RETURN_FREED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 20)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--quick", action="store_true", help="the first case only, and no file")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("docs/forecast.md"))
    arguments = parser.parse_args()
    if arguments.case is not None:
        print(json.dumps(measured(*CASES[arguments.case][1:], arguments.device)))
        return
    rows = [row(index, arguments.device) for index in range(1 if arguments.quick else len(CASES))]
    header = "| network | T x H x W | task | forecast GB | measured GB | forecast / measured |"
    table = "\n".join([header, "|---|---|---|---|---|---|", *rows])
    print(table)
    if not arguments.quick:
        command = f"python scripts/check_forecast.py --device {arguments.device}"
        versions = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
        heading = f"# Forecast against measurement\n\n`{command}`, {arguments.device}, {versions}."
        arguments.output.write_text(f"{heading}\n\n{table}\n")


def row(index: int, device: str) -> str:
    name, settings, size, task = CASES[index]
    command = [sys.executable, __file__, "--case", str(index), "--device", device]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | RETURN_FREED).stdout
    peak = json.loads(output.splitlines()[-1])
    config = NetworkConfig(**settings)
    if task == "training":
        forecast = forecast_training(config, size, device=device, labelled_frames=LABELLED).total
    else:
        forecast = forecast_prediction(config, size, device=device).total
    sizes = " x ".join(map(str, size))
    line = f"| {name} | {sizes} | {task} | {forecast / 1e9:.3f} | {peak / 1e9:.3f} | {forecast / peak:.3f} |"
    print(line, file=sys.stderr, flush=True)
    return line


def measured(settings: dict[str, Any], size: tuple[int, int, int], task: str, device: str) -> int:
    """Bytes at the peak."""
    config = NetworkConfig(**settings)
    warm_up(config, device)
    before = start(device)
    net = RevSegNet(**asdict(config)).to(device)
    volume = torch.randint(0, 256, (config.inputs, *size), dtype=torch.uint8).to(device)
    if task == "prediction":
        for _ in predict_probabilities(net, volume):
            pass
        return peak(device) - before
    labels = torch.randint(0, 2, (1, LABELLED, *size[1:]), dtype=torch.uint8).to(device)
    frames = [round(i * (size[0] - 1) / (LABELLED - 1)) for i in range(LABELLED)]
    optimizer = Optimizer(net, OptimizerConfig())
    for _ in range(2):  # the optimizer's state exists from the second step on
        offset = tuple(m - 1 for m in net.multiple)
        training_step(net, volume[None], labels, frames, SegmentationLoss(), offset)  # type: ignore[arg-type]
        optimizer.step(1e-6)
    return peak(device) - before


def warm_up(config: NetworkConfig, device: str) -> None:
    """Libraries, thread pools and compiled kernels are not the step's memory."""
    net = RevSegNet(**asdict(config)).to(device)
    volume = torch.zeros(1, config.inputs, 9, 40, 40, dtype=torch.uint8, device=device)
    training_step(net, volume, volume[:, 0, :1], [0], SegmentationLoss())
    Optimizer(net, OptimizerConfig()).step(1e-6)


def start(device: str) -> int:
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # resets the resident peak
    return status("VmRSS")


def peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else status("VmHWM")


def status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()

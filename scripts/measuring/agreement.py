"""Trains the recommended network a few steps on the device and on the CPU, from the same weights: the same losses, nearly."""

from __future__ import annotations

import argparse
import json
import sys

import torch
from harness import arguments

from measuring.steps import CASES, random_video
from revseg.network.network import RevSegNet
from revseg.network.step import training_step
from revseg.reversible.kernels import dispatch
from revseg.training.config import OptimizerConfig
from revseg.training.loss import SegmentationLoss
from revseg.training.optimizer import Optimizer

STEPS = 6
# Of the first loss; the same, after the updates in between.
TOLERANCE = {"first": 2e-3, "last": 5e-2}


def losses(device: torch.device, size: tuple[int, int, int], dtype: str) -> tuple[list[float], list[bool | None]]:
    """Returns the loss of each step, and whether its backward pass came back to the opening."""
    torch.manual_seed(0)
    net = RevSegNet(**CASES["guided"].settings, convolution_dtype=dtype).to(device)
    optimizer, loss = Optimizer(net, OptimizerConfig()), SegmentationLoss()
    volume, labels, frames = random_video(size, torch.device("cpu"))
    found = []
    for number in range(STEPS):
        given = volume.to(device), labels.to(device), frames
        result = training_step(net, *given, loss=loss, offset=(number % 4, 1, 2))
        torch.nn.utils.clip_grad_norm_(optimizer.parameters, 1.0)
        optimizer.step(1.0)
        found.append((float(result.loss), result.inverted))
    values, inverted = zip(*found, strict=True)
    return list(values), list(inverted)


def main() -> None:
    given = parse()
    size = (8, 24, 32) if given.small else (24, 48, 88)
    device = torch.device(given.device)
    dtype = "bfloat16" if device.type == "cuda" else "float32"  # of the kernels
    expected, _ = losses(torch.device("cpu"), size, dtype)
    found, inverted = losses(device, size, dtype)
    apart = [abs(one - other) / abs(other) for one, other in zip(found, expected, strict=True)]
    agrees = apart[0] < TOLERANCE["first"] and apart[-1] < TOLERANCE["last"] and all(inverted)
    used = "fused kernels" if device.type == "cuda" and dispatch.available(device) else "PyTorch"
    print(json.dumps({"device": found, "cpu": expected, "apart": apart, "inverted": all(inverted), "agrees": agrees, "by": used}))
    sys.exit(not agrees)


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__, device=True)
    parser.add_argument("--small", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
